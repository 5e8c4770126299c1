//! Whole collaborations.

use std::path::Path;

use histone_node::party::Entropy;
use histone_node::run::{DropOut, Observer, Options, RunError, RunResult, run};
use histone_node::study::Study;

/// Collects what a run says.
#[derive(Default)]
pub struct Notes(pub Vec<String>);

impl Observer for Notes {
    fn step(&mut self, number: usize, total: usize, title: &str) {
        self.0.push(format!("[{number}/{total}] {title}"));
    }
    fn note(&mut self, text: &str) {
        self.0.push(text.to_string());
    }
    fn round(&mut self, round: u32, _: u32, stage: &str) {
        self.0.push(format!("round {round} {stage}"));
    }
}

pub fn options(out: &Path, seed: u64) -> Options {
    Options {
        out: out.to_path_buf(),
        entropy: Entropy::Seed(seed),
        start_time: 1_767_225_600,
        drop_outs: vec![],
    }
}

pub async fn bundled(out: &Path, seed: u64, drop_outs: Vec<DropOut>) -> Result<(RunResult, Notes), RunError> {
    let mut notes = Notes::default();
    let options = Options { drop_outs, ..options(out, seed) };
    let result = run(&Study::bundled().unwrap(), &options, &mut notes).await?;
    Ok((result, notes))
}

#[tokio::test]
async fn the_bundled_study_runs_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let (result, notes) = bundled(&dir.path().join("run"), 1, vec![]).await.unwrap();
    eprintln!("{}", notes.0.join("\n"));
    eprintln!("{}", serde_json::to_string_pretty(&result).unwrap());
}
