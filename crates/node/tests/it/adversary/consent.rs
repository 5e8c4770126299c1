//! A trainer whose white paper, plan and ledger do not say the same, or who would have other enclaves believed.

use histone_contracts::{Contract, Members, roles};
use histone_node::owner::Machine;
use histone_program_sdk::config::Kind;
use histone_protocol::consent::{Verdict, WhitePaper};
use histone_protocol::disclosure::{Disclosure, Release};
use histone_protocol::plan::{PlanDocument, PlanOutcome};
use histone_protocol::{Address, B256};

use crate::cast::{Cast, at_price, plan, refused, with};

#[tokio::test]
async fn a_paper_says_one_plan_and_the_ledger_another() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let good = cast.document(&plan(2));
    let paper = WhitePaper { plan: good.hash(), ..cast.paper() };
    // Every field that could be another one on the ledger than in what the owners read.
    let others = [
        cast.document(&with(plan(2), "bins", 100.0)),
        cast.document(&with(plan(2), "rounds", 1_000.0)),
        PlanDocument { committee_members: 5, ..good.clone() },
        PlanDocument { round_seconds: 1, ..good.clone() },
        PlanDocument { holdout: 0.5, ..good.clone() },
    ];
    for other in others {
        let (blob, id) = cast.propose_as(&paper, &other, |_| {}).await;
        refused(cast.owners[0].consider(blob, id, &world).await, "its white paper names the plan");
    }
    // A plan that nobody can read is none.
    let (blob, id) = cast.propose_as(&paper, &good, |offer| offer.plan = B256::repeat_byte(7)).await;
    refused(cast.owners[0].consider(blob, id, &world).await, "is not in");
}

#[tokio::test]
async fn a_plan_contradicts_the_paper_or_the_terms_that_the_contracts_enforce() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let good = cast.document(&plan(2));
    let mut programs = good.programs;
    programs.training = B256::repeat_byte(9);
    let mut wide = good.clone();
    wide.features.push(wide.features[0].clone());
    let foreign = PlanDocument { programs, ..good.clone() };
    let loose = cast.document(&with(plan(2), "tolerance", -1.0));
    let mut silent = good.clone();
    silent.settings.remove("ridge");
    let other = PlanDocument { outcome: PlanOutcome::YesNo("a".into()), ..good.clone() };
    for (document, reason) in [
        (&wide, "made from other features than its white paper"),
        (&foreign, "names other programs than its white paper"),
        (&loose, "`tolerance`: -1 is not from 0.000000000000001 to 1"),
        (&silent, "it does not say the setting `ridge`"),
        (&other, "predicts another outcome than its white paper"),
    ] {
        let paper = WhitePaper { plan: document.hash(), ..cast.paper() };
        let (blob, id) = cast.propose_as(&paper, document, |_| {}).await;
        refused(cast.owners[0].consider(blob, id, &world).await, reason);
    }
    let paper = WhitePaper { plan: good.hash(), ..cast.paper() };
    let (blob, id) =
        cast.propose_as(&paper, &good, |offer| (offer.min_survivors, offer.min_donors) = (3, 3)).await;
    refused(
        cast.owners[0].consider(blob, id, &world).await,
        "2 survivors and 1 colluders, the ledger 3 and 1",
    );
    let (blob, id) = cast.propose_as(&paper, &good, |offer| offer.colluders = 2).await;
    refused(
        cast.owners[0].consider(blob, id, &world).await,
        "2 survivors and 1 colluders, the ledger 2 and 2",
    );
}

#[tokio::test]
async fn a_plan_shows_sums_to_others_than_the_paper_says() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let sealed = Disclosure::sealed(Release::Sealed);
    let document = cast.document(&plan(2));
    for other in [
        sealed.clone(),
        Disclosure { auditors: vec![cast.auditor.account()], ..sealed },
        Disclosure { answers: 1, ..document.disclosure.clone() },
    ] {
        let paper = WhitePaper { plan: document.hash(), disclosure: other, ..cast.paper() };
        let (blob, id) = cast.propose_as(&paper, &document, |_| {}).await;
        refused(cast.owners[0].consider(blob, id, &world).await, "shows sums or model to others");
    }
}

#[tokio::test]
async fn an_auditor_is_no_auditor_on_the_ledger_or_an_owner_a_runner_a_trainer_too() {
    let mut cast = Cast::new(2).await;
    let world = cast.world.clone();
    let ask = async |cast: &mut Cast, auditor: Address| {
        let disclosure = Disclosure { auditors: vec![auditor], ..Disclosure::sealed(Release::Sealed) };
        let document = PlanDocument { disclosure: disclosure.clone(), ..cast.document(&plan(2)) };
        let paper = WhitePaper { plan: document.hash(), disclosure, ..cast.paper() };
        let (blob, id) = cast.propose_as(&paper, &document, |_| {}).await;
        let answer = cast.owners[0].consider(blob, id, &world).await.unwrap();
        assert_eq!((answer.decision.verdict, answer.permit.is_none()), (Verdict::Deny, true));
        let why = answer.decision.reasons.join("; ");
        let interested =
            why.contains("is an owner, a trainer or a runner on the ledger, or no auditor there");
        assert_eq!(answer.decision.facts.auditors_independent, !interested, "{why}");
        // Whoever it is, this owner's policy allows nobody.
        let named = why.contains(&format!("the auditor {auditor}"));
        assert!(named, "{why}");
        !interested
    };
    let auditor = cast.auditor.account();
    assert!(ask(&mut cast, auditor).await);
    let (other, runner) = (cast.owners[1].account(), cast.runner.party.account());
    let trainer = cast.trainer.party.account();
    for account in [other, runner, trainer, cast.owners[0].account(), Address::repeat_byte(9)] {
        assert!(!ask(&mut cast, account).await, "{account}");
    }
    for (more, apart) in
        [(roles::OWNER, false), (roles::RUNNER, false), (roles::TRAINER, false), (roles::COMMITTEE, true)]
    {
        let call = Members::setRolesCall { account: auditor, roles: roles::AUDITOR | more };
        cast.world.ledger.send(&cast.operator.key, Contract::Members, call).await.unwrap();
        assert_eq!(ask(&mut cast, auditor).await, apart, "{more}");
    }
}

#[tokio::test]
async fn a_plan_that_the_method_does_not_begin_is_refused_before_a_key_is_released() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut turned = plan(2);
    turned.config.features[0].kind = Kind::Number { low: 5.0, high: 1.0 };
    let mut held_out = plan(2);
    held_out.config.holdout = 7.0;
    for (bad, why) in [(turned, "its end must be above its beginning"), (held_out, "must be from 0 to 0.9")] {
        let (paper, id) = cast.propose(&bad).await;
        refused(cast.owners[0].consider(paper, id, &world).await, why);
    }
}

#[tokio::test]
async fn a_permit_opens_no_donation_to_a_model_that_was_not_considered() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (paper, first) = cast.propose(&plan(2)).await;
    let (_, second) = cast.propose(&with(plan(2), "bins", 11.0)).await;
    let answer = cast.owners[0].consider(paper, first, &world).await.unwrap();
    let machine = Machine { program: cast.loaded.method.program().clone(), device: &cast.devices[0] };
    let donated =
        cast.owners[0].donate(at_price(answer.permit.unwrap(), answer.blob, second), machine, &world).await;
    refused(donated, "has not considered model 2");
}

#[tokio::test]
async fn a_committee_is_smaller_than_the_plan_says() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let document = PlanDocument { committee_members: 8, ..cast.document(&plan(2)) };
    let paper = WhitePaper { plan: document.hash(), ..cast.paper() };
    let (blob, id) = cast.propose_as(&paper, &document, |_| {}).await;
    for owner in 0..3 {
        cast.donate(owner, blob, id).await.unwrap();
    }
    let mut model = cast.begin(id, plan(2)).await;
    let (header, _) =
        cast.trainer.open_round(&model.training.asked(), &mut model.leading, &world).await.unwrap();
    refused(cast.owners[0].contribute(&header, &world).await, "has 7 members, its plan asks for 8 or more");
}

#[tokio::test]
async fn simulated_hardware_where_the_paper_says_none() {
    let mut cast = Cast::new(1).await;
    let mut paper = cast.paper();
    paper.appraisal.platforms.clear();
    let (blob, id) = cast.propose_as(&paper, &cast.document(&plan(2)), |_| {}).await;
    refused(cast.donate(0, blob, id).await, "the evidence is SIMULATED");
}

#[tokio::test]
async fn a_trainer_would_have_its_own_vendor_or_old_evidence_believed() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let own = |p: &mut WhitePaper| p.appraisal.simulated_vendors.push(Address::repeat_byte(9));
    let old = |p: &mut WhitePaper| p.appraisal.max_age_seconds *= 2;
    for change in [own, old] as [fn(&mut WhitePaper); 2] {
        let mut paper = cast.paper();
        change(&mut paper);
        let (blob, id) = cast.propose_as(&paper, &cast.document(&plan(2)), |_| {}).await;
        let answer = cast.owners[0].consider(blob, id, &world).await.unwrap();
        assert_eq!((answer.decision.verdict, answer.permit.is_some()), (Verdict::Deny, false));
        assert!(answer.decision.reasons[0].contains("believes enclaves that the owner's node does not"));
    }
}
