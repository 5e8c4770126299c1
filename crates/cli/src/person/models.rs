//! `histone model train`, `abort`, `propose`: what a trainer says to its node.

use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use histone_node::api::MAX_WISH;
use histone_node::api::wire::{Inbox, QuestionState};
use serde_json::json;

use super::client::Node;
use super::wishes::{self, Wishing};
use super::{Place, inbox};
use crate::consortium::{self, ProposeArgs};

/// What a trainer says to its node.
#[derive(Subcommand)]
pub enum ModelCommand {
    /// Have your node begin the training of a model, with the owners who take part now.
    Train {
        /// The model's number.
        model: u64,
        /// Why.
        #[arg(long, value_name = "TEXT", default_value = "")]
        because: String,
        #[command(flatten)]
        place: Place,
    },
    /// Have your node give a model up.
    Abort {
        /// The model's number.
        model: u64,
        #[command(flatten)]
        wishing: Wishing,
    },
    /// Have your node publish the programs of a study and propose its model to the owners.
    Propose(ProposeArgs),
}

/// Runs one of them.
pub fn run(command: ModelCommand, out: &mut dyn Write) -> Result<bool> {
    match command {
        ModelCommand::Train { model, because, place } => train(model, &because, &place, out),
        ModelCommand::Abort { model, wishing } => wishes::make(
            &wishing,
            "abort",
            &json!({ "model": model }),
            &format!("to give model {model} up"),
            out,
        ),
        ModelCommand::Propose(args) => consortium::propose(&args, out),
    }
}

/// Answers the question whether a training is to begin.
fn train(model: u64, because: &str, place: &Place, out: &mut dyn Write) -> Result<bool> {
    let node = Node::find(&place.dir()?)?;
    let inbox: Inbox = node.get("/v1/inbox?all=true")?;
    let key = format!("train/{model}");
    let Some(question) = inbox.questions.into_iter().find(|question| question.key == key) else {
        bail!(
            "the node does not ask whether to train model {model}: it does when enough owners take part, and is the model's trainer; `histone status` says what each model waits for"
        );
    };
    if question.state == QuestionState::Approved {
        bail!(
            "the training of model {model} was approved before; `histone status` says what the model waits for"
        );
    }
    inbox::answer(&node, question.number, true, because, place.json, out)
}

/// A file of a size that a node takes.
pub(super) fn read(file: &Path) -> Result<String> {
    let shown = file.display();
    let length = std::fs::metadata(file).with_context(|| format!("cannot read `{shown}`"))?.len();
    if length > MAX_WISH as u64 {
        bail!("`{shown}` has {length} bytes, and a node takes at most {MAX_WISH}");
    }
    std::fs::read_to_string(file).with_context(|| format!("cannot read `{shown}`"))
}
