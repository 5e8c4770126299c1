//! An end user: buys an access code, asks, and reads the answer.

use chacha20::rand_core::Rng;
use histone_attestation::Attested;
use histone_enclave::query::{self, QUERY_INFO, QueryRequest, code_hash, open_answer, query_aad};
use histone_ledger::contracts::{Contract, Market, TestToken};
use histone_protocol::program::ProgramKind;
use histone_protocol::{B256, U256};

use crate::error::NodeError;
use crate::party::Party;
use crate::world::World;

/// An end user's node.
#[derive(Debug)]
pub struct User {
    /// Name, keys, directory.
    pub party: Party,
}

/// A paid access code, with the appraised enclave that it is for.
#[derive(Debug)]
pub struct AccessCode {
    /// The secret code.
    code: B256,
    /// The ledger's key of the query.
    pub query_id: B256,
    /// Model it was bought for.
    pub model_id: u64,
    /// The enclave that is to answer: a row is sealed to what was appraised and to nothing else.
    trusted: Attested,
}

impl AccessCode {
    /// The same code, to be tried at another model or enclave.
    #[must_use]
    pub fn redirected(&self, model_id: u64, trusted: Attested) -> AccessCode {
        AccessCode { code: self.code, query_id: self.query_id, model_id, trusted }
    }
}

impl User {
    /// Looks at the enclave that serves a model now: registered, alive, with the audited program, started for this model,
    /// and its evidence. What comes back is what [`User::buy`] and [`User::ask`] trust.
    pub async fn appraise(&self, model_id: u64, world: &World) -> Result<Attested, NodeError> {
        let call = Market::modelCall { modelId: U256::from(model_id) };
        let model = world.ledger.read(Contract::Market, call).await?;
        let init_data = query::init_data(world.ledger.deployment(), model_id, model.modelHash);
        world.appraise_for(model_id, model.queryEnclave, ProgramKind::Query, init_data).await
    }

    /// Pays for one query to the enclave that was appraised, and to no other: the contract refuses when another one serves
    /// by now. Only a hash of the code is on the ledger.
    pub async fn buy(
        &mut self,
        model_id: u64,
        price: u64,
        trusted: Attested,
        world: &World,
    ) -> Result<AccessCode, NodeError> {
        let ledger = &world.ledger;
        let mut code = [0; 32];
        self.party.rng.fill_bytes(&mut code);
        let code = B256::from(code);
        let approve =
            TestToken::approveCall { spender: ledger.deployment().market, value: U256::from(price) };
        ledger.send(&self.party.key, Contract::Token, approve).await?;
        let call = Market::buyCall {
            modelId: U256::from(model_id),
            codeHash: code_hash(code),
            enclave: trusted.keys().receipt,
        };
        let bought =
            ledger.send(&self.party.key, Contract::Market, call).await?.event::<Market::QueryBought>()?;
        Ok(AccessCode { code, query_id: bought.queryId, model_id, trusted })
    }

    /// A code that nobody has paid for.
    pub fn invent_code(&mut self, model_id: u64, trusted: Attested) -> AccessCode {
        let mut code = [0; 32];
        self.party.rng.fill_bytes(&mut code);
        let code = B256::from(code);
        let query_id = histone_ledger::query_id(self.party.account(), code_hash(code));
        AccessCode { code, query_id, model_id, trusted }
    }

    /// Seals a question to the enclave that was appraised for the code, as long as the appraisal is valid.
    pub async fn ask(
        &mut self,
        code: &AccessCode,
        row: Vec<f64>,
        world: &World,
    ) -> Result<Vec<u8>, NodeError> {
        let now = world.ledger.time().await?;
        if now > code.trusted.valid_until() {
            return Err(NodeError::Message(format!(
                "the appraisal of the query enclave was valid until {}, it is {now}; the row is not sealed to it",
                code.trusted.valid_until()
            )));
        }
        let request = QueryRequest {
            user: self.party.account(),
            code: code.code,
            reply_to: self.party.seal.public(),
            row,
        };
        let keys = code.trusted.keys();
        let aad = query_aad(code.model_id, keys.receipt);
        Ok(keys.seal.seal(QUERY_INFO, aad.as_slice(), &request.encode(), &mut self.party.rng)?)
    }

    /// Reads an answer: the probability of the positive class.
    pub fn read(&self, code: &AccessCode, answer: &[u8]) -> Result<f64, NodeError> {
        Ok(open_answer(&self.party.seal, code.query_id, answer)?)
    }

    /// Takes the money back for a query that nobody answered in time.
    pub async fn refund(&self, code: &AccessCode, world: &World) -> Result<(), NodeError> {
        let call = Market::refundCall { queryId: code.query_id };
        world.ledger.send(&self.party.key, Contract::Market, call).await?;
        Ok(())
    }
}
