//! The query service: holds a trained model sealed, answers paid queries, signs what settles them.

use histone_contracts::{Contract, Deployment, Enclaves, LedgerError, LedgerView, Market, query_state};
use histone_federation::sealed::ModelKey;
use histone_federation::training::model_hash;
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::{Reader, Wire, Writer, decode_vector, encode_vector};
use histone_protocol::hash::{blob_hash, tagged_hash};
use histone_protocol::keys::SignatureBytes;
use histone_protocol::plan::PlanDocument;
use histone_protocol::program::ProgramKind;
use histone_protocol::receipt::{self, QueryReceipt};
use histone_protocol::seal::SealPublicKey;
use histone_protocol::{Address, B256, U256};
use zeroize::Zeroizing;

use crate::described::Described;
use crate::instance::{EnclaveError, Instance};
use crate::method::HostedAnswer;
use crate::storage::Storage;
use crate::training::{MODEL_KEY_INFO, model_key_aad};

/// HPKE `info` of a query to an enclave.
pub const QUERY_INFO: &str = "histone/query/v1";
/// HPKE `info` of an answer to a user.
pub const ANSWER_INFO: &str = "histone/answer/v1";
/// Under which name a model is encrypted for its operator.
const MODEL: &str = "model";
/// Seconds that an answer needs to reach the ledger, at the most. It is public from the moment in which it is sent there:
/// with less time left, a user could read it off a settlement that comes too late, and take the price back.
pub const SETTLING: u64 = 60;

/// What a query enclave is started with: the model on which market, and the plan, whose document names the method that made it
/// and the module that applies it.
pub fn init_data(ledger: &Deployment, model_id: u64, model_hash: B256, plan: B256) -> B256 {
    tagged_hash(
        "histone/query-init/v2",
        &[
            &ledger.chain_id.to_le_bytes(),
            ledger.market.as_slice(),
            &model_id.to_le_bytes(),
            model_hash.as_slice(),
            plan.as_slice(),
        ],
    )
}

/// What a query enclave gets from its operator. Nothing of it is believed: the ledger names the hashes of model and plan, the
/// plan measures method and answer module.
#[derive(Debug, Clone, Copy)]
pub struct Served<'a> {
    /// The ledger's number of the model.
    pub model_id: u64,
    /// The plan that it was trained by.
    pub plan: &'a PlanDocument,
    /// The method of the plan, whose manifest says how answers are rounded.
    pub method: &'a Described,
}

/// A trained model, as a query enclave gets it from its operator. Nothing of it is believed: the ledger names the model.
#[derive(Debug, Clone, Copy)]
pub enum Given<'a> {
    /// A public one.
    Public(&'a [u8]),
    /// One that is under a key, which a training enclave has handed over to this enclave.
    Sealed {
        /// The model under its key.
        blob: &'a [u8],
        /// What [`TrainingEnclave::hand_model`](crate::training::TrainingEnclave::hand_model) gave.
        key: &'a [u8],
    },
    /// What this enclave has given its operator to keep.
    Kept(&'a [u8]),
}

/// What a user sends, sealed: the access code, where to answer, and the row.
#[derive(Debug, Clone)]
pub struct QueryRequest {
    /// The user's account on the ledger.
    pub user: Address,
    /// The access code whose Keccak-256 hash was bought.
    pub code: B256,
    /// Key to which the answer is sealed.
    pub reply_to: SealPublicKey,
    /// One value a feature, NaN = missing.
    pub row: Vec<f64>,
}

impl QueryRequest {
    /// The bytes to seal.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u8(1);
        w.0.extend_from_slice(self.user.as_slice());
        w.0.extend_from_slice(self.code.as_slice());
        w.0.extend_from_slice(self.reply_to.0.as_slice());
        w.f64s(&self.row);
        w.0
    }

    fn decode(bytes: &[u8]) -> Result<Self, EnclaveError> {
        let read = || {
            let mut r = Reader::new(bytes);
            if r.u8()? != 1 {
                return Err(histone_program_sdk::wire::WireError::Invalid("version"));
            }
            let user = Address::from_slice(r.take(20)?);
            let code = B256::from_slice(r.take(32)?);
            let reply_to = SealPublicKey(B256::from_slice(r.take(32)?));
            let row = r.f64s()?;
            r.end()?;
            Ok(Self { user, code, reply_to, row })
        };
        read().map_err(|_| EnclaveError::Request("it is not a query"))
    }

    /// The hash by which the code is bought.
    pub fn code_hash(&self) -> B256 {
        code_hash(self.code)
    }
}

/// The hash by which an access code is bought.
pub fn code_hash(code: B256) -> B256 {
    histone_protocol::keccak256(code)
}

/// An answer that only the user can read, with the receipt that settles the payment.
#[derive(Debug)]
pub struct QueryAnswer {
    /// The sealed answer.
    pub sealed: Vec<u8>,
    /// What the market takes.
    pub receipt: QueryReceipt,
    /// The enclave's signature on it.
    pub signature: SignatureBytes,
}

/// Opens an answer with the user's key: a number for each field of the method's answer, none where there is none.
pub fn open_answer(
    key: &histone_protocol::seal::SealKey,
    query_id: B256,
    sealed: &[u8],
) -> Result<Vec<Option<f64>>, EnclaveError> {
    let plain = key.open(ANSWER_INFO, query_id.as_slice(), sealed)?;
    let values = decode_vector(&plain).map_err(|_| EnclaveError::Request("the answer is no numbers"))?;
    Ok(values.into_iter().map(|v| (!v.is_nan()).then_some(v)).collect())
}

/// An enclave that answers queries to one model.
pub struct QueryEnclave {
    instance: Instance,
    model_id: u64,
    model: Model,
    /// Of a model that is not public.
    key: Option<ModelKey>,
    /// Answers that one account may buy; 0 for any number.
    answers: u32,
    answer: HostedAnswer,
    /// Keeps the sealed answers by query: the same question again gets the same bytes, a used code with another row is
    /// refused, also after a restart.
    storage: Box<dyn Storage>,
}

impl std::fmt::Debug for QueryEnclave {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "QueryEnclave({:?}, model {})", self.instance, self.model_id)
    }
}

impl QueryEnclave {
    /// Takes a model into a started enclave. Its hash must be the one on the ledger, and method and program those of its plan.
    pub async fn install(
        instance: Instance,
        served: Served<'_>,
        model: Given<'_>,
        storage: Box<dyn Storage>,
        ledger: &impl LedgerView,
    ) -> Result<Self, EnclaveError> {
        instance.need(ProgramKind::Query)?;
        let on_ledger =
            ledger.read(Contract::Market, Market::modelCall { modelId: U256::from(served.model_id) }).await?;
        let hash = on_ledger.modelHash;
        let Served { model_id, plan, method } = served;
        let (manifest, programs) = (method.manifest(), &plan.programs);
        if programs.training != method.measurement() {
            return Err(EnclaveError::Request("the plan of the model is of another method"));
        }
        if plan.manifest != method.hash() {
            return Err(EnclaveError::Request("the plan of the model names another manifest of its method"));
        }
        if programs.query != instance.measurement() {
            return Err(EnclaveError::Request("the plan of the model has another program answer"));
        }
        let (model, key) = read_model(&instance, model_id, hash, model)?;
        if (&model.method, &model.version) != (&manifest.name, &manifest.version) {
            return Err(EnclaveError::Request("the model is of another method"));
        }
        let answer = HostedAnswer::new(instance.program().clone(), manifest.clone())?;
        let named = key.as_ref().map_or_else(|| model_hash(&model), |key| key.name(&model));
        if hash.0 != named {
            return Err(EnclaveError::NotBacked("the ledger names another model hash".into()));
        }
        if instance.init_data() != init_data(ledger.deployment(), model_id, hash, plan.hash()) {
            return Err(EnclaveError::Request("the enclave was started for another model or plan"));
        }
        if on_ledger.planHash != plan.hash() {
            return Err(EnclaveError::NotBacked("the ledger names another plan".into()));
        }
        let answers = plan.disclosure.answers;
        Ok(Self { instance, model_id, model, key, answers, answer, storage })
    }

    /// Takes the model back into an enclave that was resumed, from what [`QueryEnclave::sealed_model`] gave.
    pub async fn restore(
        instance: Instance,
        served: Served<'_>,
        sealed_model: &[u8],
        storage: Box<dyn Storage>,
        ledger: &impl LedgerView,
    ) -> Result<Self, EnclaveError> {
        Self::install(instance, served, Given::Kept(sealed_model), storage, ledger).await
    }

    /// The running enclave.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// The model encrypted under the enclave's own storage key, for the operator to keep.
    pub fn sealed_model(&self) -> Vec<u8> {
        let key = self.key.as_ref().map_or(&[][..], |key| key.as_bytes());
        let mut w = Writer::default();
        w.bytes(key).bytes(&self.model.to_bytes());
        self.instance.encrypt(MODEL, &w.0)
    }

    /// Answers a sealed query when the ledger shows that its code is paid for, unused and in time: [`SETTLING`] seconds or
    /// more before its deadline and the end of this enclave's registration.
    pub async fn answer(&self, sealed: &[u8], ledger: &impl LedgerView) -> Result<QueryAnswer, EnclaveError> {
        let plain = self.instance.seal_key().open(QUERY_INFO, self.aad().as_slice(), sealed)?;
        let request = QueryRequest::decode(&plain)?;
        let query_id = histone_contracts::query_id(request.user, request.code_hash());
        let not_backed = |what: &str| EnclaveError::NotBacked(what.to_string());
        let query = ledger.read(Contract::Market, Market::queryCall { queryId: query_id }).await?;
        match query.state {
            query_state::FUNDED => {}
            0 => return Err(not_backed("this user has not bought this access code")),
            _ => return Err(not_backed("the access code is used or refunded")),
        }
        if u64::from(query.modelId) != self.model_id {
            return Err(not_backed("the access code was bought for another model"));
        }
        self.check_answers(request.user, query_id, ledger).await?;
        let (time, deadline) = (ledger.time().await?, query.deadline.to::<u64>());
        if time > deadline {
            return Err(not_backed("the deadline of the access code has passed"));
        }
        let end = settles_until(&query, self.instance.keys().receipt, ledger).await?;
        if time + SETTLING > end {
            return Err(EnclaveError::NotBacked(format!(
                "{} s are left of the access code's time or of this enclave's, an answer needs {SETTLING} s to reach the \
                 ledger: it is refunded after its deadline",
                end.saturating_sub(time)
            )));
        }
        let serving = ledger
            .read(
                Contract::Market,
                Market::servingEnclaveCall { modelId: U256::from(self.model_id), serving: query.serving },
            )
            .await?;
        if serving != self.instance.keys().receipt {
            return Err(not_backed("the access code was bought from another enclave"));
        }
        let job_id = blob_hash(sealed);
        let sealed_answer = self.answer_once(query_id, job_id, &request)?;
        let receipt = QueryReceipt {
            queryId: query_id,
            modelId: U256::from(self.model_id),
            jobId: job_id,
            outputHash: blob_hash(&sealed_answer),
            answer: sealed_answer.clone().into(),
        };
        let deployment = ledger.deployment();
        let domain = receipt::domain(deployment.chain_id, deployment.market);
        let signature = receipt::sign(&receipt, &domain, self.instance.receipt_key());
        Ok(QueryAnswer { sealed: sealed_answer, receipt, signature })
    }

    /// Whether the plan lets this account buy one answer more. What was refunded does not count, and nobody is told an answer twice
    /// for being asked twice. An account is not a person: whoever has several buys as many times.
    async fn check_answers(
        &self,
        user: Address,
        query_id: B256,
        ledger: &impl LedgerView,
    ) -> Result<(), EnclaveError> {
        if self.answers == 0 {
            return Ok(());
        }
        match bought_before(self.model_id, user, Some(query_id), ledger).await? < self.answers {
            true => Ok(()),
            false => Err(EnclaveError::NotBacked(format!(
                "the plan of this model lets one account buy {} answers, and this one has as many: it is refunded after its deadline",
                self.answers
            ))),
        }
    }

    /// The sealed answer to a query. It is kept before it leaves, and what is kept is what leaves, so that one code buys
    /// one answer however often the enclave is started or asked.
    fn answer_once(
        &self,
        query_id: B256,
        job_id: B256,
        request: &QueryRequest,
    ) -> Result<Vec<u8>, EnclaveError> {
        let name = format!("answer-{query_id:x}.sealed");
        let kept = match self.instance.remembered(&*self.storage, &name)? {
            Some(kept) => kept,
            None => {
                let answer = self.predict(&request.row)?;
                let secret = self.instance.secret();
                let sealed = request.reply_to.seal(ANSWER_INFO, query_id.as_slice(), &answer, secret)?;
                let entry = [job_id.as_slice(), &sealed].concat();
                self.instance.remember_first(&*self.storage, &name, &entry)?
            }
        };
        match kept.split_first_chunk::<32>() {
            Some((job, sealed)) if *job == job_id.0 => Ok(sealed.to_vec()),
            _ => Err(EnclaveError::NotBacked("the access code was used for another question".into())),
        }
    }

    /// Runs the program on a row; gives the encoded answer as it passed the gate, NaN where a field has no value.
    fn predict(&self, row: &[f64]) -> Result<Vec<u8>, EnclaveError> {
        if row.len() != self.model.config.features.len() {
            return Err(EnclaveError::Request(
                "the row has another number of values than the model has features",
            ));
        }
        let values = self.answer.answer(&self.model, row)?;
        Ok(encode_vector(&values.into_iter().map(|v| v.unwrap_or(f64::NAN)).collect::<Vec<_>>()))
    }

    fn aad(&self) -> B256 {
        query_aad(self.model_id, self.instance.keys().receipt)
    }
}

/// A model with its key, if it has one, as it was given to an enclave.
fn read_model(
    instance: &Instance,
    model_id: u64,
    name: B256,
    given: Given<'_>,
) -> Result<(Model, Option<ModelKey>), EnclaveError> {
    let unreadable = || EnclaveError::Request("the model cannot be read");
    let key = |bytes: &[u8]| Some(ModelKey::from_bytes(bytes.try_into().ok()?));
    match given {
        Given::Public(bytes) => Ok((Model::from_bytes(bytes).map_err(|_| unreadable())?, None)),
        Given::Sealed { blob, key: sealed } => {
            let opened = Zeroizing::new(instance.under_each(|evidence| {
                let aad = model_key_aad(model_id, name, instance.keys().receipt, evidence);
                instance.seal_key().open(MODEL_KEY_INFO, aad.as_slice(), sealed)
            })?);
            let key = key(&opened).ok_or_else(unreadable)?;
            Ok((key.open(blob).ok_or_else(unreadable)?, Some(key)))
        }
        Given::Kept(kept) => {
            let plain = instance.decrypt(MODEL, kept)?;
            let mut r = Reader::new(&plain);
            let (read, bytes) = (r.bytes().map_err(|_| unreadable())?, r.bytes().map_err(|_| unreadable())?);
            Ok((Model::from_bytes(bytes).map_err(|_| unreadable())?, key(read)))
        }
    }
}

/// How many answers of a model an account has bought, before one of them where it is given. What was refunded counts, too: whoever
/// runs the enclave could otherwise give an answer by hand and let its price go back, as often as it likes.
pub async fn bought_before(
    model_id: u64,
    user: Address,
    query_id: Option<B256>,
    ledger: &impl LedgerView,
) -> Result<u32, LedgerError> {
    let bought = ledger.logged::<Market::QueryBought>(Contract::Market, None).await?;
    let of_user = |e: &&Market::QueryBought| e.user == user && e.modelId == U256::from(model_id);
    let mut before = 0;
    for bought in bought.iter().map(|b| &b.event).filter(of_user) {
        if Some(bought.queryId) == query_id {
            break;
        }
        before += 1;
    }
    Ok(before)
}

/// Unix seconds until which the ledger takes an answer of this enclave: the query's deadline, or the end of the enclave's
/// registration where that comes first.
pub async fn settles_until(
    query: &Market::Query,
    enclave: Address,
    ledger: &impl LedgerView,
) -> Result<u64, LedgerError> {
    let registered = ledger.read(Contract::Enclaves, Enclaves::enclaveCall { signer: enclave }).await?;
    // The contract takes nothing in the second of the end itself.
    Ok(query.deadline.to::<u64>().min(registered.expiresAt.to::<u64>().saturating_sub(1)))
}

/// What a query is bound to: the model and the enclave that answers.
pub fn query_aad(model_id: u64, enclave: Address) -> B256 {
    tagged_hash("histone/query/v1", &[&model_id.to_le_bytes(), enclave.as_slice()])
}
