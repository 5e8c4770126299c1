//! The trainer: proposes a model, leads its rounds, publishes it.

use histone_attestation::cohort::PlaceError;
use histone_contracts::{Contract, LedgerError, Market, Programs, Rounds, TestToken};
use histone_enclave::cohort::{self, Moment, RightCommittee, Unbelieved, Watch, fixed_committee};
use histone_enclave::described::published;
use histone_enclave::instance::{EnclaveError, seal_module};
use histone_enclave::method::{Step, Training};
use histone_enclave::program::Program;
use histone_enclave::training::{self, Hosted, RoundTranscript};
use histone_federation::fixed::MAX_FRACTIONAL_BITS;
use histone_federation::header::{RoundFields, RoundHeader};
use histone_federation::training::Asked;
use histone_protocol::agreement::{Agreement, Carried, Dropped, StateStatement};
use histone_protocol::consent::WhitePaper;
use histone_protocol::hash::sha256;
use histone_protocol::program::ProgramKind;
use histone_protocol::record::Signed;
use histone_protocol::{Address, B256, U256};

use crate::auditor::{Submission, open_unless_method};
use crate::committee::{enclaves, sealed_round, survivors, transcript};
use crate::error::NodeError;
use crate::party::Party;
use crate::plan;
use crate::programs::PublishedProgram;
use crate::world::World;

/// A trainer's node.
#[derive(Debug)]
pub struct Trainer {
    /// Name, keys, directory.
    pub party: Party,
}

/// What the market is told beside the white paper.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// Hash of the plan's document.
    pub plan: B256,
    /// A round with fewer updates fails.
    pub min_survivors: u16,
    /// Committee members that may collude.
    pub colluders: u8,
    /// Training starts with no fewer donors.
    pub min_donors: u16,
    /// The deposit covers this many.
    pub max_donors: u16,
    /// Seconds in which a query must be answered.
    pub query_timeout: u32,
}

/// What a trainer knows of a training that it leads.
#[derive(Debug)]
pub struct Leading {
    /// The ledger's number of the model.
    pub model_id: u64,
    /// A round with fewer updates fails.
    pub min_survivors: u16,
    /// Seconds in which donors answer a round.
    pub round_seconds: u64,
    /// Seconds after that in which the committee opens it.
    pub opening_seconds: u64,
    watch: Watch,
}

/// What enclaves said of a sealed round, as it is on the ledger now.
#[derive(Debug)]
pub struct Agreed {
    /// What more than half say.
    pub carried: Carried,
    /// Blob of what they signed.
    pub document: B256,
    /// Statements that did not count.
    pub dropped: Vec<Dropped>,
}

impl Trainer {
    /// Publishes a program and registers it under its measurement.
    pub async fn publish(
        &self,
        program: &PublishedProgram,
        measurement: B256,
        world: &World,
    ) -> Result<Submission, NodeError> {
        let wasm = world.blobs.put(program.wasm)?;
        let source = world.blobs.put(program.source)?;
        let call = Programs::registerCall {
            measurement,
            sourceHash: sha256(program.source),
            wasmHash: sha256(program.wasm),
            kind: program.kind.code(),
        };
        world.ledger.send(&self.party.key, Contract::Programs, call).await?;
        Ok(Submission { name: program.name.into(), kind: program.kind, measurement, wasm, source })
    }

    /// Publishes a white paper and proposes its model with the deposit. Gives the paper's blob and the model's number.
    pub async fn propose(
        &self,
        paper: &WhitePaper,
        offer: Offer,
        world: &World,
    ) -> Result<(B256, u64), NodeError> {
        let ledger = &world.ledger;
        let blob = world.blobs.put(&Signed::sign(paper, &self.party.key)?.to_bytes())?;
        let deposit = U256::from(paper.instant_payment) * U256::from(offer.max_donors);
        let approve = TestToken::approveCall { spender: ledger.deployment().market, value: deposit };
        ledger.send(&self.party.key, Contract::Token, approve).await?;
        let terms = Market::Terms {
            instantPayment: paper.instant_payment.try_into().unwrap_or_default(),
            queryPrice: paper.query_price.try_into().unwrap_or_default(),
            donorsBps: paper.split.donors,
            trainerBps: paper.split.trainer,
            runnerBps: paper.split.runner,
            minDonors: offer.min_donors,
            maxDonors: offer.max_donors,
            queryTimeout: offer.query_timeout,
            minSurvivors: offer.min_survivors,
            colluders: offer.colluders,
        };
        let call = Market::proposeCall { whitePaperHash: blob, planHash: offer.plan, t: terms };
        let receipt = ledger.send(&self.party.key, Contract::Market, call).await?;
        let model_id = receipt.event::<Market::ModelProposed>()?.modelId;
        Ok((blob, model_id.saturating_to()))
    }

    /// Refuses, while a model recruits, every donor that is not believed now, and all of its owner: keys without evidence
    /// would otherwise keep the places of others. Who left before it was refused is judged by what it donated. Gives their
    /// numbers.
    pub async fn refuse_unbelieved(&self, model_id: u64, world: &World) -> Result<Vec<u16>, NodeError> {
        let id = U256::from(model_id);
        let mut watch = Watch::new(id, world.cohort_policy(model_id).await?);
        let now = Moment::now(&world.ledger).await?;
        let cohort = watch.cohort(now, &world.evidence(), &world.ledger).await?;
        let (withdrawn, unbelieved): (Vec<_>, Vec<_>) =
            cohort.unbelieved.into_iter().partition(|u| matches!(u.why, PlaceError::Withdrawn));
        for gone in withdrawn {
            // It would leave by itself, and anybody may see to it: perhaps somebody was quicker.
            let call = Market::endUseCall { modelId: id, donorIndex: gone.donor };
            if let Err(error) = world.ledger.send(&self.party.key, Contract::Market, call).await
                && !is_ended(&error)
            {
                return Err(error.into());
            }
        }
        let left = watch.left_unbelieved(&world.evidence(), &world.ledger).await?;
        let mut refused = Vec::new();
        for Unbelieved { donor, dataset, .. } in unbelieved.into_iter().chain(left) {
            let call = Market::refuseDonorCall { modelId: id, donorIndex: donor, datasetId: dataset };
            match world.ledger.send(&self.party.key, Contract::Market, call).await {
                Ok(_) => refused.push(donor),
                // It has left and its owner is refused: nothing is left to do.
                Err(error) if is_ended(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(refused)
    }

    /// Stops recruiting and begins to train, with the donors that are believed and everybody in the committee whose key is
    /// proven.
    pub async fn start(&self, model_id: u64, world: &World) -> Result<(), NodeError> {
        let id = U256::from(model_id);
        self.refuse_unbelieved(model_id, world).await?;
        if plan::of_model(model_id, world).await?.disclosure.in_one_enclave() {
            let call = Market::startTrainingCall { modelId: id, seats: Vec::new(), sealKeys: Vec::new() };
            world.ledger.send(&self.party.key, Contract::Market, call).await?;
            return Ok(());
        }
        let right = RightCommittee::at(id, (u64::MAX, 0), &world.ledger).await?;
        let (seats, seal_keys) = right.everybody().into_iter().unzip();
        let call = Market::startTrainingCall { modelId: id, seats, sealKeys: seal_keys };
        world.ledger.send(&self.party.key, Contract::Market, call).await?;
        Ok(())
    }

    /// Leads the training of a model that has started: by which rule the donors are judged, and how long a round takes.
    pub async fn lead(
        &self,
        model_id: u64,
        min_survivors: u16,
        round_seconds: u64,
        opening_seconds: u64,
        world: &World,
    ) -> Result<Leading, NodeError> {
        let watch = Watch::new(U256::from(model_id), world.cohort_policy(model_id).await?);
        Ok(Leading { model_id, min_survivors, round_seconds, opening_seconds, watch })
    }

    /// Gives a model up; the deposit becomes claimable.
    pub async fn abort(&self, model_id: u64, world: &World) -> Result<(), NodeError> {
        let call = Market::abortTrainingCall { modelId: U256::from(model_id) };
        world.ledger.send(&self.party.key, Contract::Market, call).await?;
        Ok(())
    }

    /// Claims what the market owes to the trainer's account.
    pub async fn claim(&self, world: &World) -> Result<(), NodeError> {
        let owed = Market::owedCall { account: self.party.account() };
        if !world.ledger.read(Contract::Market, owed).await?.is_zero() {
            world.ledger.send(&self.party.key, Contract::Market, Market::claimCall {}).await?;
        }
        Ok(())
    }

    /// The header of the plan's next round: over every donor that this trainer believes now, with the committee that was
    /// fixed, under the number that the ledger gives next.
    pub async fn header(
        &self,
        asked: &Asked,
        leading: &mut Leading,
        world: &World,
    ) -> Result<RoundHeader, NodeError> {
        let deployment = world.ledger.deployment();
        let model_id = U256::from(leading.model_id);
        let now = Moment::now(&world.ledger).await?;
        let cohort = leading.watch.cohort(now, &world.evidence(), &world.ledger).await?;
        let fixed = fixed_committee(model_id, &world.ledger).await?.ok_or_else(|| {
            NodeError::Message(format!("the training of model {} has not started", leading.model_id))
        })?;
        let last = world.ledger.read(Contract::Rounds, Rounds::lastRoundCall { modelId: model_id }).await?;
        RoundHeader::new(RoundFields {
            chain_id: deployment.chain_id,
            market: deployment.market.into_array(),
            model_id: model_id.to_be_bytes(),
            round: last + 1,
            method: asked.method,
            question: asked.question.clone(),
            previous: asked.previous,
            cohort: cohort.believed.iter().map(cohort::donor).collect(),
            committee: cohort::seats(&fixed.event),
            colluders: fixed.event.colluders,
            min_survivors: leading.min_survivors,
            fractional_bits: MAX_FRACTIONAL_BITS,
        })
        .map_err(NodeError::round)
    }

    /// Opens the plan's next round on the ledger. Gives the header and its blob.
    pub async fn open_round(
        &self,
        asked: &Asked,
        leading: &mut Leading,
        world: &World,
    ) -> Result<(RoundHeader, B256), NodeError> {
        let header = self.header(asked, leading, world).await?;
        let blob = world.blobs.put(&header.encode())?;
        let deadline = world.ledger.time().await? + leading.round_seconds;
        let call = Rounds::openCall {
            modelId: U256::from(leading.model_id),
            headerHash: B256::from(header.hash()),
            deadline,
            openBy: deadline + leading.opening_seconds,
        };
        world.ledger.send(&self.party.key, Contract::Rounds, call).await?;
        Ok((header, blob))
    }

    /// Closes a round. Gives the number of survivors, and whether they are enough.
    pub async fn close_round(
        &self,
        model_id: u64,
        round: u32,
        world: &World,
    ) -> Result<(u16, bool), NodeError> {
        let model_id = U256::from(model_id);
        let call = Rounds::closeCall { modelId: model_id, round };
        let receipt = world.ledger.send(&self.party.key, Contract::Rounds, call).await?;
        match receipt.event::<Rounds::RoundClosed>() {
            Ok(closed) => Ok((closed.survivors, true)),
            Err(_) => Ok((receipt.event::<Rounds::RoundFailed>()?.survivors, false)),
        }
    }

    /// Recomputes the sum of a closed round from its blobs, advances the plan, and puts the result on the ledger.
    pub async fn finish_round(
        &self,
        training: &Training,
        header: &RoundHeader,
        partials: &[B256],
        world: &World,
    ) -> Result<(RoundTranscript, Step), NodeError> {
        let (got, needed) = (partials.len(), usize::from(header.committee().quorum()));
        if got < needed {
            // Enclaves take no fewer; whoever was away may still lock and show its own as long as the round is not final.
            return Err(NodeError::Round(format!(
                "{got} partial sums are shown, {needed} are asked: wait for more"
            )));
        }
        let transcript = transcript(header, partials, world).await?;
        let (aggregate, _) = transcript.open().map_err(|e| NodeError::Round(e.to_string()))?;
        let step = training.advance(&transcript.donors(), aggregate.values()).map_err(NodeError::round)?;
        let (sum, state) = (B256::from(aggregate.hash()), B256::from(step.names().state));
        self.finalize(header, sum, state, world).await?;
        Ok((transcript, step))
    }

    /// Puts what the enclaves of a sealed round say it led to on the ledger, when more than half of the donors in the sum say the
    /// same. Once it is there it stays: whoever speaks later is not heard. A statement that does not count is left out and named: one
    /// broken owner stops nobody.
    pub async fn agree(
        &self,
        header: &RoundHeader,
        statements: Vec<StateStatement>,
        world: &World,
    ) -> Result<Agreed, NodeError> {
        let f = header.fields();
        let survivors = survivors(U256::from_be_bytes(f.model_id), f.round, world).await?;
        let round = sealed_round(header, &survivors, world)?;
        let enclaves = enclaves(header, &survivors);
        let (agreement, dropped) = Agreement::of_valid(statements, &round, &enclaves);
        let carried = match agreement.carried(&round, &enclaves) {
            Ok(carried) => carried,
            Err(error) => {
                let (model, round) = (round.model_id, round.round);
                return Err(NodeError::NotCarried { model, round, dropped, error });
            }
        };
        let document = world.blobs.put(&agreement.to_bytes())?;
        self.finalize(header, document, carried.state, world).await?;
        Ok(Agreed { carried, document, dropped })
    }

    async fn finalize(
        &self,
        header: &RoundHeader,
        sum: B256,
        state: B256,
        world: &World,
    ) -> Result<(), NodeError> {
        let f = header.fields();
        let (model_id, round) = (U256::from_be_bytes(f.model_id), f.round);
        let call = Rounds::finalizeCall { modelId: model_id, round, aggregateHash: sum, modelHash: state };
        world.ledger.send(&self.party.key, Contract::Rounds, call).await?;
        Ok(())
    }

    /// Declares a round void that nobody opened in time; the next one may ask the same.
    pub async fn void_round(&self, model_id: u64, round: u32, world: &World) -> Result<(), NodeError> {
        let call = Rounds::voidRoundCall { modelId: U256::from(model_id), round };
        world.ledger.send(&self.party.key, Contract::Rounds, call).await?;
        Ok(())
    }

    /// Ends the training: donors' instant payments become claimable, the rest of the deposit returns.
    pub async fn finish(&self, model_id: u64, model_hash: B256, world: &World) -> Result<(), NodeError> {
        let call = Market::finishTrainingCall { modelId: U256::from(model_id), modelHash: model_hash };
        world.ledger.send(&self.party.key, Contract::Market, call).await?;
        Ok(())
    }

    /// Names the one enclave to which all owners of a model bring their data, after looking at it.
    pub async fn name_host(&self, model_id: u64, enclave: Address, world: &World) -> Result<(), NodeError> {
        let plan = plan::of_model(model_id, world).await?;
        let init_data = training::init_data(world.ledger.deployment(), model_id, plan.hash());
        let attested = world.appraise_for(model_id, enclave, ProgramKind::Training, init_data).await?;
        if attested.measurement() != plan.programs.training {
            return Err(NodeError::Message(format!(
                "the enclave {enclave} runs {}, which is not the method of the plan of model {model_id}",
                attested.measurement()
            )));
        }
        let call = Market::hostCall { modelId: U256::from(model_id), enclave };
        world.ledger.send(&self.party.key, Contract::Market, call).await?;
        Ok(())
    }

    /// Seals a method of closed source to the enclave that is to run it, after looking at it. Nobody else can open it.
    pub async fn seal_module(
        &self,
        model_id: u64,
        enclave: Address,
        wasm: &[u8],
        world: &World,
    ) -> Result<Vec<u8>, NodeError> {
        let plan = plan::of_model(model_id, world).await?;
        let init_data = training::init_data(world.ledger.deployment(), model_id, plan.hash());
        let attested = world.appraise_for(model_id, enclave, ProgramKind::Training, init_data).await?;
        Ok(seal_module(wasm, &attested, self.party.root()).map_err(EnclaveError::Seal)?)
    }

    /// Registers a program of closed source under its measurement: the ledger has the hashes, and public storage the manifest of a
    /// method. Module and source go to the auditor only, by a way of their own.
    pub async fn register_closed(
        &self,
        program: &PublishedProgram,
        loaded: &Program,
        world: &World,
    ) -> Result<(), NodeError> {
        open_unless_method(program.name, loaded.kind())?;
        world.blobs.put(&published(loaded))?;
        let call = Programs::registerCall {
            measurement: loaded.measurement().into(),
            sourceHash: sha256(program.source),
            wasmHash: sha256(program.wasm),
            kind: program.kind.code(),
        };
        world.ledger.send(&self.party.key, Contract::Programs, call).await?;
        Ok(())
    }

    /// Ends the training of a model by what the one enclave says that had all data: from then on it releases what it made.
    pub async fn finish_hosted(&self, said: &Hosted, world: &World) -> Result<B256, NodeError> {
        let Some((receipt, signature)) = &said.finish else { return Err(NodeError::NoModel) };
        let call = Market::finishHostedCall {
            t: Market::HostedTraining {
                modelId: receipt.modelId,
                modelHash: receipt.modelHash,
                statementHash: receipt.statementHash,
                unused: receipt.unused.clone(),
            },
            signature: signature.as_slice().to_vec().into(),
        };
        // Before it is named there; nobody else has seen it so far.
        world.blobs.put(&said.statement)?;
        world.ledger.send(&self.party.key, Contract::Market, call).await?;
        Ok(receipt.modelHash)
    }

    /// Names the enclave that answers queries.
    pub async fn serve(&self, model_id: u64, enclave: Address, world: &World) -> Result<(), NodeError> {
        let call = Market::serveCall { modelId: U256::from(model_id), queryEnclave: enclave };
        world.ledger.send(&self.party.key, Contract::Market, call).await?;
        Ok(())
    }
}

/// The name of the model that the market sells.
pub(crate) async fn sold(model_id: u64, world: &World) -> Result<B256, NodeError> {
    let call = Market::modelCall { modelId: U256::from(model_id) };
    Ok(world.ledger.read(Contract::Market, call).await?.modelHash)
}

/// Whether the market refuses because a donor has left.
pub(crate) fn is_ended(error: &LedgerError) -> bool {
    matches!(error, LedgerError::Refused { explanation, .. } if explanation.starts_with("UseEnded"))
}
