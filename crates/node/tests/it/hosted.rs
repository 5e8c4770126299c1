//! Trainings in one enclave to which all owners bring their data, and everybody who would break them.

mod crashes;
mod destroyed;
mod honest;
mod lies;
mod replays;
mod sites;
mod withdrawn;

use std::path::PathBuf;

use histone_contracts::{Contract, Datasets, Market};
use histone_enclave::training::Hosted;
use histone_node::duties::HostDuty;
use histone_node::runner::{Host, HostTell};
use histone_protocol::record::Signed;
use histone_protocol::report::{HostedStatement, SiteEvaluation};
use histone_protocol::{Address, B256, U256};

use crate::cast::Cast;

/// Blobs of what the enclave released: the document, the model, the evaluations.
pub type Out = (B256, B256, Vec<B256>);

/// The account of an enclave.
pub fn signer(host: &Host) -> Address {
    host.enclave.instance().keys().receipt
}

/// What the enclave says.
pub fn says(said: &Hosted) -> HostedStatement {
    let (statement, _) = Signed::from_bytes(&said.statement).unwrap().open().unwrap();
    statement
}

/// The numbers of the donors whose data was used.
pub fn used(said: &Hosted) -> Vec<u16> {
    says(said).donors.iter().map(|d| d.donor).collect()
}

/// Everything that is to be published or sent, byte by byte.
pub fn bytes(said: &Hosted) -> Vec<Vec<u8>> {
    let mut bytes = vec![said.statement.clone()];
    if let Some((r, signature)) = &said.finish {
        bytes.push(r.unused.iter().flat_map(|donor| donor.to_le_bytes()).collect());
        bytes.extend([r.modelHash.to_vec(), r.statementHash.to_vec(), signature.as_slice().to_vec()]);
    }
    bytes
}

impl Cast {
    /// What the runner owes to do now.
    pub async fn owes(&self, host: &Host) -> Vec<HostDuty> {
        self.runner.host_duties(host, &self.world.ledger.current_book().await.unwrap())
    }

    /// The runner does everything that it owes. Gives what it tells others.
    pub async fn perform(&self, host: &mut Host) -> Vec<HostTell> {
        let mut told = Vec::new();
        while let Some(duty) = self.owes(host).await.into_iter().next() {
            told.extend(self.runner.perform(duty, host, &self.world).await.unwrap());
        }
        told
    }

    /// The enclave trains. Gives what it says.
    pub async fn make(&self, host: &mut Host) -> Hosted {
        match self.perform(host).await.pop() {
            Some(HostTell::Made(said)) => said,
            other => panic!("{other:?}"),
        }
    }

    /// The market gets the model, and everybody what is released of it.
    pub async fn sell(&self, host: &mut Host, said: &Hosted) -> Out {
        self.trainer.finish_hosted(said, &self.world).await.unwrap();
        self.released(host).await
    }

    /// What the enclave releases now.
    pub async fn released(&self, host: &mut Host) -> Out {
        match self.perform(host).await.pop() {
            Some(HostTell::Released { document, model, evaluations }) => (document, model, evaluations),
            other => panic!("{other:?}"),
        }
    }

    /// The process of the enclave ends, and it is started again.
    pub async fn again_host(&self, id: u64, host: Host) -> Host {
        let signer = signer(&host);
        drop(host);
        let program = self.loaded.method.program().clone();
        self.runner.resume_host(program, id, signer, &self.world).await.unwrap()
    }

    /// What the runner keeps of everybody's data.
    pub fn kept_data(&self) -> Vec<String> {
        self.runner.party.storage().names("data-").unwrap()
    }

    /// The private directory of the runner.
    pub fn runner_dir(&self) -> PathBuf {
        self.dir.path().join("private").join(&self.runner.party.name)
    }

    /// An owner takes its dataset back and does nothing else.
    pub async fn only_withdraw(&self, owner: usize) {
        let owner = &self.owners[owner];
        let call = Datasets::withdrawCall { id: owner.dataset() };
        self.world.ledger.send(&owner.party.key, Contract::Datasets, call).await.unwrap();
    }

    /// Ends the use of a donor whose dataset is withdrawn, as anybody may.
    pub async fn end_use(&self, model: u64, donor: u16) {
        let call = Market::endUseCall { modelId: U256::from(model), donorIndex: donor };
        self.world.ledger.send(&self.user.party.key, Contract::Market, call).await.unwrap();
    }

    /// What was said of a model at sites.
    pub fn evaluated(&self, evaluations: &[B256]) -> Vec<SiteEvaluation> {
        let read = |blob: &B256| Signed::from_bytes(&self.world.blobs.get(*blob).unwrap()).unwrap();
        evaluations.iter().map(|blob| read(blob).open().unwrap().0).collect()
    }
}
