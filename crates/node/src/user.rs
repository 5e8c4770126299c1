//! An end user: buys an access code, asks, and reads the answer.

use histone_attestation::Attested;
use histone_contracts::{Contract, Enclaves, Market, TestToken, query_state};
use histone_enclave::cohort;
use histone_enclave::query::{
    self, QUERY_INFO, QueryRequest, bought_before, code_hash, open_answer, query_aad,
};
use histone_protocol::program::ProgramKind;
use histone_protocol::{Address, B256, U256};

use crate::error::NodeError;
use crate::party::Party;
use crate::plan;
use crate::recompute;
use crate::world::World;

/// The series of access codes, for the party's counter.
const CODES: &str = "codes";

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
    /// and its evidence; and at the model, which must follow from its public rounds. What comes back is what [`User::buy`]
    /// and [`User::ask`] trust.
    pub async fn appraise(&self, model_id: u64, world: &World) -> Result<Attested, NodeError> {
        let call = Market::modelCall { modelId: U256::from(model_id) };
        let enclave = world.ledger.read(Contract::Market, call).await?.queryEnclave;
        self.appraise_enclave(model_id, enclave, world).await
    }

    async fn appraise_enclave(
        &self,
        model_id: u64,
        enclave: Address,
        world: &World,
    ) -> Result<Attested, NodeError> {
        let call = Market::modelCall { modelId: U256::from(model_id) };
        let model = world.ledger.read(Contract::Market, call).await?;
        let init_data =
            query::init_data(world.ledger.deployment(), model_id, model.modelHash, model.planHash);
        self.recompute(model_id, init_data, world).await?;
        let attested = world.appraise_for(model_id, enclave, ProgramKind::Query, init_data).await?;
        let promised = plan::read(model.planHash, world)?.programs.query;
        if attested.measurement() != promised {
            return Err(NodeError::Message(format!(
                "the enclave {enclave} answers for model {model_id} with the program {}; its plan promises {promised}",
                attested.measurement()
            )));
        }
        Ok(attested)
    }

    /// Recomputes the training of a model, once: what follows from final rounds does not change. `init_data` names the
    /// ledger, the model and its hash.
    async fn recompute(&self, model_id: u64, init_data: B256, world: &World) -> Result<(), NodeError> {
        let name = format!("recomputed-{model_id}.bin");
        if self.party.recall(&name)?.as_deref() == Some(init_data.as_slice()) {
            return Ok(());
        }
        recompute::check(model_id, world).await?;
        Ok(self.party.keep(&name, init_data.as_slice())?)
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
        let number = self.next_code()?;
        self.buy_with(number, model_id, price, trusted, world).await
    }

    /// The number of a code that was never used.
    pub(crate) fn next_code(&self) -> Result<u64, NodeError> {
        Ok(self.party.next(CODES)?)
    }

    /// What a query with the code of this number is called on the ledger.
    pub(crate) fn query_id(&self, number: u64) -> B256 {
        histone_contracts::query_id(self.party.account(), code_hash(self.code(number)))
    }

    /// Pays with the code of this number. Counted before it is paid for: a code that was bought comes back with the root, and none is
    /// used twice.
    pub(crate) async fn buy_with(
        &self,
        number: u64,
        model_id: u64,
        price: u64,
        trusted: Attested,
        world: &World,
    ) -> Result<AccessCode, NodeError> {
        let ledger = &world.ledger;
        let most = plan::of_model(model_id, world).await?.disclosure.answers;
        if most > 0 && bought_before(model_id, self.party.account(), None, ledger).await? >= most {
            return Err(NodeError::Message(format!(
                "the plan of model {model_id} lets one account buy {most} answers, and this one has as many; another would be refunded only"
            )));
        }
        let code = self.code(number);
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

    /// The codes that this user has paid for and not used, after a restart for instance.
    pub async fn unused_codes(&self, world: &World) -> Result<Vec<AccessCode>, NodeError> {
        let mut codes = Vec::new();
        for number in 0..self.party.count(CODES)? {
            let query_id = self.query_id(number);
            let query = world.ledger.read(Contract::Market, Market::queryCall { queryId: query_id }).await?;
            if query.state != query_state::FUNDED {
                continue;
            }
            let model_id = u64::from(query.modelId);
            let serving =
                Market::servingEnclaveCall { modelId: U256::from(model_id), serving: query.serving };
            let enclave = world.ledger.read(Contract::Market, serving).await?;
            codes.push(self.bought(number, model_id, enclave, world).await?);
        }
        Ok(codes)
    }

    /// The code of this number, which was paid for, with the enclave that is to answer, appraised again.
    pub(crate) async fn bought(
        &self,
        number: u64,
        model_id: u64,
        enclave: Address,
        world: &World,
    ) -> Result<AccessCode, NodeError> {
        let trusted = self.appraise_enclave(model_id, enclave, world).await?;
        Ok(AccessCode { code: self.code(number), query_id: self.query_id(number), model_id, trusted })
    }

    fn code(&self, number: u64) -> B256 {
        B256::from(*self.party.root().derive("access code", &[&number.to_le_bytes()]))
    }

    /// A code that nobody has paid for.
    pub fn invent_code(&mut self, model_id: u64, trusted: Attested) -> AccessCode {
        let code = B256::from(*self.party.root().derive("unpaid code", &[]));
        let query_id = histone_contracts::query_id(self.party.account(), code_hash(code));
        AccessCode { code, query_id, model_id, trusted }
    }

    /// Seals a question to the enclave that was appraised for the code, as long as the appraisal is valid and the ledger
    /// still has that enclave, alive and with the same key and evidence. Between payment and question somebody may have found
    /// that its key is stolen.
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
        let keys = code.trusted.keys();
        let live = Enclaves::requireLiveCall { signer: keys.receipt, kind: ProgramKind::Query.code() };
        // Says why, where it is not alive.
        world.ledger.read(Contract::Enclaves, live).await?;
        let facts = cohort::enclave(keys.receipt, ProgramKind::Query, &world.ledger).await?;
        if facts.keys != keys || facts.evidence_hash != code.trusted.evidence_hash() {
            return Err(NodeError::Message(
                "the query enclave has other evidence or another key than it was appraised with; the row is not sealed to it, appraise it again"
                    .into(),
            ));
        }
        let request = QueryRequest {
            user: self.party.account(),
            code: code.code,
            reply_to: self.party.seal.public(),
            row,
        };
        let aad = query_aad(code.model_id, keys.receipt);
        Ok(keys.seal.seal(QUERY_INFO, aad.as_slice(), &request.encode(), self.party.root())?)
    }

    /// Reads an answer: a number for each field of what the method answers, none where there is none.
    pub fn read(&self, code: &AccessCode, answer: &[u8]) -> Result<Vec<Option<f64>>, NodeError> {
        Ok(open_answer(&self.party.seal, code.query_id, answer)?)
    }

    /// Reads the answer to a settled query off the ledger: whoever was paid for it has put it there. `None` before.
    pub async fn fetch(
        &self,
        code: &AccessCode,
        world: &World,
    ) -> Result<Option<Vec<Option<f64>>>, NodeError> {
        self.answer_to(code.query_id, world).await
    }

    /// The same by the ledger's name of the query.
    pub(crate) async fn answer_to(
        &self,
        query_id: B256,
        world: &World,
    ) -> Result<Option<Vec<Option<f64>>>, NodeError> {
        let settled = world.ledger.logged::<Market::QuerySettled>(Contract::Market, Some(query_id)).await?;
        let read = |answer: &[u8]| Ok(open_answer(&self.party.seal, query_id, answer)?);
        settled.first().map(|s| read(&s.event.answer)).transpose()
    }

    /// Takes the money back for a query that nobody answered in time.
    pub async fn refund(&self, code: &AccessCode, world: &World) -> Result<(), NodeError> {
        self.refund_query(code.query_id, world).await
    }

    /// The same by the ledger's name of the query.
    pub(crate) async fn refund_query(&self, query_id: B256, world: &World) -> Result<(), NodeError> {
        let call = Market::refundCall { queryId: query_id };
        world.ledger.send(&self.party.key, Contract::Market, call).await?;
        Ok(())
    }
}
