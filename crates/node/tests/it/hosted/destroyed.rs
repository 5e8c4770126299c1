//! The enclave destroys what it was given, as far as anybody can see who has its runner's directory and breaks its processor.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use histone_protocol::B256;
use histone_protocol::dataset::DataKey;
use histone_protocol::disclosure::Release;
use histone_protocol::secret::Root;

use super::{bytes, says, signer, used};
use crate::cast::{Cast, refused, table};
use crate::sealed::sealed_plan;

/// Every file of a directory.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_string(), fs::read(path).unwrap()))
        .collect()
}

/// Puts a directory back as it was.
fn put_back(dir: &Path, as_it_was: &BTreeMap<String, Vec<u8>>) {
    fs::remove_dir_all(dir).unwrap();
    fs::create_dir(dir).unwrap();
    for (name, bytes) in as_it_was {
        fs::write(dir.join(name), bytes).unwrap();
    }
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

impl Cast {
    /// What a file of the runner's directory says to whoever has the secrets of all enclaves on its machine, beside the file itself.
    fn opened(&self, name: &str, file: &[u8]) -> Vec<Vec<u8>> {
        let measurement = B256::from(self.loaded.method.program().program().measurement());
        let started = self.runner.party.count("enclaves").unwrap();
        assert!(started > 1);
        let mut opened = vec![file.to_vec()];
        for number in 0..started {
            let secret = Root::from_bytes(*self.runner.party.enclave_seed(number));
            let secret = secret.child("histone/enclave/v1", &[measurement.as_slice()]);
            let key = DataKey::from_bytes(*secret.derive("storage key", &[name.as_bytes()]));
            opened.extend(key.decrypt(file).ok().map(|plain| plain.to_vec()));
        }
        opened
    }

    /// What of the owners' data the runner's directory has: ciphertexts, data keys, rows.
    fn found(&self) -> Vec<String> {
        let mut secrets = Vec::new();
        for (i, owner) in self.owners.iter().enumerate() {
            let ciphertext =
                owner.party.recall(&format!("{}.sealed", owner.dataset_file())).unwrap().unwrap();
            secrets.push((format!("ciphertext {i}"), ciphertext[20..60].to_vec()));
            let keys = self.bundle(i).to_bytes();
            secrets.push((format!("data key {i}"), keys[..32].to_vec()));
            let table = table(i as u32 + 1);
            for row in table.values().chunks_exact(3) {
                let bytes = row.iter().flat_map(|v| v.to_le_bytes()).collect();
                secrets.push((format!("row of {i}"), bytes));
            }
        }
        let mut found = Vec::new();
        for (name, file) in files(&self.runner_dir()) {
            for opened in self.opened(&name, &file) {
                let here = secrets.iter().filter(|(_, secret)| holds(&opened, secret));
                found.extend(here.map(|(what, _)| format!("{what} in {name}")));
            }
        }
        found.dedup();
        found
    }
}

#[tokio::test]
async fn nothing_of_the_data_is_left_with_the_runner() {
    let mut cast = Cast::hosting(1, 3).await;
    let world = cast.world.clone();
    let before = files(&cast.runner_dir());
    let (paper, id) = cast.propose_hosted(&sealed_plan(Release::Public)).await;
    let mut host = cast.host(id).await;
    for owner in 0..2 {
        cast.bring_to(owner, (paper, id), &mut host).await.unwrap();
    }
    // The third one gives its key, and its transaction never comes: no donor, and its data is there all the same.
    let sealed = cast.sealed(2, host.enclave.instance());
    let consent = cast.consent(2, id).await;
    let terms = histone_enclave::training::DonationTerms { payee: cast.owners[2].account(), consent };
    host.enclave.admit(&sealed, terms, &world.ledger).await.unwrap();
    // The search finds what is there.
    let kept = cast.found();
    for i in 0..3 {
        assert!(kept.iter().any(|f| f.starts_with(&format!("ciphertext {i} in data-"))), "{kept:?}");
    }
    assert_eq!(cast.kept_data().len(), 3);

    cast.trainer.start(id, &world).await.unwrap();
    let said = cast.make(&mut host).await;
    assert_eq!((cast.found(), cast.kept_data()), (vec![], vec![]));
    assert!(format!("{host:?}").contains(" 0 datasets"), "{host:?}");
    let mut all: Vec<B256> = cast.owners.iter().map(|o| o.dataset()).collect();
    all.sort_unstable();
    assert_eq!((says(&said).destroyed, used(&said)), (all, vec![1, 2]));
    cast.sell(&mut host, &said).await;
    assert_eq!(cast.found(), [""; 0]);
    let after = files(&cast.runner_dir());
    let new: Vec<&String> = after.keys().filter(|name| !before.contains_key(*name)).collect();
    let signer = signer(&host);
    assert_eq!(new, [&format!("enclave-{signer:x}"), &format!("outcome-{signer:x}")]);
}

/// An operator keeps a copy of everything that lay in its directory before the training.
#[tokio::test]
async fn a_restored_directory_trains_nothing_once_the_market_has_the_model() {
    let mut cast = Cast::hosting(1, 3).await;
    let world = cast.world.clone();
    let (paper, id) = cast.propose_hosted(&sealed_plan(Release::Public)).await;
    let mut host = cast.host(id).await;
    for owner in 0..2 {
        cast.bring_to(owner, (paper, id), &mut host).await.unwrap();
    }
    cast.trainer.start(id, &world).await.unwrap();
    let dir = cast.runner_dir();
    let copy = files(&dir);
    let said = cast.make(&mut host).await;

    // As long as the market has nothing, it makes the same again, and destroys it again.
    put_back(&dir, &copy);
    assert_eq!(cast.kept_data().len(), 2);
    let mut host = cast.again_host(id, host).await;
    assert!(format!("{host:?}").contains(" 2 datasets"), "{host:?}");
    let again = cast.make(&mut host).await;
    assert_eq!(bytes(&again), bytes(&said));
    assert_eq!(cast.kept_data(), [""; 0]);
    // A copy of the data beside what came of it, as a crash between the two leaves it.
    for (name, bytes) in copy.iter().filter(|(name, _)| name.starts_with("data-")) {
        fs::write(dir.join(name), bytes).unwrap();
    }
    let mut host = cast.again_host(id, host).await;
    assert!(cast.kept_data().is_empty() && format!("{host:?}").contains(" 0 datasets"), "{host:?}");
    cast.sell(&mut host, &said).await;

    put_back(&dir, &copy);
    let mut host = cast.again_host(id, host).await;
    assert!(cast.kept_data().is_empty() && format!("{host:?}").contains(" 0 datasets"), "{host:?}");
    assert_eq!(cast.found(), [""; 0]);
    refused(host.enclave.train(&world.evidence(), &world.ledger).await, "has not started, or is over");
    refused(host.enclave.release(&world.ledger).await, "the training is not finished");
    let sealed = cast.sealed(2, host.enclave.instance());
    let consent = cast.consent(2, id).await;
    let terms = histone_enclave::training::DonationTerms { payee: cast.owners[2].account(), consent };
    refused(host.enclave.admit(&sealed, terms, &world.ledger).await, "does not recruit any more");
    assert_eq!(cast.kept_data(), [""; 0]);
}

/// The trainer gives the model up before anything was made of the data.
#[tokio::test]
async fn what_was_brought_to_a_model_that_is_given_up_is_destroyed() {
    for started in [false, true] {
        let mut cast = Cast::hosting(1, 2).await;
        let (id, mut host) = cast.recruit_hosted(&sealed_plan(Release::Public)).await;
        if started {
            cast.trainer.start(id, &cast.world).await.unwrap();
        }
        assert_eq!(cast.kept_data().len(), 2);
        cast.trainer.abort(id, &cast.world).await.unwrap();
        assert!(cast.perform(&mut host).await.is_empty());
        assert!(cast.kept_data().is_empty() && format!("{host:?}").contains(" 0 datasets"), "{host:?}");
        assert_eq!(cast.found(), [""; 0]);
        assert_eq!(cast.owes(&host).await, []);
    }
}
