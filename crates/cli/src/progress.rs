//! Progress on stderr: bars on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use histone_node::run::Observer;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Writes a line to stderr. When nobody can be told, the work still goes on: a full disk under a log file must not end
/// a run, as `eprintln!` would.
pub fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// What failed when a result cannot be printed.
pub const STDOUT: &str = "cannot write to stdout";

/// Shows how a run goes on.
pub struct Progress {
    bar: ProgressBar,
    plain: bool,
}

impl Progress {
    /// Begins with a title.
    pub fn new(title: &str, on_network: bool) -> Self {
        let plain = !std::io::stderr().is_terminal();
        let bar = if plain { ProgressBar::hidden() } else { ProgressBar::new(1) };
        if !plain {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        let mut progress = Self { bar, plain };
        progress.line(&format!("histone: {title}"));
        let simulated = if on_network { "machines are" } else { "machines and clock are" };
        progress.line(&format!("{simulated} SIMULATED: nothing here proves anything about hardware"));
        progress
    }

    fn line(&mut self, text: &str) {
        if self.plain { tell(text) } else { self.bar.println(text) }
    }

    /// Takes the bar away.
    pub fn end(&mut self) {
        self.bar.finish_and_clear();
    }

    fn style(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
        }
    }
}

impl Observer for Progress {
    fn step(&mut self, number: usize, total: usize, title: &str) {
        self.line(&format!("[{number}/{total}] {title}"));
        self.style("      {spinner} {elapsed}");
        self.bar.reset();
    }

    fn note(&mut self, text: &str) {
        self.line(&format!("      {text}"));
    }

    fn round(&mut self, round: u32, at_most: u32, stage: &str) {
        if self.plain {
            self.line(&format!("      round {round} ({stage}) of at most {at_most}"));
            return;
        }
        self.style("      [{bar:30}] round {pos} of at most {len} ({msg}) {elapsed}");
        self.bar.set_length(u64::from(at_most));
        self.bar.set_position(u64::from(round));
        self.bar.set_message(stage.to_string());
    }
}
