//! A study whose sums and model only enclaves see: what an auditor recomputes, and that nothing of the model shows anywhere else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use histone_program_sdk::model::Model;
use histone_program_sdk::wire::Wire;
use serde_json::Value;

use crate::support::{Ran, copy_tree, demo, files, histone};

/// The bundled study, with sealed sums, a sealed model and an auditor whom every owner allows.
fn study(dir: &Path) {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/breast-cancer");
    copy_tree(&bundled, dir);
    let file = dir.join("study.toml");
    let text = fs::read_to_string(&file).unwrap();
    let allowed = "allow_auditors = [\"independent-auditor\"]  # ";
    let text = text.replace("allow_public_exact = true", allowed);
    let sealed = "sums = \"sealed\"\nmodel = \"sealed\"\nauditors = [\"independent-auditor\"]\nleast = 7 # ";
    assert!(text.contains("sums = \"public-exact\""));
    fs::write(&file, text.replace("sums = \"public-exact\"", sealed)).unwrap();
}

/// A number as somebody might write it down, in bytes.
fn spellings(v: f64) -> Vec<Vec<u8>> {
    let mut all = vec![v.to_le_bytes().to_vec(), v.to_be_bytes().to_vec(), v.to_string().into_bytes()];
    // Six digits are all that there are.
    all.extend((5..17).map(|digits| format!("{v:.digits$e}").split_once('e').unwrap().0.as_bytes().to_vec()));
    // Fixed-point, as sums have it.
    all.push(((v * (1_u64 << 60) as f64) as i128).to_le_bytes().to_vec());
    all
}

fn find(file: &[u8], text: &[u8]) -> bool {
    file.windows(text.len()).any(|window| window == text)
}

/// How many of the model's numbers stand somewhere in these files, and in which.
fn found(files: &BTreeMap<String, Vec<u8>>, model: &Model) -> (usize, Vec<String>) {
    // What is told by chance or by the plan: whole numbers, ends of ranges.
    let telling = |v: &&f64| v.is_finite() && (**v * 1024.0).fract() != 0.0;
    let numbers: Vec<f64> = model.array("weights").iter().filter(telling).copied().collect();
    assert!(numbers.len() > 20, "{numbers:?}");
    // By their first bytes, so that each file is read once.
    let mut needles: HashMap<[u8; 4], Vec<(usize, Vec<u8>)>> = HashMap::new();
    for (at, v) in numbers.iter().enumerate() {
        for spelling in spellings(*v) {
            needles.entry(spelling[..4].try_into().unwrap()).or_default().push((at, spelling));
        }
    }
    let (mut seen, mut places) = (BTreeSet::new(), BTreeSet::new());
    for (name, bytes) in files {
        for (i, first) in bytes.windows(4).enumerate() {
            let Some(here) = needles.get(first) else { continue };
            for (at, _) in here.iter().filter(|(_, needle)| bytes[i..].starts_with(needle)) {
                seen.insert(*at);
                places.insert(name.clone());
            }
        }
    }
    (seen.len(), places.into_iter().collect())
}

#[test]
fn a_sealed_model_shows_nowhere_and_an_auditor_recomputes_it() {
    let home = tempfile::tempdir().unwrap();
    // The same model for everybody: its numbers are those of the sealed one.
    let open = home.path().join("open");
    let ran = Ran::of(&mut demo(1, &open, &["--sealed"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let record: Value = serde_json::from_slice(&fs::read(open.join("run.json")).unwrap()).unwrap();
    let record: Value = serde_json::from_str(record["payload"].as_str().unwrap()).unwrap();
    let blob = record["models"][0]["model"].as_str().unwrap().trim_start_matches("0x").to_owned();
    let blobs = files(&open.join("blobs"));
    let (_, bytes) = blobs.iter().find(|(name, _)| name.trim_start_matches("0x") == blob).unwrap();
    let model = Model::from_bytes(bytes).unwrap();
    let (seen, places) = found(&files(&open), &model);
    assert!(
        seen > 20 && places.iter().any(|p| p.contains(&blob)),
        "the search finds what is there: {places:?}"
    );

    study(&home.path().join("study"));
    let out = home.path().join("sealed");
    let mut run = histone();
    run.args(["study", "run"]).arg(home.path().join("study/study.toml"));
    let ran = Ran::of(run.args(["--json", "--seed", "1", "--out"]).arg(&out));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let private = home.path().join("sealed.private");
    let mut everywhere = files(&out);
    for party in ["oncology-institute", "cloud-runner", "end-user", "regulator"] {
        let own = files(&private.join(party));
        assert!(!own.is_empty());
        everywhere.extend(own.into_iter().map(|(name, bytes)| (format!("{party}/{name}"), bytes)));
    }
    assert_eq!(found(&everywhere, &model), (0, vec![]));

    // The plan has what the study says.
    assert!(files(&out.join("blobs")).values().any(|blob| find(blob, b"\"least\":7,")));

    // What may be said is said, and answers are those of the same model.
    let (sealed, open) =
        (ran.json(), serde_json::from_slice::<Value>(&fs::read(open.join("result.json")).unwrap()).unwrap());
    let answer = |result: &Value| result["queries"].as_array().unwrap()[0]["answer"].clone();
    assert_eq!(answer(&sealed), answer(&open));
    assert!(sealed["facts"].as_array().unwrap().iter().any(|f| f["name"] == "auc"), "{}", sealed["facts"]);
    assert!(sealed["facts"].as_array().unwrap().iter().all(|f| f["name"] != "coefficients"));

    let key = private.join("independent-auditor").join("seal.key");
    let verified = Ran::of(histone().arg("verify").arg(&out).arg("--auditor-key").arg(&key));
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let says = "recomputed by the auditor `independent-auditor`, signed by 4 of 4 enclaves";
    assert!(verified.stdout.contains(says), "{}", verified.stdout);
    // Another member's key is none.
    let other = private.join("independent-auditor").join("root.secret");
    let verified = Ran::of(histone().arg("verify").arg(&out).arg("--auditor-key").arg(&other));
    assert_eq!(verified.code, Some(1));
    assert!(
        verified
            .stdout
            .contains("it is not the key of an auditor whom a white paper names (independent-auditor)"),
        "{}",
        verified.stdout
    );
}
