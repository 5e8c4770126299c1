//! The settings of a home: the file `node.toml`.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use histone_access::duo::is_name;
use histone_contracts::roles;
use histone_network::{StoreError, read_durable, update_private};
use serde::Deserialize;
use toml::Spanned;

/// Roles by the names that people write, with the ledger's bits.
pub const ROLES: [(&str, u8); 5] = [
    ("owner", roles::OWNER),
    ("trainer", roles::TRAINER),
    ("runner", roles::RUNNER),
    ("auditor", roles::AUDITOR),
    ("committee", roles::COMMITTEE),
];

/// What a node is told by the people who run it. `Debug` does not show the proxy's address.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// The party's name: 1 to 32 of a-z, 0-9 and -.
    pub name: String,
    /// What it wants to be: the sum of the ledger's role bits; 0 for an end user.
    pub roles: u8,
    /// The hub through which it reaches others: an `https` address, or `http` where no one is between.
    pub hub: Option<String>,
    /// Certificate authorities in a PEM file beside those of the system; a path within the home or from the root.
    pub ca_file: Option<PathBuf>,
    /// The proxy on the way out. It may contain a password.
    pub proxy: Option<String>,
    /// Who decides.
    pub answers: Answers,
    /// Where the node's own page listens: an address of this machine only.
    pub api: SocketAddr,
    /// The ledger's node, when it is not reached through the hub.
    pub rpc: Option<String>,
}

/// Who decides what a party agrees to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answers {
    /// A person is asked.
    Ask,
    /// The node approves what the party's own rules allow.
    Automatic,
}

/// Why the settings of a home cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Files(#[from] StoreError),
    /// There is none.
    #[error("`{0}` is not there; put it back, or restore the home from a backup")]
    Missing(PathBuf),
    /// A line does not say what it should.
    #[error("{}:{line}:{column}: {message}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong and what is wanted.
        message: String,
    },
}

impl Settings {
    /// Settings of a party without a hub: a person is asked, and the page is at a port that the system chooses.
    pub fn new(name: &str, roles: u8) -> Self {
        Self {
            name: name.to_string(),
            roles,
            hub: None,
            ca_file: None,
            proxy: None,
            answers: Answers::Ask,
            api: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            rpc: None,
        }
    }

    /// The names of its roles.
    pub fn role_names(&self) -> Vec<&'static str> {
        ROLES.iter().filter(|(_, bit)| self.roles & bit != 0).map(|(name, _)| *name).collect()
    }

    /// Reads settings; `path` is for the messages.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SettingsError> {
        let refuse = |start: usize, message: String| {
            let before = text.get(..start).unwrap_or(text);
            let line =
                before.lines().count().max(1) + usize::from(before.ends_with('\n') && !before.is_empty());
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            SettingsError::Line { path: path.to_owned(), line, column, message }
        };
        let file: File = toml::from_str(text).map_err(|error| {
            // The parser puts each hint on a line of its own.
            let message = error.message().trim().replace('\n', "; ");
            refuse(error.span().map_or(0, |span| span.start), message)
        })?;
        let start = |value: &Spanned<String>| value.span().start;
        if !is_name(file.name.get_ref()) {
            let name = file.name.get_ref().escape_debug();
            return Err(refuse(
                start(&file.name),
                format!("`{name}` is not a name; use 1 to 32 of a-z, 0-9 and -"),
            ));
        }
        let mut roles = 0;
        for role in &file.roles {
            let known = ROLES.iter().find(|(name, _)| name == role.get_ref());
            let (_, bit) = known.ok_or_else(|| {
                let known: Vec<_> = ROLES.iter().map(|(name, _)| format!("`{name}`")).collect();
                refuse(
                    start(role),
                    format!(
                        "`{}` is not a role; there are {}",
                        role.get_ref().escape_debug(),
                        known.join(", ")
                    ),
                )
            })?;
            roles |= bit;
        }
        let address = |key: &str, value: Option<Spanned<String>>, schemes: &[&str]| {
            let Some(value) = value else { return Ok(None) };
            let text = value.get_ref();
            let host = schemes.iter().find_map(|scheme| text.strip_prefix(scheme)?.strip_prefix("://"));
            match host {
                Some(host)
                    if !host.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control()) =>
                {
                    Ok(Some(text.trim_end_matches('/').to_string()))
                }
                _ => Err(refuse(
                    value.span().start,
                    // Not shown: a proxy's address may have a password in it.
                    format!("`{key}` is no address; it begins with {}", schemes.join("://, ") + "://"),
                )),
            }
        };
        let api = file.api.get_ref().parse::<SocketAddr>().ok().filter(|api| api.ip().is_loopback());
        let api = api.ok_or_else(|| {
            let message = format!(
                "`{}` is no address of this machine only; use 127.0.0.1 or [::1] with a port, and reach it from elsewhere through a tunnel",
                file.api.get_ref().escape_debug()
            );
            refuse(start(&file.api), message)
        })?;
        Ok(Self {
            name: file.name.get_ref().clone(),
            roles,
            hub: address("hub", file.hub, &["https", "http"])?,
            ca_file: file.ca_file,
            proxy: address(
                "proxy",
                file.proxy,
                &["http", "https", "socks4", "socks4a", "socks5", "socks5h"],
            )?,
            answers: file.answers,
            api,
            rpc: address("rpc", file.rpc, &["https", "http"])?,
        })
    }

    /// The file, with an explanation of each key.
    pub fn text(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f");
        let line = |key: &str, value: Option<&str>, example: &str| match value {
            Some(value) => format!("{key} = {}\n", quoted(value)),
            None => format!("# {key} = {}\n", quoted(example)),
        };
        let roles: Vec<_> = self.role_names().into_iter().map(quoted).collect();
        let answers = match self.answers {
            Answers::Ask => "ask",
            Answers::Automatic => "automatic",
        };
        let ca_file = self.ca_file.as_ref().map(|path| path.to_string_lossy());
        [
            "# The settings of this node. The keys are in keystore.json; what the node knows is in store.sqlite.\n\n",
            "# Its name: 1 to 32 of a-z, 0-9 and -. The ledger has it too, so that a change here changes nothing there.\n",
            &line("name", Some(&self.name), ""),
            "\n# What it wants to be: \"owner\", \"trainer\", \"runner\", \"auditor\", \"committee\"; none for an end user.\n",
            &format!("roles = [{}]\n", roles.join(", ")),
            "\n# The hub through which it reaches all others. Only connections outwards are made.\n",
            &line("hub", self.hub.as_deref(), "https://hub.example.org"),
            "\n# Certificate authorities beside those of the system, when something on the way opens TLS: a PEM file.\n",
            &line("ca_file", ca_file.as_deref(), "hospital-ca.pem"),
            "\n# The proxy on the way out.\n",
            &line("proxy", self.proxy.as_deref(), "http://proxy.example.org:3128"),
            "\n# The ledger's node, when it is not reached through the hub.\n",
            &line("rpc", self.rpc.as_deref(), "https://ledger.example.org"),
            "\n# \"ask\": a person decides. \"automatic\": what the own rules allow is approved without asking.\n",
            &line("answers", Some(answers), ""),
            "\n# Where the node's own page listens, for this machine only; port 0 is one that the system chooses.\n",
            &line("api", Some(&self.api.to_string()), ""),
        ]
        .concat()
    }

    pub(super) fn read(path: &Path) -> Result<Self, SettingsError> {
        let bytes = match path.parent().is_some_and(Path::is_dir) {
            true => read_durable(path)?,
            false => None,
        };
        let bytes = bytes.ok_or_else(|| SettingsError::Missing(path.to_owned()))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let lines =
                error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
            let message = "this is no text in UTF-8".to_string();
            SettingsError::Line { path: path.to_owned(), line: lines, column: 1, message }
        })?;
        Self::parse(path, &text)
    }

    /// Writes the file, after reading what it would say: settings that cannot be read are not written.
    pub(super) fn write(&self, path: &Path) -> Result<(), SettingsError> {
        let text = self.text();
        Self::parse(path, &text)?;
        update_private(path, |_| Ok(Some(text.as_bytes())))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, roles, hub, ca_file, proxy, answers, api, rpc } = self;
        f.debug_struct("Settings")
            .field("name", name)
            .field("roles", roles)
            .field("hub", hub)
            .field("ca_file", ca_file)
            .field("proxy", &proxy.as_ref().map(|_| "not shown"))
            .field("answers", answers)
            .field("api", api)
            .field("rpc", rpc)
            .finish()
    }
}

fn automatic_port() -> Spanned<String> {
    Spanned::new(0..0, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).to_string())
}

fn ask() -> Answers {
    Answers::Ask
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Spanned<String>,
    #[serde(default)]
    roles: Vec<Spanned<String>>,
    hub: Option<Spanned<String>>,
    ca_file: Option<PathBuf>,
    proxy: Option<Spanned<String>>,
    #[serde(default = "ask")]
    answers: Answers,
    #[serde(default = "automatic_port")]
    api: Spanned<String>,
    rpc: Option<Spanned<String>>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Result<Settings, SettingsError> {
        Settings::parse(Path::new("node.toml"), text)
    }

    #[test]
    fn what_is_written_is_read_back() {
        for roles in 0..32 {
            let plain = Settings::new("a", roles);
            assert_eq!(parse(&plain.text()).unwrap(), plain);
        }
        let full = Settings {
            hub: Some("https://hub.example.org:8443/x".to_string()),
            ca_file: Some(PathBuf::from("C:\\new \"folder\"\\ca.pem")),
            proxy: Some("socks5h://user:pä%20ss@10.0.0.1:1080".to_string()),
            answers: Answers::Automatic,
            api: "[::1]:9000".parse().unwrap(),
            rpc: Some("http://127.0.0.1:8545".to_string()),
            ..Settings::new("university-hospital", roles::OWNER | roles::COMMITTEE)
        };
        assert_eq!(parse(&full.text()).unwrap(), full);
        assert!(!format!("{full:?}").contains("ss@"));
        assert_eq!(full.role_names(), ["owner", "committee"]);
        // Every example in the file is a setting, and every setting has an example.
        let shown = Settings::new("a", 0).text().replace("# hub", "hub").replace("# ca", "ca");
        let shown = parse(&shown.replace("# proxy", "proxy").replace("# rpc", "rpc")).unwrap();
        assert!(
            shown.hub.is_some() && shown.ca_file.is_some() && shown.proxy.is_some() && shown.rpc.is_some()
        );
        assert_eq!(parse("name = \"a\"").unwrap(), Settings::new("a", 0));
    }

    #[test]
    fn a_complaint_names_the_line() {
        for (text, complaint) in [
            ("name = \"a\"\nhubb = \"x\"\n", "node.toml:2:1: unknown field `hubb`, expected one of"),
            ("", "node.toml:1:1: missing field `name`"),
            ("\n\nname = \"A b\"", "node.toml:3:8: `A b` is not a name; use 1 to 32 of a-z, 0-9 and -"),
            (
                "name = \"a\"\nroles = [\"owner\",\n  \"boss\"]",
                "node.toml:3:3: `boss` is not a role; there are `owner`",
            ),
            (
                "name = \"a\"\nhub = \"hub.example.org\"",
                "node.toml:2:7: `hub` is no address; it begins with https://, http://",
            ),
            ("name = \"a\"\nhub = \"https://\"", "node.toml:2:7: `hub` is no address"),
            (
                "name = \"a\"\nproxy = \"ftp://u:secret@x\"",
                "node.toml:2:9: `proxy` is no address; it begins with http://",
            ),
            (
                "name = \"a\"\napi = \"0.0.0.0:80\"",
                "node.toml:2:7: `0.0.0.0:80` is no address of this machine only",
            ),
            (
                "name = \"a\"\nanswers = \"never\"",
                "node.toml:2:11: unknown variant `never`, expected `ask` or `automatic`",
            ),
            ("name = \"a\"\nname = \"b\"", "node.toml:2:1: duplicate key"),
            ("name = \"a", "node.toml:1:"),
            ("name = 3", "node.toml:1:8: invalid type: integer `3`, expected a string"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(complaint), "{text:?}: {error}");
            assert!(!error.contains("secret") && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn settings_that_could_not_be_read_are_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.toml");
        assert!(matches!(Settings::read(&path), Err(SettingsError::Missing(_))));
        let nameless = Settings::new("A b", 0);
        assert!(nameless.write(&path).is_err() && !path.exists());
        let settings = Settings::new("a", roles::OWNER);
        settings.write(&path).unwrap();
        assert_eq!(Settings::read(&path).unwrap(), settings);
        std::fs::write(&path, b"name = \"a\"\n# caf\xE9\n").unwrap();
        let error = Settings::read(&path).unwrap_err().to_string();
        assert!(error.ends_with("node.toml:2:1: this is no text in UTF-8"), "{error}");
    }
}
