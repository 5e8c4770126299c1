//! An end user: buys an access code, asks, and reads the answer.

use chacha20::rand_core::Rng;
use histone_enclave::query::{QUERY_INFO, QueryRequest, code_hash, open_answer, query_aad};
use histone_ledger::contracts::{Contract, Enclaves, Market, TestToken};
use histone_protocol::seal::SealPublicKey;
use histone_protocol::{Address, B256, U256};

use crate::error::NodeError;
use crate::party::Party;
use crate::world::World;

/// An end user's node.
#[derive(Debug)]
pub struct User {
    /// Name, keys, directory.
    pub party: Party,
}

/// A paid access code.
#[derive(Debug, Clone, Copy)]
pub struct AccessCode {
    /// The secret code.
    code: B256,
    /// The ledger's key of the query.
    pub query_id: B256,
    /// Model it was bought for.
    pub model_id: u64,
    /// Enclave that is to answer.
    pub enclave: Address,
}

impl User {
    /// Pays for one query; only a hash of the code is on the ledger.
    pub async fn buy(&mut self, model_id: u64, price: u64, world: &World) -> Result<AccessCode, NodeError> {
        let ledger = &world.ledger;
        let mut code = [0; 32];
        self.party.rng.fill_bytes(&mut code);
        let code = B256::from(code);
        let approve =
            TestToken::approveCall { spender: ledger.deployment().market, value: U256::from(price) };
        ledger.send(&self.party.key, Contract::Token, approve).await?;
        let call = Market::buyCall { modelId: U256::from(model_id), codeHash: code_hash(code) };
        let bought =
            ledger.send(&self.party.key, Contract::Market, call).await?.event::<Market::QueryBought>()?;
        Ok(AccessCode { code, query_id: bought.queryId, model_id, enclave: bought.enclave })
    }

    /// A code that nobody has paid for.
    pub fn invent_code(&mut self, model_id: u64, enclave: Address) -> AccessCode {
        let mut code = [0; 32];
        self.party.rng.fill_bytes(&mut code);
        let code = B256::from(code);
        let query_id = histone_ledger::query_id(self.party.account(), code_hash(code));
        AccessCode { code, query_id, model_id, enclave }
    }

    /// Seals a question to the enclave that the ledger names for the code.
    pub async fn ask(
        &mut self,
        code: AccessCode,
        row: Vec<f64>,
        world: &World,
    ) -> Result<Vec<u8>, NodeError> {
        let call = Enclaves::enclaveCall { signer: code.enclave };
        let seal_key = world.ledger.read(Contract::Enclaves, call).await?.sealKey;
        let request = QueryRequest {
            user: self.party.account(),
            code: code.code,
            reply_to: self.party.seal.public(),
            row,
        };
        let aad = query_aad(code.model_id, code.enclave);
        Ok(SealPublicKey(seal_key).seal(
            QUERY_INFO,
            aad.as_slice(),
            &request.encode(),
            &mut self.party.rng,
        )?)
    }

    /// Reads an answer: the probability of the positive class.
    pub fn read(&self, code: AccessCode, answer: &[u8]) -> Result<f64, NodeError> {
        Ok(open_answer(&self.party.seal, code.query_id, answer)?)
    }

    /// Takes the money back for a query that nobody answered in time.
    pub async fn refund(&self, code: AccessCode, world: &World) -> Result<(), NodeError> {
        let call = Market::refundCall { queryId: code.query_id };
        world.ledger.send(&self.party.key, Contract::Market, call).await?;
        Ok(())
    }
}
