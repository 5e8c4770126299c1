//! Requests to a node's local API, and the events that it sends.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use histone_node::api::wire::Refused;
use histone_node::api::{Door, NoDoor};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::{Request, Response, header};
use ureq::{Agent, AsSendBody, Body};

use crate::progress::tell;

/// How long a node may take for one answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Largest answer that is read.
const MOST: u64 = 256 << 20;
/// How often it is looked whether a node is back.
const LOOK: Duration = Duration::from_secs(1);

/// A node that runs.
pub struct Node {
    dir: PathBuf,
    door: Door,
    agent: Agent,
}

impl Node {
    /// The node that runs on a home.
    pub fn find(dir: &Path) -> Result<Self, NoDoor> {
        let door = Door::find(dir)?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // It is this machine: no proxy of the environment gets to see the token.
            .proxy(None)
            .max_redirects(0)
            .user_agent(concat!("histone/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { dir: dir.to_owned(), door, agent: Agent::new_with_config(config) })
    }

    /// Asks for something.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.read(self.send("GET", path, (), &[], Some(PATIENCE))?)
    }

    /// Has something done.
    pub fn post<T: DeserializeOwned>(&self, path: &str, what: &impl Serialize) -> Result<T> {
        let bytes = serde_json::to_vec(what)?;
        let kind = [(header::CONTENT_TYPE, "application/json")];
        self.read(self.send("POST", path, bytes.as_slice(), &kind, Some(PATIENCE))?)
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        body: impl AsSendBody,
        headers: &[(header::HeaderName, &str)],
        patience: Option<Duration>,
    ) -> Result<Response<Body>> {
        let mut request =
            Request::builder().method(method).uri(format!("http://{}{path}", self.door.address));
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", *self.door.token));
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = self.agent.configure_request(request.body(body)?).timeout_global(patience).build();
        let silent =
            || format!("the node on `{}` does not answer at {}", self.dir.display(), self.door.address);
        let mut response = self.agent.run(request).with_context(silent)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.body_mut().with_config().limit(MOST).read_to_vec().with_context(silent)?;
        match serde_json::from_slice::<Refused>(&body) {
            Ok(Refused { error, todo }) => bail!("{error}; {todo}"),
            Err(_) => bail!(
                "the node on `{}` answers {status}, which this program does not understand; stop the node and start it again with `histone node run`",
                self.dir.display()
            ),
        }
    }

    fn read<T: DeserializeOwned>(&self, mut response: Response<Body>) -> Result<T> {
        let silent = || format!("the node on `{}` does not answer to the end", self.dir.display());
        let body = response.body_mut().with_config().limit(MOST).read_to_vec().with_context(silent)?;
        serde_json::from_slice(&body).with_context(|| {
            format!(
                "the node on `{}` is of another version than this program; start it again with this one",
                self.dir.display()
            )
        })
    }
}

/// Something that has happened.
#[derive(Debug, Default)]
pub struct Event {
    /// `log`, `inbox` or `wish`; empty for the position at the beginning.
    pub name: String,
    /// JSON.
    pub data: String,
}

/// What happens on a node, also when it is started again meanwhile.
pub struct Events {
    dir: PathBuf,
    /// The last event that was read.
    id: Option<String>,
    lines: Box<dyn BufRead + Send>,
}

impl Events {
    /// Everything from now on.
    pub fn follow(node: &Node) -> Result<Self> {
        let mut events = Self { dir: node.dir.clone(), id: None, lines: connect(node, None)? };
        // The position: what happens from here on is not missed.
        events.read().with_context(|| format!("the node on `{}` ends", node.dir.display()))?;
        Ok(events)
    }

    /// Waits for the next event. A node that ends is waited for.
    pub fn next(&mut self) -> Result<Event> {
        loop {
            match self.read() {
                Some(event) if event.name.is_empty() => {}
                Some(event) => return Ok(event),
                None => self.reconnect()?,
            }
        }
    }

    /// One event; `None` when the connection ended.
    fn read(&mut self) -> Option<Event> {
        let (mut event, mut any) = (Event::default(), false);
        let mut id = None;
        loop {
            let mut text = String::new();
            match self.lines.read_line(&mut text) {
                Ok(1..) if text.ends_with('\n') => {}
                _ => return None,
            }
            let text = text.trim_end_matches(['\r', '\n']);
            if text.is_empty() && any {
                self.id = id.or(self.id.take());
                return Some(event);
            }
            // What begins with a colon is a sign of life.
            match text.split_once(':').map(|(name, value)| (name, value.strip_prefix(' ').unwrap_or(value))) {
                Some(("event", value)) => event.name = value.to_owned(),
                Some(("data", value)) => event.data = value.to_owned(),
                Some(("id", value)) => id = Some(value.to_owned()),
                _ => continue,
            }
            any = true;
        }
    }

    fn reconnect(&mut self) -> Result<()> {
        let mut told = false;
        loop {
            // The node's address and token are new when it was started again.
            match Node::find(&self.dir) {
                Ok(node) => match connect(&node, self.id.as_deref()) {
                    Ok(lines) => {
                        self.lines = lines;
                        return Ok(());
                    }
                    Err(error)
                        if error.root_cause().is::<std::io::Error>()
                            || error.chain().any(|e| e.is::<ureq::Error>()) => {}
                    Err(error) => return Err(error),
                },
                Err(NoDoor::NotRunning(_) | NoDoor::Starting(_)) => {}
                Err(error) => return Err(anyhow!(error)),
            }
            if !told {
                tell(&format!("the node on `{}` does not run; waiting until it does", self.dir.display()));
                told = true;
            }
            sleep(LOOK);
        }
    }
}

fn connect(node: &Node, from: Option<&str>) -> Result<Box<dyn BufRead + Send>> {
    let last = header::HeaderName::from_static("last-event-id");
    let headers: Vec<_> = from.map(|id| (last, id)).into_iter().collect();
    let response = node.send("GET", "/v1/events", (), &headers, None)?;
    Ok(Box::new(BufReader::new(response.into_body().into_reader())))
}
