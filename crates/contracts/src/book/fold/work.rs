//! Events of models, queries and rounds.

use alloy_primitives::U256;

use super::super::Book;
use super::super::rows::{
    Amount, Anchor, Donor, Host, Model, ModelState, Named, Partial, Query, QueryCounts, QueryState, Round,
    RoundState, Serving, Shared, Terms,
};
use super::Odd;
use crate::{Market, Rounds, reasons, survivors};

impl Model {
    /// A model as it is proposed, before anything else happens to it.
    pub fn proposed(model: u64, e: &Market::ModelProposed) -> Self {
        let t = &e.terms;
        Self {
            model,
            state: ModelState::Recruiting,
            trainer: e.trainer,
            white_paper_hash: e.whitePaperHash,
            plan_hash: e.planHash,
            committee: Vec::new(),
            model_hash: None,
            terms: Terms {
                instant_payment: Amount(U256::from(t.instantPayment)),
                query_price: Amount(U256::from(t.queryPrice)),
                donors_bps: t.donorsBps,
                trainer_bps: t.trainerBps,
                runner_bps: t.runnerBps,
                min_donors: t.minDonors,
                max_donors: t.maxDonors,
                query_timeout: t.queryTimeout,
                min_survivors: t.minSurvivors,
                colluders: t.colluders,
                fee_bps: 0,
            },
            deposit: Amount(e.deposit),
            deposit_returned: None,
            total_weight: 0,
            donors: Vec::new(),
            host: None,
            rounds: 0,
            refused: Vec::new(),
            servings: Vec::new(),
            queries: QueryCounts::default(),
            shared: Shared::default(),
        }
    }
}

impl Book {
    pub(super) fn market(&mut self, event: Market::MarketEvents) -> Result<(), Odd> {
        use Market::MarketEvents as E;
        match event {
            E::ModelProposed(e) => {
                let model = id(e.modelId)?;
                self.models.put(model, Model::proposed(model, &e));
            }
            E::ModelFee(e) => self.model(e.modelId)?.terms.fee_bps = e.bps,
            E::Donated(e) => {
                let model = self.model(e.modelId)?;
                model.total_weight += u64::from(e.weight);
                model.donors.push(Donor {
                    donor: e.donorIndex,
                    payee: e.payee,
                    dataset: e.datasetId,
                    weight: e.weight,
                    enclave: e.enclave,
                    root: e.root,
                    decision: e.decision,
                    use_ended: false,
                    excluded: false,
                    earned: Amount::default(),
                    paid: Amount::default(),
                    owed: Amount::default(),
                });
                let number = model.model;
                if let Some(dataset) = self.datasets.get_mut(&e.datasetId) {
                    dataset.donated_to.push(number);
                }
            }
            E::DonorUseEnded(e) => self.donor(e.modelId, e.donorIndex)?.use_ended = true,
            E::DonorExcluded(e) => {
                let donor = self.donor(e.modelId, e.donorIndex)?;
                (donor.use_ended, donor.excluded, donor.weight) = (true, true, 0);
                let model = self.model(e.modelId)?;
                model.total_weight = model.total_weight.saturating_sub(e.weight.into());
            }
            E::DonorRefused(e) => self.model(e.modelId)?.refused.push(e.owner),
            E::TrainingStarted(e) => self.model(e.modelId)?.state = ModelState::Training,
            E::TrainingHosted(e) => {
                let host = Host { enclave: e.enclave, runner: e.runner, statement_hash: None };
                self.model(e.modelId)?.host = Some(host);
            }
            E::HostedModel(e) => {
                if let Some(host) = &mut self.model(e.modelId)?.host {
                    host.statement_hash = Some(e.statementHash);
                }
            }
            E::TrainingFinished(e) => {
                let model = self.model(e.modelId)?;
                model.state = ModelState::Trained;
                model.model_hash = Some(e.modelHash);
                model.deposit_returned = Some(Amount(e.depositReturned));
            }
            E::TrainingAborted(e) => {
                let model = self.model(e.modelId)?;
                model.state = ModelState::Aborted;
                model.deposit_returned = Some(Amount(e.depositReturned));
            }
            E::ModelServed(e) => {
                let model = self.model(e.modelId)?;
                model.state = ModelState::Serving;
                model.servings.push(Serving { serving: e.serving, enclave: e.enclave, runner: e.runner });
            }
            E::ModelRetired(e) => self.model(e.modelId)?.state = ModelState::Retired,
            E::QueryBought(e) => {
                let model = self.model(e.modelId)?;
                model.queries.bought += 1;
                model.shared.bought.add(e.price);
                let query = Query {
                    query: e.queryId,
                    model: model.model,
                    state: QueryState::Funded,
                    buyer: e.user,
                    price: Amount(e.price),
                    deadline: e.deadline,
                    enclave: e.enclave,
                    code_hash: e.codeHash,
                    job: None,
                    output_hash: None,
                };
                self.queries.put(e.queryId, query);
            }
            E::QuerySettled(e) => {
                let query = self.queries.get_mut(&e.queryId);
                let query = query.ok_or_else(|| Odd::Unknown("query", e.queryId.to_string()))?;
                query.state = QueryState::Settled;
                (query.job, query.output_hash) = (Some(e.jobId), Some(e.outputHash));
                let (enclave, price) = (query.enclave, query.price);
                let model = self.model(e.modelId)?;
                let runner = model.servings.iter().rev().find(|s| s.enclave == enclave).map(|s| s.runner);
                let runner = runner.ok_or_else(|| Odd::Unknown("enclave", enclave.to_string()))?;
                model.queries.settled += 1;
                model.shared.settled.add(price.0);
                model.shared.donors.add(e.donorsShare);
                model.shared.trainer.add(e.trainerShare);
                model.shared.runners.entry(runner).or_default().add(e.runnerShare);
            }
            E::QueryRefunded(e) => {
                let query = self.queries.get_mut(&e.queryId);
                query.ok_or_else(|| Odd::Unknown("query", e.queryId.to_string()))?.state =
                    QueryState::Refunded;
                let model = self.model(e.modelId)?;
                model.queries.refunded += 1;
                model.shared.refunded.add(e.price);
            }
            E::DonorPaid(e) => self.donor(e.modelId, e.donorIndex)?.paid.add(e.amount),
            E::FeesCollected(e) => self.model(e.modelId)?.shared.fees_collected.add(e.amount),
            E::Paid(e) => self.paid.entry(e.account).or_default().add(e.amount),
            // What holds now is asked for where it is shown.
            E::FeeSet(_)
            | E::RoundsSet(_)
            | E::Paused(_)
            | E::Unpaused(_)
            | E::AuthorityUpdated(_)
            | E::EIP712DomainChanged(_) => {}
        }
        Ok(())
    }

    pub(super) fn rounds(&mut self, event: Rounds::RoundsEvents) -> Result<(), Odd> {
        use Rounds::RoundsEvents as E;
        match event {
            E::RoundOpened(e) => {
                let model = id(e.modelId)?;
                self.rounds.put(
                    (model, e.round),
                    Round {
                        model,
                        round: e.round,
                        state: RoundState::Open,
                        header_hash: e.headerHash,
                        deadline: e.deadline,
                        open_by: e.openBy,
                        min_survivors: e.minSurvivors,
                        quorum: e.quorum,
                        anchors: Vec::new(),
                        survivors: None,
                        partials: Vec::new(),
                        named: Vec::new(),
                        aggregate_hash: None,
                        model_hash: None,
                    },
                );
                if let Some(model) = self.models.get_mut(&model) {
                    model.rounds = e.round;
                }
            }
            E::UpdateAnchored(e) => {
                self.round(e.modelId, e.round)?
                    .anchors
                    .push(Anchor { donor: e.donorIndex, blob: e.blobHash });
            }
            E::RoundClosed(e) => {
                let round = self.round(e.modelId, e.round)?;
                round.state = RoundState::Closed;
                round.survivors = Some(survivors::listed(&e.bitmap));
                // Who closes late gives the committee its time from then on.
                round.open_by = e.openBy;
            }
            E::RoundFailed(e) => self.round(e.modelId, e.round)?.state = RoundState::Failed,
            E::PartialPosted(e) => {
                let partial = Partial { member: e.member, hash: e.partialHash };
                self.round(e.modelId, e.round)?.partials.push(partial);
            }
            E::DonorDropped(e) => {
                let round = self.round(e.modelId, e.round)?;
                round.anchors.retain(|a| a.donor != e.donorIndex);
                if let Some(survivors) = &mut round.survivors {
                    survivors.retain(|donor| *donor != e.donorIndex);
                    // What was posted was for the set before.
                    round.partials.clear();
                    round.open_by = e.openBy;
                }
            }
            E::MemberNamed(e) => {
                let round = self.round(e.modelId, e.round)?;
                round.named.push(Named { donor: None, member: Some(e.member), reason: e.reason });
                // Whom a name costs nothing keeps its seat; the post of another is taken back, unless the round is over.
                if !reasons::is_only_said(e.reason) && round.state == RoundState::Closed {
                    round.partials.retain(|p| p.member != e.member);
                }
            }
            E::DonorNamed(e) => {
                let named = Named { donor: Some(e.donorIndex), member: None, reason: e.reason };
                // Before the first round a donor can be named for what it is.
                if let Ok(round) = self.round(e.modelId, e.round) {
                    round.named.push(named);
                }
            }
            E::CommitteeFixed(e) => self.model(e.modelId)?.committee = e.seats,
            E::RoundVoided(e) => self.round(e.modelId, e.round)?.state = RoundState::Void,
            // Votes and accusations are steps towards what is told above.
            E::Blamed(_) | E::ShareAccused(_) | E::ShareOpened(_) => {}
            E::RoundFinal(e) => {
                let round = self.round(e.modelId, e.round)?;
                round.state = RoundState::Final;
                (round.aggregate_hash, round.model_hash) = (Some(e.aggregateHash), Some(e.modelHash));
            }
            E::EIP712DomainChanged(_) => {}
        }
        Ok(())
    }

    fn model(&mut self, number: U256) -> Result<&mut Model, Odd> {
        let key = id(number)?;
        self.models.get_mut(&key).ok_or_else(|| Odd::Unknown("model", number.to_string()))
    }

    /// Donors are numbered from 1 in the order of their donations.
    fn donor(&mut self, model: U256, index: u16) -> Result<&mut Donor, Odd> {
        let donor = self.model(model)?.donors.get_mut(usize::from(index).wrapping_sub(1));
        donor.ok_or_else(|| Odd::Unknown("donor", format!("{index} of model {model}")))
    }

    fn round(&mut self, model: U256, round: u32) -> Result<&mut Round, Odd> {
        let key = (id(model)?, round);
        self.rounds.get_mut(&key).ok_or_else(|| Odd::Unknown("round", format!("{round} of model {model}")))
    }
}

fn id(model: U256) -> Result<u64, Odd> {
    u64::try_from(model).map_err(|_| Odd::Number(model))
}
