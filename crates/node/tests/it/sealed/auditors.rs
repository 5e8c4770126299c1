//! Auditors of a sealed training that have an interest by now, or no key.

use histone_compliance::verify::Outcome;
use histone_contracts::{Contract, Members, roles};
use histone_enclave::training::RoundTranscript;
use histone_federation::sealed::SealedPartial;
use histone_node::party::{Entropy, Party};
use histone_protocol::consent::{ConsentPolicy, WhitePaper};
use histone_protocol::disclosure::{Disclosure, Release};
use histone_protocol::plan::PlanDocument;
use histone_protocol::{Address, B256};

use crate::cast::{Cast, disclosure, policy, refused, table};
use crate::sealed::{Led, detail, sealed_plan};
use crate::strangers::left::settle;

const KEYLESS: Address = Address::repeat_byte(9);
/// Has a key to which nothing can be sealed: a point of low order.
const WEAK: Address = Address::repeat_byte(10);

/// Who can read what each member sealed in a round, beside the enclaves of its header.
fn others(transcript: &RoundTranscript) -> Vec<Vec<Address>> {
    let header = &transcript.header;
    let is_enclave = |reader: &[u8; 20]| header.fields().cohort.iter().any(|d| d.enclave == *reader);
    let of = |blob| {
        let partial = SealedPartial::decode(blob, header).unwrap();
        let others: Vec<Address> = partial.readers().filter(|r| !is_enclave(r)).map(Address::from).collect();
        assert_eq!(partial.readers().count() - others.len(), header.fields().cohort.len());
        others
    };
    transcript.partials.iter().cloned().map(of).collect()
}

#[tokio::test]
async fn an_auditor_with_an_interest_gets_no_key_and_one_without_a_key_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let auditor = Party::create("auditor", dir.path(), Entropy::Seed(7)).unwrap().account();
    let mut allow_auditors = vec![auditor, KEYLESS, WEAK];
    allow_auditors.sort_unstable();
    let policy = ConsentPolicy { allow_auditors: allow_auditors.clone(), ..policy() };
    let mut cast = Cast::holding(1, 3, policy, &table).await;
    let world = cast.world.clone();
    assert_eq!(cast.auditor.account(), auditor);
    for (account, key) in [(KEYLESS, B256::ZERO), (WEAK, B256::with_last_byte(1))] {
        let call =
            Members::addCall { account, roles: roles::AUDITOR, profile: B256::repeat_byte(1), sealKey: key };
        world.ledger.send(&cast.operator.key, Contract::Members, call).await.unwrap();
    }
    let plan = sealed_plan(Release::Public);
    let disclosure = Disclosure { auditors: allow_auditors, ..disclosure(&plan) };
    let document = PlanDocument { disclosure: disclosure.clone(), ..cast.document(&plan) };
    let paper = WhitePaper { plan: document.hash(), disclosure, ..cast.paper() };
    let (paper, id) = cast.propose_as(&paper, &document, |_| {}).await;
    for owner in 0..3 {
        cast.donate(owner, paper, id).await.unwrap();
    }
    let mut led = Led::of(cast.begin(id, plan.clone()).await, plan);
    let become_ = async |cast: &Cast, held: u8| {
        let call = Members::setRolesCall { account: auditor, roles: held };
        world.ledger.send(&cast.operator.key, Contract::Members, call).await.unwrap();
    };
    let (account, key) = (auditor.into_array(), cast.party_again("auditor").seal.clone());
    for (interest, reads) in
        [(0, true), (roles::OWNER, false), (roles::TRAINER, false), (roles::RUNNER, false)]
    {
        become_(&cast, roles::AUDITOR | interest).await;
        let round = cast.sealed_round(&mut led, &[0, 1, 2]).await;
        let expected = if reads { vec![WEAK, auditor] } else { vec![WEAK] };
        for mut others in others(&round) {
            others.sort_by_key(|a| *a != WEAK);
            assert_eq!(others, expected, "with the interest {interest}");
        }
        match reads {
            true => assert!(round.open_as(&account, &key).is_ok()),
            false => {
                let error = round.open_as(&account, &key).unwrap_err().to_string();
                assert!(error.starts_with("0 of the 7 partial sums open to this reader"), "{error}");
            }
        }
    }
    assert_eq!(led.asked, None, "an interest for every round");
    cast.trainer.finish(id, led.names.0, &world).await.unwrap();
    cast.owners[0].release_model(&world).unwrap();
    histone_node::recompute::check(id, &world).await.unwrap();
    become_(&cast, roles::AUDITOR).await;
    settle(&cast).await;
    // Everybody finds what they find; the auditor is told from which round on it saw nothing.
    let (outcome, words) = detail(&cast.looked_at(id, None).await, "rounds");
    assert_eq!(outcome, Outcome::Holds, "{words}");
    let (outcome, words) = detail(&cast.looked_at(id, Some(&key)).await, "rounds");
    assert_eq!(outcome, Outcome::Fails, "{words}");
    assert!(words.contains("round 2: for the auditor"), "{words}");
    assert!(words.contains("0 of the 7 partial sums open to this reader"), "{words}");
    refused(cast.owners[0].share_model(auditor, &world).await, "the model is public");
}
