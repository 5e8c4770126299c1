//! The contract of one pool.

use alloy::primitives::{Address, B256, TxKind, U256};
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, TransactionInput, TransactionRequest};
use alloy::sol_types::{SolCall, SolConstructor, SolEvent};
use histone_contracts::book::Amount;
use histone_contracts::{Contract, Epochs, LedgerError, Market};
use histone_protocol::keys::SigningKey;
use serde::Serialize;

use super::Epoch;
use crate::{Ledger, Receipt, explain};

/// A client of one pool.
#[derive(Debug, Clone)]
pub struct Pool<'a> {
    ledger: &'a Ledger,
    address: Address,
}

/// Where a pool stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolState {
    /// Its contract.
    pub pool: Address,
    /// Who proposes roots.
    pub keeper: Address,
    /// Seconds in which a root can be vetoed.
    pub window: u32,
    /// Seconds for which the keeper must have said nothing before an auditor proposes in its place.
    pub silence: u32,
    /// Number of the latest root, 0 when there was none.
    pub epoch: u32,
    /// The latest root; none before the first.
    pub root: Option<B256>,
    /// Hash of its list.
    pub list_hash: Option<B256>,
    /// What its list shares out.
    pub total: Option<Amount>,
    /// From then on it pays, Unix seconds.
    pub usable_at: u64,
    /// Number of the root that pays now, 0 when there is none.
    pub epoch_in_use: u32,
    /// Units paid out.
    pub paid_out: Amount,
    /// Units that ever arrived.
    pub received: Amount,
}

/// What a comparison of a list with the latest root of a pool found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolCheck {
    /// The pool.
    #[serde(flatten)]
    pub state: PoolState,
    /// Root of the list, computed here.
    pub computed_root: B256,
    /// Hash of the list, computed here.
    pub computed_list_hash: B256,
    /// What the list shares out, computed here.
    pub computed_sum: Amount,
    /// What does not fit; empty when all does.
    pub differences: Vec<String>,
}

impl PoolCheck {
    /// Whether the posted root is that of the list.
    pub fn holds(&self) -> bool {
        self.differences.is_empty()
    }
}

/// What a donor of a model got and will get: what a pool shares out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DonorIncome {
    /// The account that is paid.
    pub payee: Address,
    /// What was paid to it.
    pub paid: Amount,
    /// What it can claim.
    pub owed: Amount,
}

impl Ledger {
    /// Deploys the contract of a pool; gives its address.
    pub async fn create_pool(
        &self,
        from: &SigningKey,
        keeper: Address,
        window: u32,
        silence: u32,
    ) -> Result<Address, LedgerError> {
        let d = self.deployment();
        let constructor = Epochs::constructorCall {
            token_: d.token,
            members_: d.members,
            keeper_: keeper,
            window_: window,
            silence_: silence,
        };
        let code = [Epochs::BYTECODE.to_vec(), constructor.abi_encode()].concat();
        let name = "epochs.deploy".to_owned();
        let receipt = self.transact(from, name.clone(), TxKind::Create, code.into()).await?;
        let detail = || "no contract address in the receipt".into();
        receipt.0.contract_address.ok_or_else(|| LedgerError::Decode { name, detail: detail() })
    }

    /// The pool at an address. Refused when there is no contract, or one of another ledger.
    pub async fn pool(&self, address: Address) -> Result<Pool<'_>, LedgerError> {
        let pool = Pool { ledger: self, address };
        let odd = |detail: String| LedgerError::Decode { name: format!("pool {address}"), detail };
        // Other contracts have a token and members too; only a pool has epochs.
        let parts = async {
            pool.read(Epochs::latestCall {}).await?;
            Ok((pool.read(Epochs::tokenCall {}).await?, pool.read(Epochs::membersCall {}).await?))
        };
        let (token, members) = match parts.await {
            Ok(parts) => parts,
            Err(LedgerError::Decode { .. } | LedgerError::Refused { .. }) => {
                return Err(odd("there is no contract of a pool at this address".into()));
            }
            Err(other) => return Err(other),
        };
        let d = self.deployment();
        if token != d.token || members != d.members {
            return Err(odd("it pays another token, or asks other members, than this ledger".into()));
        }
        Ok(pool)
    }

    /// What a donor of a model got and will get.
    pub async fn donor_income(&self, model: u64, donor: u16) -> Result<DonorIncome, LedgerError> {
        let (model_id, donor_index) = (U256::from(model), donor);
        let info = self
            .read(Contract::Market, Market::donorCall { modelId: model_id, donorIndex: donor_index })
            .await?;
        let owed = Market::owedDonorCall { modelId: model_id, donorIndex: donor_index };
        let owed = self.read(Contract::Market, owed).await?;
        let filter = Filter::new()
            .address(self.deployment().market)
            .event_signature(Market::DonorPaid::SIGNATURE_HASH)
            .topic1(model_id)
            .topic2(U256::from(donor));
        let name = "market.DonorPaid";
        let mut paid = Amount::default();
        for log in self.all_logs(name, filter).await? {
            let event = Market::DonorPaid::decode_log(&log.inner)
                .map_err(|e| LedgerError::Decode { name: name.into(), detail: e.to_string() })?;
            paid.add(event.data.amount);
        }
        Ok(DonorIncome { payee: info.payee, paid, owed: Amount(owed) })
    }
}

impl Pool<'_> {
    /// Its address.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Where it stands.
    pub async fn state(&self) -> Result<PoolState, LedgerError> {
        let latest = self.read(Epochs::latestCall {}).await?;
        let in_use = self.read(Epochs::inUseCall {}).await?;
        let totals = self.read(Epochs::totalsCall {}).await?;
        let epoch: u32 = latest.epoch.to();
        // A root that was vetoed has the number of the one after it: the last proposal with this root is the one.
        let proposed = self.proposals().await?;
        let proposed = proposed.iter().rev().find(|e| e.epoch == latest.epoch && e.root == latest.root);
        Ok(PoolState {
            pool: self.address,
            keeper: self.read(Epochs::keeperCall {}).await?,
            window: self.read(Epochs::windowCall {}).await?,
            silence: self.read(Epochs::silenceCall {}).await?,
            epoch,
            root: (epoch > 0).then_some(latest.root),
            list_hash: proposed.map(|e| e.listHash),
            total: proposed.map(|e| Amount(e.total)),
            usable_at: latest.usableAt,
            epoch_in_use: in_use.epoch.to(),
            paid_out: Amount(totals.paidOut),
            received: Amount(totals.received),
        })
    }

    /// Proposes the root of a list which shares out `total` with what rounding leaves. By the keeper or an auditor.
    pub async fn propose(&self, by: &SigningKey, list: &Epoch, total: U256) -> Result<Receipt, LedgerError> {
        let call = Epochs::proposeCall { root: list.root(), listHash: list.list_hash(), total };
        self.send(by, call).await
    }

    /// Takes back a root in its window. By an auditor, with the hash of a document which says why.
    pub async fn veto(&self, auditor: &SigningKey, epoch: u32, report: B256) -> Result<Receipt, LedgerError> {
        let epoch = alloy::primitives::aliases::U24::saturating_from(epoch);
        self.send(auditor, Epochs::vetoCall { epoch, reportHash: report }).await
    }

    /// Pays an account by the root in use. Anybody may; the money goes to the account.
    pub async fn claim(
        &self,
        anybody: &SigningKey,
        account: Address,
        due: U256,
        proof: Vec<B256>,
    ) -> Result<Receipt, LedgerError> {
        self.send(anybody, Epochs::claimCall { account, due, proof }).await
    }

    /// What was paid to an account.
    pub async fn paid(&self, account: Address) -> Result<Amount, LedgerError> {
        Ok(Amount(self.read(Epochs::paidCall { account }).await?))
    }

    /// Compares a list with the latest root.
    pub async fn check(&self, list: &Epoch) -> Result<PoolCheck, LedgerError> {
        let state = self.state().await?;
        let (root, list_hash, sum) = (list.root(), list.list_hash(), Amount(list.sum()));
        let mut differences = Vec::new();
        match state.root {
            None => differences.push("the pool has no root yet".into()),
            Some(posted) if posted != root => {
                differences.push(format!("the posted root is {posted}, that of the list {root}"));
            }
            Some(_) => {}
        }
        if let Some(posted) = state.list_hash.filter(|&posted| posted != list_hash) {
            differences
                .push(format!("the posted hash of the list is {posted}, that of this list {list_hash}"));
        }
        if let Some(total) = state.total.filter(|&total| sum > total) {
            differences.push(format!("the list shares out {sum}, more than the {total} that were announced"));
        }
        if let Some(total) = state.total.filter(|&total| total > state.received) {
            differences.push(format!("{total} are shared out, and only {} ever arrived", state.received));
        }
        Ok(PoolCheck {
            state,
            computed_root: root,
            computed_list_hash: list_hash,
            computed_sum: sum,
            differences,
        })
    }

    async fn proposals(&self) -> Result<Vec<Epochs::EpochProposed>, LedgerError> {
        let name = "epochs.EpochProposed";
        let filter =
            Filter::new().address(self.address).event_signature(Epochs::EpochProposed::SIGNATURE_HASH);
        let decode = |log: &alloy::rpc::types::Log| {
            Epochs::EpochProposed::decode_log(&log.inner)
                .map(|log| log.data)
                .map_err(|e| LedgerError::Decode { name: name.into(), detail: e.to_string() })
        };
        self.ledger.all_logs(name, filter).await?.iter().map(decode).collect()
    }

    async fn send<C: SolCall>(&self, from: &SigningKey, call: C) -> Result<Receipt, LedgerError> {
        let input = call.abi_encode().into();
        self.ledger.transact(from, name::<C>(), TxKind::Call(self.address), input).await
    }

    async fn read<C: SolCall>(&self, call: C) -> Result<C::Return, LedgerError> {
        let name = name::<C>();
        let input = TransactionInput::new(call.abi_encode().into());
        let request = TransactionRequest::default().to(self.address).input(input);
        let answer = self.ledger.connection.provider().call(request).await;
        let bytes = answer.map_err(|e| explain::transport(&name, e))?;
        C::abi_decode_returns(&bytes).map_err(|e| LedgerError::Decode { name, detail: e.to_string() })
    }
}

fn name<C: SolCall>() -> String {
    format!("epochs.{}", C::SIGNATURE.split('(').next().unwrap_or_default())
}
