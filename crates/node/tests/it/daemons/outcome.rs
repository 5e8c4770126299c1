//! What a study has led to, as far as it must not depend on who was interrupted when.

use std::collections::BTreeMap;

use histone_contracts::{Book, Contract, Market};
use histone_protocol::{Address, B256, U256};
use serde_json::{Value, json};

use super::gathered::Gathered;

/// Who has called which function, by its selector, of what.
type Act = (String, Contract, String);
/// `approve` of a token.
const APPROVE: &str = "0x095ea7b3";

/// The numbers of letters that a test writes in the name of a party, which its node has not written.
pub const LIES: u64 = 1 << 40;

/// What is the same after every run of a study.
#[derive(Debug)]
pub struct Outcome {
    pub model: Option<B256>,
    pub state: &'static str,
    pub rounds: u32,
    /// Of each dataset that was donated: the account that is paid, what is owed to it, whether its use has ended, whether it was struck.
    pub donors: BTreeMap<B256, (Address, U256, bool, bool)>,
    /// What the market owes to whom.
    pub owed: BTreeMap<String, U256>,
    /// How many enclaves there are, and datasets, programs, members, queries.
    pub counts: [usize; 5],
    /// What the end user was answered.
    pub answers: Vec<Value>,
    /// How often who has called what.
    pub acts: BTreeMap<Act, usize>,
    /// What was refused of that.
    pub refused: BTreeMap<Act, usize>,
    /// From whom, to whom, for what. Enclaves have the names of their operators there.
    pub letters: Vec<(String, String, String)>,
    /// The enclaves of the donors in their order, with their evidence. A process that ends while it starts one starts another one next,
    /// and evidence says when.
    pub training: Vec<(Address, B256)>,
}

impl Outcome {
    /// Demands what has come of a run in which nobody was interrupted. The name of a sealed model comes from who has masked its sums,
    /// so that it is the same where the same enclaves have trained it, in the same order.
    pub fn is(&self, undisturbed: &Outcome, is_sealed: bool, when: &str) {
        if !is_sealed || self.training == undisturbed.training {
            assert_eq!(self.model, undisturbed.model, "{when}");
        }
        assert_eq!((self.state, self.rounds), (undisturbed.state, undisturbed.rounds), "{when}");
        assert_eq!(self.donors, undisturbed.donors, "{when}");
        assert_eq!(self.owed, undisturbed.owed, "{when}");
        assert_eq!(self.counts, undisturbed.counts, "{when}");
        assert_eq!(self.answers, undisturbed.answers, "{when}");
        assert_eq!(self.refused, undisturbed.refused, "{when}");
        // How much the market may take is said again where it was not taken yet: it is the same then.
        let again = |act: &Act| act.1 == Contract::Token && act.2 == APPROVE;
        let differs =
            |(act, count): &(&Act, &usize)| undisturbed.acts.get(*act) != Some(*count) && !again(act);
        let differ: Vec<_> = self.acts.iter().filter(differs).collect();
        assert!(differ.is_empty() && self.acts.len() == undisturbed.acts.len(), "{when}: {differ:?}");
        // A sealed round is carried by more than half: an enclave that could not follow it in time says nothing of it.
        let compared = |outcome: &Outcome| {
            let said = |letter: &&(String, String, String)| letter.2.starts_with("said/");
            outcome.letters.iter().filter(|letter| !said(letter)).cloned().collect::<Vec<_>>()
        };
        assert_eq!(compared(self), compared(undisturbed), "{when}");
    }
}

impl Gathered {
    /// What everything has led to.
    pub async fn outcome(&self) -> Outcome {
        let book = self.book().await;
        let model = book.models.iter().next().unwrap();
        let donors = model.donors.iter();
        let donors = donors.map(|d| (d.dataset, (d.payee, d.owed.0, d.use_ended, d.excluded))).collect();
        let mut owed = BTreeMap::new();
        for daemon in &self.daemons {
            let account = daemon.node.party.account();
            let due = self.ledger.read(Contract::Market, Market::owedCall { account }).await.unwrap();
            owed.insert(daemon.node.party.name.clone(), due);
        }
        let user = self.daemons.iter().find(|d| d.node.party.name == self.study.end_user.name).unwrap();
        let wishes = user.node.store.wishes(false).unwrap();
        let (acts, refused) = self.acts();
        let evidence = |enclave| book.enclaves.get(&enclave).unwrap().evidence_hash;
        Outcome {
            model: model.model_hash,
            state: model.state.word(),
            rounds: model.rounds,
            donors,
            owed,
            counts: [
                book.enclaves.len(),
                book.datasets.len(),
                book.programs.len(),
                book.members.len(),
                book.queries.len(),
            ],
            answers: wishes.into_iter().map(|wish| json!(format!("{:?}", wish.state))).collect(),
            acts,
            refused,
            letters: self.letters(&book),
            training: model.donors.iter().map(|d| (d.enclave, evidence(d.enclave))).collect(),
        }
    }

    fn name(&self, account: Address) -> String {
        let daemon = self.daemons.iter().find(|d| d.node.party.account() == account);
        daemon.map_or_else(|| account.to_string(), |d| d.node.party.name.clone())
    }

    /// All calls of contracts since they were deployed, by who called what; and those that were refused.
    fn acts(&self) -> (BTreeMap<Act, usize>, BTreeMap<Act, usize>) {
        let (mut acts, mut refused) = (BTreeMap::new(), BTreeMap::new());
        for number in 1..=self.chain.head().unwrap().header.number {
            let request = json!({
                "jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": [format!("{number:#x}"), true]
            });
            let answer = self.chain.handle(&serde_json::to_vec(&request).unwrap());
            let block = serde_json::from_slice::<Value>(&answer).unwrap()["result"].take();
            let receipts = self.chain.block(number).unwrap().unwrap().receipts;
            for (sent, receipt) in block["transactions"].as_array().unwrap().iter().zip(receipts) {
                let Ok(to) = serde_json::from_value::<Address>(sent["to"].clone()) else { continue };
                let called = |c: &&Contract| self.ledger.deployment().address(**c) == to;
                let contract = *Contract::ALL.iter().find(called).unwrap();
                let from = self.name(serde_json::from_value(sent["from"].clone()).unwrap());
                let input = sent["input"].as_str().unwrap();
                let key = (from, contract, input[..10].to_string());
                *acts.entry(key.clone()).or_default() += 1;
                if !receipt.success {
                    *refused.entry(key).or_default() += 1;
                }
            }
        }
        (acts, refused)
    }

    /// The letters that were delivered. Each was read once by whom it is for.
    fn letters(&self, book: &Book) -> Vec<(String, String, String)> {
        let mut letters = Vec::new();
        let (mut sent, mut read) = (Vec::new(), Vec::new());
        for (daemon, seat) in self.daemons.iter().zip(&self.seats) {
            let name = &daemon.node.party.name;
            let connection = rusqlite::Connection::open(seat.home.join("store.sqlite")).unwrap();
            let mut rows =
                connection.prepare("SELECT receiver, purpose, number, id, delivered FROM outgoing").unwrap();
            let rows = rows.query_map([], |row| {
                let (to, delivered) = (Address::new(row.get(0)?), row.get::<_, Option<i64>>(4)?);
                Ok((to, row.get::<_, String>(1)?, row.get::<_, i64>(2)?, B256::new(row.get(3)?), delivered))
            });
            for row in rows.unwrap() {
                let (to, purpose, number, id, delivered) = row.unwrap();
                // What liars are shown of the ledger is looked at and not kept.
                if purpose.starts_with("block/") {
                    continue;
                }
                assert!(delivered.is_some(), "{name} -> {}: {purpose}", self.name(to));
                let named = book.enclaves.iter().fold(purpose, |purpose, enclave| {
                    purpose.replace(&format!("{:x}", enclave.signer), &self.name(enclave.operator))
                });
                letters.push((name.clone(), self.name(to), named));
                sent.push((name.clone(), self.name(to), number, id));
            }
            let sql = format!("SELECT author, number, id, done FROM incoming WHERE number < {LIES}");
            let mut rows = connection.prepare(&sql).unwrap();
            let rows = rows.query_map([], |row| {
                let from = Address::new(row.get(0)?);
                Ok((from, row.get::<_, i64>(1)?, B256::new(row.get(2)?), row.get::<_, Option<i64>>(3)?))
            });
            for row in rows.unwrap() {
                let (from, number, id, done) = row.unwrap();
                assert!(done.is_some(), "{name} has not read number {number} of {}", self.name(from));
                read.push((self.name(from), name.clone(), number, id));
            }
        }
        sent.sort();
        read.sort();
        assert_eq!(sent, read, "each letter once");
        letters.sort();
        letters
    }
}
