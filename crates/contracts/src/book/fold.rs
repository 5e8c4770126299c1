//! Events become rows, one after the other, in the order in which they happened.

mod work;

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolEventInterface;
use histone_protocol::evidence::Platform;

use super::rows::{
    Audit, Dataset, DatasetState, Enclave, EnclaveState, Kind, Member, Program, QueryState, Role,
};
use super::{Book, Shelf};
use crate::{
    AccessManager, Contract, Datasets, Directory, Enclaves, Event, LedgerError, Market, Members, Programs,
    Rounds,
};

/// Why an event does not fit to those before it.
enum Odd {
    /// It is about something that was never registered.
    Unknown(&'static str, String),
    /// A number does not fit.
    Number(U256),
}

impl Book {
    /// Takes one more event of a contract.
    pub(super) fn apply(&mut self, event: &Event) -> Result<(), LedgerError> {
        let Event { at: (block, index), time, contract, log } = event;
        let odd = |detail: String| LedgerError::Decode {
            name: format!("{contract}, event {index} of block {block}"),
            detail,
        };
        macro_rules! decoded {
            ($events:ty) => {
                <$events>::decode_raw_log(log.topics(), &log.data.data)
                    .map_err(|e| odd(format!("{e}; a newer version of this program may know it")))?
            };
        }
        let done = match *contract {
            Contract::Members => self.members(decoded!(Members::MembersEvents)),
            Contract::Programs => self.programs(decoded!(Programs::ProgramsEvents)),
            Contract::Enclaves => self.enclaves(decoded!(Enclaves::EnclavesEvents)),
            Contract::Datasets => self.datasets(decoded!(Datasets::DatasetsEvents), *time),
            Contract::Market => self.market(decoded!(Market::MarketEvents)),
            Contract::Rounds => self.rounds(decoded!(Rounds::RoundsEvents)),
            Contract::Manager => {
                self.manager(decoded!(AccessManager::AccessManagerEvents));
                Ok(())
            }
            Contract::Directory => {
                self.directory(decoded!(Directory::DirectoryEvents));
                Ok(())
            }
            Contract::Token | Contract::Timelock | Contract::Governor => Ok(()),
        };
        done.map_err(|why| match why {
            Odd::Unknown(what, key) => {
                odd(format!("it is about {what} {key}, which no earlier event made known"))
            }
            Odd::Number(n) => odd(format!("{n} is no number of this ledger")),
        })
    }

    fn members(&mut self, event: Members::MembersEvents) -> Result<(), Odd> {
        use Members::MembersEvents as E;
        let known = |shelf: &mut Shelf<Address, Member>, account: Address, change: &dyn Fn(&mut Member)| {
            shelf.get_mut(&account).map(change).ok_or_else(|| Odd::Unknown("member", account.to_string()))
        };
        match event {
            E::MemberAdded(e) => {
                if self.members.get(&e.account).is_none() {
                    self.members.put(e.account, stranger(e.account));
                }
                known(&mut self.members, e.account, &|m| {
                    (m.member, m.former) = (true, false);
                    m.roles = Role::of(e.roles);
                    (m.profile, m.seal_key) = (e.profile, e.sealKey);
                    m.key_claimed = false;
                })
            }
            E::MemberUpdated(e) => known(&mut self.members, e.account, &|m| {
                m.key_claimed &= m.seal_key == e.sealKey;
                (m.profile, m.seal_key) = (e.profile, e.sealKey);
            }),
            E::SealKeyProven(e) => known(&mut self.members, e.account, &|m| {
                (m.seal_key, m.key_claimed) = (e.sealKey, true);
            }),
            E::RolesChanged(e) => known(&mut self.members, e.account, &|m| m.roles = Role::of(e.roles)),
            E::MemberRemoved(e) => known(&mut self.members, e.account, &|m| {
                (m.member, m.former) = (false, true);
                m.roles.clear();
            }),
            // Votes move before the member is announced.
            E::DelegateChanged(e) => {
                if self.members.get(&e.delegator).is_none() {
                    self.members.put(e.delegator, stranger(e.delegator));
                }
                let lent = (e.toDelegate != e.delegator).then_some(e.toDelegate);
                known(&mut self.members, e.delegator, &|m| m.vote_lent_to = lent)
            }
            E::DelegateVotesChanged(e) => {
                if self.members.get(&e.delegate).is_none() {
                    self.members.put(e.delegate, stranger(e.delegate));
                }
                known(&mut self.members, e.delegate, &|m| m.votes = e.newVotes.saturating_to())
            }
            E::AuthorityUpdated(_) | E::EIP712DomainChanged(_) => Ok(()),
        }
    }

    fn programs(&mut self, event: Programs::ProgramsEvents) -> Result<(), Odd> {
        use Programs::ProgramsEvents as E;
        let known = |shelf: &mut Shelf<_, Program>, measurement: B256, change: &dyn Fn(&mut Program)| {
            let row = shelf.get_mut(&measurement);
            row.map(change).ok_or_else(|| Odd::Unknown("program", measurement.to_string()))
        };
        match event {
            E::ProgramRegistered(e) => {
                self.programs.put(
                    e.measurement,
                    Program {
                        measurement: e.measurement,
                        kind: kind(e.kind),
                        author: e.author,
                        source_hash: e.sourceHash,
                        wasm_hash: e.wasmHash,
                        audits: Vec::new(),
                        allowed: false,
                        revoked_by: None,
                        usable: false,
                    },
                );
                Ok(())
            }
            E::ProgramAudited(e) => known(&mut self.programs, e.measurement, &|p| {
                p.audits.push(Audit { auditor: e.auditor, report_hash: e.reportHash });
            }),
            E::ProgramRevoked(e) => known(&mut self.programs, e.measurement, &|p| p.revoked_by = Some(e.by)),
            E::ProgramAllowed(e) => known(&mut self.programs, e.measurement, &|p| p.allowed = true),
            E::ProgramDisallowed(e) => known(&mut self.programs, e.measurement, &|p| p.allowed = false),
        }
    }

    fn enclaves(&mut self, event: Enclaves::EnclavesEvents) -> Result<(), Odd> {
        use Enclaves::EnclavesEvents as E;
        let known = |shelf: &mut Shelf<_, Enclave>, signer: Address, change: &dyn Fn(&mut Enclave)| {
            shelf.get_mut(&signer).map(change).ok_or_else(|| Odd::Unknown("enclave", signer.to_string()))
        };
        match event {
            E::EnclaveRegistered(e) => {
                self.enclaves.put(
                    e.signer,
                    Enclave {
                        signer: e.signer,
                        number: e.number,
                        state: EnclaveState::Live,
                        operator: e.operator,
                        measurement: e.measurement,
                        kind: Kind::Unknown,
                        platform: e.platform,
                        simulated: Platform::from_code(e.platform) == Platform::SIMULATED,
                        evidence_hash: e.evidenceHash,
                        seal_key: e.sealKey,
                        expires_at: e.expiresAt,
                        revoked_by: None,
                    },
                );
                Ok(())
            }
            E::EnclaveRefreshed(e) => known(&mut self.enclaves, e.signer, &|i| {
                (i.evidence_hash, i.expires_at) = (e.evidenceHash, e.expiresAt);
            }),
            E::EnclaveRevoked(e) => known(&mut self.enclaves, e.signer, &|i| i.revoked_by = Some(e.by)),
            E::EIP712DomainChanged(_) => Ok(()),
        }
    }

    fn datasets(&mut self, event: Datasets::DatasetsEvents, time: Option<u64>) -> Result<(), Odd> {
        use Datasets::DatasetsEvents as E;
        let known = |shelf: &mut Shelf<_, Dataset>, id: B256, change: &dyn Fn(&mut Dataset)| {
            shelf.get_mut(&id).map(change).ok_or_else(|| Odd::Unknown("dataset", id.to_string()))
        };
        match event {
            E::DatasetRegistered(e) => {
                self.datasets.put(
                    e.id,
                    Dataset {
                        id: e.id,
                        number: e.number,
                        state: DatasetState::Registered,
                        owner: e.owner,
                        rows: e.rows,
                        quality: e.quality,
                        root: e.root,
                        report_hash: e.reportHash,
                        policy_hash: e.policyHash,
                        enclave: e.enclave,
                        version: 1,
                        erased_at: None,
                        donated_to: Vec::new(),
                    },
                );
                Ok(())
            }
            E::PolicyChanged(e) => known(&mut self.datasets, e.id, &|d| d.policy_hash = e.policyHash),
            E::DatasetUpdated(e) => known(&mut self.datasets, e.id, &|d| {
                (d.root, d.report_hash, d.enclave) = (e.root, e.reportHash, e.enclave);
                (d.rows, d.quality) = (e.rows, e.quality);
                d.version += 1;
            }),
            E::DatasetWithdrawn(e) => known(&mut self.datasets, e.id, &|d| d.state = DatasetState::Withdrawn),
            E::DatasetErased(e) => known(&mut self.datasets, e.id, &|d| {
                d.state = DatasetState::Erased;
                d.erased_at = time;
            }),
            E::EIP712DomainChanged(_) => Ok(()),
        }
    }

    fn manager(&mut self, event: AccessManager::AccessManagerEvents) {
        use AccessManager::AccessManagerEvents as E;
        match event {
            E::RoleGranted(e) => {
                let holders = self.managers.entry(e.roleId).or_default();
                if !holders.contains(&e.account) {
                    holders.push(e.account);
                }
            }
            E::RoleRevoked(e) => {
                self.managers.entry(e.roleId).or_default().retain(|&account| account != e.account);
            }
            // Nothing that a row shows.
            _ => {}
        }
    }

    fn directory(&mut self, event: Directory::DirectoryEvents) {
        if let Directory::DirectoryEvents::Named(e) = event
            && e.previous != Address::ZERO
            && e.previous != e.target
        {
            let name = String::from_utf8_lossy(e.name.as_slice()).trim_end_matches('\0').to_owned();
            self.predecessors.push((name, e.previous));
        }
    }

    /// What follows from all events together.
    pub(super) fn finish(&mut self) {
        for program in &mut self.programs.rows {
            program.usable = program.allowed && !program.audits.is_empty() && program.revoked_by.is_none();
        }
        for enclave in &mut self.enclaves.rows {
            let program = self.programs.places.get(&enclave.measurement);
            let program = program.and_then(|&place| self.programs.rows.get(place));
            enclave.kind = program.map_or(Kind::Unknown, |p| p.kind);
            enclave.state = if enclave.revoked_by.is_some() {
                EnclaveState::Revoked
            } else if enclave.expires_at <= self.head.time {
                EnclaveState::Expired
            } else if program.is_some_and(|p| p.usable) {
                EnclaveState::Live
            } else {
                EnclaveState::Unusable
            };
        }
        for query in &mut self.queries.rows {
            if query.state == QueryState::Funded && query.deadline < self.head.time {
                query.state = QueryState::Overdue;
            }
        }
        for model in &mut self.models.rows {
            model.earn();
        }
    }
}

fn stranger(account: Address) -> Member {
    Member {
        account,
        member: false,
        former: false,
        roles: Vec::new(),
        profile: Default::default(),
        seal_key: Default::default(),
        key_claimed: false,
        vote_lent_to: None,
        votes: 0,
    }
}

fn kind(code: u8) -> Kind {
    match code {
        1 => Kind::Validation,
        2 => Kind::Training,
        3 => Kind::Query,
        _ => Kind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Instant;

    use alloy_sol_types::SolEvent;

    use super::*;

    /// Events of the market.
    fn said(event: &impl SolEvent) -> Event {
        let log = alloy_primitives::Log { address: Address::ZERO, data: event.encode_log_data() };
        Event { at: (77, 3), time: None, contract: Contract::Market, log }
    }

    #[test]
    fn a_hundred_thousand_events_take_no_longer_each() {
        let word = |n: u64| B256::left_padding_from(&n.to_be_bytes());
        let (model_id, enclave) = (U256::from(1), Address::repeat_byte(7));
        let mut book = Book::default();
        let terms = Market::Terms {
            instantPayment: U256::ZERO.to(),
            queryPrice: U256::from(10).to(),
            donorsBps: 7_000,
            trainerBps: 2_000,
            runnerBps: 1_000,
            minDonors: 2,
            maxDonors: 2,
            queryTimeout: 1,
            minSurvivors: 2,
            colluders: 1,
        };
        let proposed = Market::ModelProposed {
            modelId: model_id,
            trainer: Address::repeat_byte(1),
            whitePaperHash: word(1),
            planHash: word(2),
            terms,
            deposit: U256::ZERO,
        };
        let served = Market::ModelServed { modelId: model_id, enclave, runner: enclave, serving: 1 };
        book.apply(&said(&proposed)).unwrap();
        book.apply(&said(&served)).unwrap();
        let begin = Instant::now();
        let mut quarter = None;
        for n in 0..50_000u64 {
            let bought = Market::QueryBought {
                queryId: word(n),
                modelId: model_id,
                user: Address::repeat_byte(2),
                codeHash: word(n),
                price: U256::from(10),
                deadline: n,
                enclave,
            };
            let settled = Market::QuerySettled {
                queryId: word(n),
                modelId: model_id,
                jobId: word(n),
                outputHash: word(n),
                donorsShare: U256::from(7),
                trainerShare: U256::from(2),
                runnerShare: U256::from(1),
                answer: Default::default(),
            };
            book.apply(&said(&bought)).unwrap();
            book.apply(&said(&settled)).unwrap();
            if n == 12_500 {
                quarter = Some(begin.elapsed());
            }
        }
        let (quarter, all) = (quarter.unwrap(), begin.elapsed());
        eprintln!("100000 events: {all:?}; the first quarter: {quarter:?}");
        // Four times as many take about four times as long; were it quadratic, it would be sixteen times.
        assert!(all < quarter * 10, "{quarter:?}, {all:?}");
        book.finish();
        assert_eq!((book.queries.len(), book.models.get(&1).unwrap().queries.settled), (50_000, 50_000));
    }

    #[test]
    fn events_that_do_not_fit_are_refused_with_their_place() {
        let started =
            Market::TrainingStarted { modelId: U256::from(9), donors: 1, totalWeight: U256::ZERO.to() };
        let place = said(&started);
        let error = Book::default().apply(&place).unwrap_err().to_string();
        assert!(error.contains("market, event 3 of block 77") && error.contains("model 9"), "{error}");
        let mut unknown = place.clone();
        unknown.log.data =
            alloy_primitives::LogData::new_unchecked(vec![B256::repeat_byte(1)], Default::default());
        let error = Book::default().apply(&unknown).unwrap_err().to_string();
        assert!(error.contains("a newer version of this program may know it"), "{error}");
    }
}
