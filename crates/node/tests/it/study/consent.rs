//! Participants, their consent, and whom their lists name.

use histone_node::study::{Denied, Study, TrainerId};
use histone_protocol::Address;

use super::{STUDY, check, edited, files, outcome};

#[test]
fn participants_and_consent() {
    let south =
        &STUDY[STUDY.find("[[participant]]\nname = \"south\"").unwrap()..STUDY.find("[model]").unwrap()];
    check(
        &[(south, "")],
        "study.toml:1:8: the study has 1 participants; write 2 to 256 [[participant]] sections",
    );
    check(
        &[("\"FR\"", "\"France\"")],
        "study.toml:19:11: `France` is not a country; use two capital letters of ISO 3166-1, such as DE",
    );
    check(
        &[("[\"DUO:0000006\"]", "[\"DUO:0000666\"]")],
        "study.toml:14:12: `DUO:0000666` is not a data use code; codes look like DUO:0000006 and docs/study-file.md lists them",
    );
    check(
        &[("[\"DUO:0000006\"]", "[]")],
        "study.toml:14:11: a consent needs exactly one permission, such as DUO:0000006; this has 0",
    );
    check(
        &[("[\"DUO:0000006\"]", "[\"DUO:0000006\", \"DUO:0000042\"]")],
        "study.toml:14:11: a consent needs exactly one permission, such as DUO:0000006; this has 2",
    );
    check(
        &[("[\"DUO:0000006\"]", "[\"DUO:0000006\", \"DUO:0000006\"]")],
        "study.toml:14:27: `DUO:0000006` is listed twice; remove one",
    );
    check(
        &[("[\"DUO:0000006\"]", "[\"DUO:0000007\"]")],
        "study.toml:14:12: `DUO:0000007` (disease specific research) needs a disease such as MONDO:0007254 after it",
    );
    check(
        &[("[\"DUO:0000006\"]", "[\"DUO:0000037\"]")],
        "study.toml:14:12: `DUO:0000037` (biomedical research) is what a requester does, not a consent; use a permission or a modifier",
    );
    check(
        &[("[\"DUO:0000006\"]", "[\"DUO:0000006 MONDO:0007254\"]")],
        "study.toml:14:12: `DUO:0000006` (health or medical or biomedical research) takes nothing after it",
    );
    check(
        &[("deny = [\"institute\"", "deny = [\"The Insurer\"")],
        "study.toml:21:9: `The Insurer` is not a name; use 1 to 32 of a-z, 0-9 and -",
    );
    check(
        &[("deny = [\"institute\"", "allow = [\"DUO:0000018\"]\ndeny = [\"institute\"")],
        "study.toml:21:10: `DUO:0000018` (not for profit, non commercial use only) is not a purpose; use a permission such as DUO:0000006 or an investigation such as DUO:0000037",
    );
}

#[test]
fn lists_name_trainers_of_the_study_or_accounts() {
    let south = |edits: &[(&str, &str)]| {
        Study::parse("study.toml", &edited(edits), &files()).unwrap().participants.swap_remove(1)
    };
    let account = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    let denied = south(&[("deny = [\"institute\"", &format!("deny = [\"{account}\""))]);
    let expected: Address = account.parse().unwrap();
    assert_eq!(denied.deny[0], Denied::Trainer(TrainerId::Account(expected)));
    assert_eq!(denied.versions, 1);
    // Whatever a name could match, nobody of this study has it.
    check(
        &[("deny = [\"institute\"", "deny = [\"insurer\"")],
        "study.toml:21:9: `insurer` is no trainer of this study; lists hold accounts, so write the account (0x...) of a trainer from outside",
    );
    for wrong in [account.to_lowercase(), account[..41].to_owned()] {
        check(
            &[("deny = [\"institute\"", &format!("deny = [\"{wrong}\""))],
            &format!(
                "study.toml:21:9: `{wrong}` is not an account; write 0x and 40 hexadecimal digits, with capital letters as the checksum demands"
            ),
        );
    }
    let lists = |consent: &str, entry: &str| {
        let consent = format!("\"DUO:0000046\", \"DUO:0000042\"{consent}]\nallow_trainers = [{entry}]");
        edited(&[("\"DUO:0000046\", \"DUO:0000042\"]", &consent)])
    };
    let ethics = ", \"DUO:0000021\", \"DUO:0000028 institute\"";
    let entry = |meets: &str| format!("{{ trainer = \"institute\", meets = [{meets}] }}");
    let text = lists(ethics, &entry("\"DUO:0000021\", \"DUO:0000028\""));
    let allowed = Study::parse("study.toml", &text, &files()).unwrap().participants.swap_remove(1);
    assert_eq!(allowed.allow_trainers[0].trainer, TrainerId::Named("institute".into()));
    let met: Vec<_> = allowed.allow_trainers[0].meets.iter().map(|term| term.short).collect();
    assert_eq!(met, ["IRB", "IS"]);
    for (text, expected) in [
        (
            lists("", &entry("\"DUO:0000021\"")),
            "study.toml:21:53: `DUO:0000021` is no code of this participant's `consent`; write the code of one, without what follows it",
        ),
        (
            lists("", &entry("\"DUO:0000046\"")),
            "study.toml:21:53: `DUO:0000046` (non-commercial use only) is decided by rule, and nobody is exempt from it",
        ),
        (
            lists(ethics, &format!("{}, {}", entry(""), entry(""))),
            "study.toml:21:70: `institute` is listed twice; remove one",
        ),
    ] {
        assert_eq!(outcome(&text, &files()), expected);
    }
    let versions = south(&[("deny = [\"institute\"", "versions = 3\ndeny = [\"institute\"")]).versions;
    assert_eq!(versions, 3);
    check(
        &[("deny = [\"institute\"", "versions = 0\ndeny = [\"institute\"")],
        "study.toml:21:12: `versions` is 0, it must be 1 to 1000",
    );
}
