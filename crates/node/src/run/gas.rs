//! Gas money: on a network where gas is not free, every account needs coins before it acts.
//!
//! A funder, named by the user, sends them. What each party needs is estimated from the study, generously: what is left
//! is sent back at the end, whether the run came to its own end or not. As long as it is not, a file beside the parties'
//! keys says so, and keeps `--replace` from removing them.

use std::fs;
use std::path::{Path, PathBuf};

use histone_contracts::roles;
use histone_ledger::Connection;
use histone_network::{io_error, write_whole};
use histone_protocol::keys::SigningKey;
use histone_protocol::{Address, U256};
use zeroize::Zeroizing;

use super::Observer;
use crate::error::NodeError;
use crate::study::Study;

/// Lies in the private directory as long as the parties may have coins of the funder.
pub const FUNDED: &str = "funded";

/// Gas of the calls, rounded up well: measured figures are in `docs/performance.md`.
mod gas_of {
    /// All contracts, with their wiring.
    pub(super) const DEPLOYMENT: u64 = 40_000_000;
    /// Any call of a register: members, programs, enclaves, datasets, models.
    pub(super) const ENTRY: u64 = 350_000;
    /// A call of a round: open, anchor, close, post, finalize.
    pub(super) const ROUND: u64 = 180_000;
    /// Any payment: approve, buy, settle, refund, claim.
    pub(super) const PAYMENT: u64 = 150_000;
}

/// The price of gas may rise while a run goes on.
const MARGIN: u128 = 2;
/// Gas of a plain transfer.
const TRANSFER: u64 = 21_000;
/// Gas that an account must be able to pay to send one: the client asks for a quarter more than the estimate.
const TRANSFER_LIMIT: u64 = TRANSFER + TRANSFER / 4;

/// Sends coins from the funder, and what is left back to it.
pub(super) struct Purse {
    connection: Connection,
    funder: SigningKey,
    /// Directory of the parties with their keys.
    private: PathBuf,
    /// Wei for a unit of gas, margin included.
    price: u128,
}

impl Purse {
    /// `None` where gas is free.
    pub(super) async fn open(
        connection: &Connection,
        funder: Option<SigningKey>,
        private: PathBuf,
    ) -> Result<Option<Self>, NodeError> {
        let price = connection.gas_costs().await?;
        if price == 0 {
            return Ok(None);
        }
        let funder = funder.ok_or_else(|| {
            NodeError::Message(format!(
                "gas costs coins at {}; name the key of an account that has some with --funder-key FILE",
                connection.what()
            ))
        })?;
        let price = price.saturating_mul(MARGIN);
        Ok(Some(Self { connection: connection.clone(), funder, private, price }))
    }

    /// Gives each account coins for so much gas, less what it has. Nothing is sent unless the funder has enough for all.
    pub(super) async fn fill(
        &self,
        needs: &[(Address, u64)],
        observer: &mut dyn Observer,
    ) -> Result<(), NodeError> {
        let price = U256::from(self.price);
        let mut missing = Vec::new();
        let mut sum = U256::ZERO;
        for &(account, gas) in needs {
            let lacks = (price * U256::from(gas)).saturating_sub(self.connection.coins(account).await?);
            if !lacks.is_zero() {
                sum += lacks;
                missing.push((account, lacks));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let fees = price * U256::from(TRANSFER) * U256::from(missing.len());
        let has = self.connection.coins(self.funder.address()).await?;
        if has < sum + fees {
            return Err(NodeError::Message(format!(
                "the funder {} has {} coins, the run may need {}; send it more, or name a richer one with --funder-key",
                self.funder.address(),
                coins(has),
                coins(sum + fees)
            )));
        }
        let note = format!(
            "{} sent coins for gas to the accounts whose keys are in this directory, on chain {}. This file goes when what is left is back.\n",
            self.funder.address(),
            self.connection.chain_id().await?
        );
        write_whole(&self.private.join(FUNDED), note.as_bytes())?;
        for (account, lacks) in &missing {
            self.connection.send_coins(&self.funder, *account, *lacks).await?;
        }
        let accounts = missing.len();
        observer.note(&format!("the funder sent {} coins for gas to {accounts} account(s)", coins(sum)));
        Ok(())
    }

    /// Sends what is left back to the funder. When that fails the run is what it is: the keys and the file beside them stay.
    pub(super) async fn give_back(&self, observer: &mut dyn Observer) {
        let mark = self.private.join(FUNDED);
        if !mark.exists() {
            return;
        }
        observer.note("sending the funder the coins that are left");
        match self.collect(&mark).await {
            Ok((sum, accounts)) => {
                observer.note(&format!("{} coins of {accounts} account(s) sent back", coins(sum)))
            }
            Err(error) => observer.note(&format!(
                "not all coins were sent back: {}; the keys of the accounts that have them are in `{}`",
                histone_protocol::with_causes(&error),
                self.private.display()
            )),
        }
    }

    /// The first account whose coins cannot be sent ends it: a node that does not answer is not asked twenty times.
    async fn collect(&self, mark: &Path) -> Result<(U256, usize), NodeError> {
        let (mut sum, mut accounts) = (U256::ZERO, 0);
        for key in keys(&self.private)? {
            let has = self.connection.coins(key.address()).await?;
            let spare = spare(has, self.connection.gas_costs().await?);
            if !spare.is_zero() {
                self.connection.send_coins(&key, self.funder.address(), spare).await?;
                sum += spare;
                accounts += 1;
            }
        }
        fs::remove_file(mark).map_err(io_error("remove", mark))?;
        Ok((sum, accounts))
    }
}

/// What an account can send when a unit of gas costs at most so much. The price may rise by an eighth until the next block.
fn spare(has: U256, price: u128) -> U256 {
    let fee = (U256::from(price) * U256::from(TRANSFER_LIMIT) * U256::from(9)).div_ceil(U256::from(8));
    has.saturating_sub(fee)
}

/// The keys of all accounts of the parties: their own, and those that are paid for donations.
fn keys(private: &Path) -> Result<Vec<SigningKey>, NodeError> {
    let list = |dir: &Path| -> Result<Vec<PathBuf>, NodeError> {
        let entries = fs::read_dir(dir).map_err(io_error("list", dir))?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
        Ok(paths.map_err(io_error("list", dir))?)
    };
    let mut keys = Vec::new();
    for dir in list(private)?.iter().filter(|path| path.is_dir()) {
        for path in list(dir)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name != "signing.key" && !(name.starts_with("payee-") && name.ends_with(".key")) {
                continue;
            }
            let bytes = Zeroizing::new(fs::read(&path).map_err(io_error("read", &path))?);
            let key = bytes.as_slice().try_into().ok().and_then(|bytes| SigningKey::from_bytes(bytes).ok());
            keys.push(key.ok_or_else(|| NodeError::Message(format!("`{}` is no key", path.display())))?);
        }
    }
    Ok(keys)
}

/// Upper bounds of the gas that the parties of a study need.
pub(super) struct Needs {
    participants: u64,
    models: u64,
    committee: u64,
    queries: u64,
    rounds: u64,
}

impl Needs {
    /// Of a study whose training takes at most so many rounds.
    pub(super) fn of(study: &Study, rounds: u32) -> Self {
        Self {
            participants: study.participants.len() as u64,
            models: 1 + study.other_models.len() as u64,
            committee: study.committee.members.len() as u64,
            // One is refunded, one more is left for the attempts that are refused.
            queries: study.end_user.queries.len() as u64 + 2,
            rounds: u64::from(rounds),
        }
    }

    pub(super) fn operator(&self) -> u64 {
        let members = self.participants + self.models + self.committee + 2;
        // Members, three programs, mints, the end of the founder's power, and a few blocks to pass the time with.
        gas_of::DEPLOYMENT + gas_of::ENTRY * (members + self.models + 20)
    }

    /// Of a party with these role bits; of none, the end user.
    pub(super) fn of_roles(&self, bits: u8) -> u64 {
        let of = [
            (roles::OWNER, self.owner()),
            (roles::TRAINER, self.trainer()),
            (roles::RUNNER, self.runner()),
            (roles::AUDITOR, self.auditor()),
            (roles::COMMITTEE, self.committee()),
        ];
        let needs = of.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, needs)| needs);
        if bits == 0 { self.user() } else { needs.sum() }
    }

    fn owner(&self) -> u64 {
        // What it is paid it claims for the account of its donation.
        gas_of::ENTRY * 4 + gas_of::ROUND * self.rounds + gas_of::PAYMENT
    }

    fn trainer(&self) -> u64 {
        // Closing a round reads a word for every 256 donors, and so does opening it.
        let words = 30_000 * (self.participants / 256 + 1);
        gas_of::ENTRY * (8 + 4 * self.models) + (3 * gas_of::ROUND + words) * self.rounds
    }

    fn runner(&self) -> u64 {
        gas_of::ENTRY * 4 + gas_of::PAYMENT * self.queries
    }

    fn auditor(&self) -> u64 {
        gas_of::ENTRY * 4
    }

    fn committee(&self) -> u64 {
        gas_of::ROUND * (self.rounds + 1)
    }

    fn user(&self) -> u64 {
        2 * gas_of::PAYMENT * self.queries
    }
}

/// Wei as a decimal number of coins, rounded up to a millionth.
fn coins(wei: U256) -> String {
    let micro = wei.div_ceil(U256::from(1_000_000_000_000u64));
    let million = U256::from(1_000_000);
    format!("{}.{:06}", micro / million, (micro % million).saturating_to::<u64>())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use histone_chain::{Chain, Genesis, ManualClock, Sequencer};

    use super::*;
    use crate::party::{Entropy, Party};

    #[derive(Default)]
    struct Notes(Vec<String>);

    impl Observer for Notes {
        fn step(&mut self, _: usize, _: usize, _: &str) {}
        fn note(&mut self, text: &str) {
            self.0.push(text.into());
        }
        fn round(&mut self, _: u32, _: u32, _: &str) {}
    }

    /// Gas is free on this chain, so that not a wei is lost on the way.
    #[tokio::test]
    async fn what_is_left_goes_back_to_the_funder() {
        let home = tempfile::tempdir().unwrap();
        let private = home.path().join("run.private");
        let party = Party::create("operator", &private, Entropy::Seed(1)).unwrap();
        let poor = Party::create("stranger", &private, Entropy::Seed(1)).unwrap();
        let payee = SigningKey::from_bytes(&[8; 32]).unwrap();
        party.keep("payee-1.key", &*payee.to_bytes()).unwrap();
        party.keep("dataset.key", b"no key of an account").unwrap();
        let funder = SigningKey::from_bytes(&[7; 32]).unwrap();
        let rich = U256::from(10u64.pow(18));
        let sequencer = Sequencer::from_bytes(&[9; 32]).unwrap();
        let genesis = Genesis {
            chain_id: 4_711,
            timestamp: 1_800_000_000,
            sequencer: sequencer.address(),
            alloc: vec![(funder.address(), rich)],
            gas_limit: Genesis::GAS_LIMIT,
        };
        let clock = Arc::new(ManualClock::new(1_800_000_000));
        let chain = Chain::create(&home.path().join("chain"), genesis, sequencer, clock).unwrap();
        let connection = Connection::embedded(chain);
        let purse = Purse {
            connection: connection.clone(),
            funder: funder.clone(),
            private: private.clone(),
            price: 3,
        };
        let (mark, mut notes) = (private.join(FUNDED), Notes::default());
        // Nothing was sent: nothing to say.
        purse.give_back(&mut notes).await;
        assert!(!mark.exists() && notes.0.is_empty());

        let needs = [(party.account(), 1_000), (payee.address(), 10)];
        purse.fill(&needs, &mut notes).await.unwrap();
        assert_eq!(connection.coins(party.account()).await.unwrap(), U256::from(3_000));
        let text = fs::read_to_string(&mark).unwrap();
        assert!(text.starts_with(&funder.address().to_string()) && text.contains("on chain 4711"), "{text}");

        // A key that cannot be read: the rest stays where it is, and so does the mark.
        poor.keep("signing.key", b"short").unwrap();
        purse.give_back(&mut notes).await;
        assert!(mark.exists());
        let said = notes.0.last().unwrap();
        assert!(said.starts_with("not all coins were sent back") && said.contains("run.private"), "{said}");
        poor.keep("signing.key", &*poor.key.to_bytes()).unwrap();
        purse.give_back(&mut notes).await;
        assert!(!mark.exists());
        assert_eq!(notes.0.last().unwrap(), "0.000001 coins of 2 account(s) sent back");
        assert_eq!(connection.coins(funder.address()).await.unwrap(), rich);
    }

    #[test]
    fn an_account_keeps_what_its_last_transfer_may_cost() {
        // A limit of 26,250 gas at 8 wei, and an eighth more.
        for (has, spare_of_it) in
            [(0u64, 0u64), (236_249, 0), (236_250, 0), (236_251, 1), (1_000_000, 763_750)]
        {
            assert_eq!(spare(U256::from(has), 8), U256::from(spare_of_it), "{has}");
        }
        assert_eq!(spare(U256::from(5), 0), U256::from(5));
    }

    #[test]
    fn wei_are_written_as_coins() {
        for (wei, shown) in [
            (0u64, "0.000000"),
            (1, "0.000001"),
            (1_500_000_000_000_000_000, "1.500000"),
            (2_000_000_000_001, "0.000003"),
        ] {
            assert_eq!(coins(U256::from(wei)), shown);
        }
    }
}
