//! A chain that is served for one test, with accounts that have coins.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Ran, histone};

/// A served chain. It ends with the value.
pub struct Server {
    pub url: String,
    accounts: Vec<Value>,
    child: Child,
    home: Option<TempDir>,
}

impl Server {
    pub fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut child = histone()
            .args(["chain", "serve", "--port", "0", "--dev", "--json", "--dir"])
            .arg(home.path().join("chain"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let served: Value = serde_json::from_str(&line).unwrap();
        Self {
            url: served["http"].as_str().unwrap().to_owned(),
            accounts: served["accounts"].as_array().unwrap().clone(),
            child,
            home: Some(home),
        }
    }

    /// The address of a development account.
    pub fn account(&self, n: usize) -> String {
        self.accounts[n]["address"].as_str().unwrap().to_owned()
    }

    /// A file with the key of a development account.
    pub fn key(&self, n: usize) -> PathBuf {
        let path = self.home.as_ref().unwrap().path().join(format!("account-{n}.key"));
        fs::write(&path, self.accounts[n]["insecure_key"].as_str().unwrap()).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        path
    }

    /// Deploys a ledger; its directory.
    pub fn deploy(&self, key: &std::path::Path, further: &[&str]) -> String {
        let mut command = histone();
        command.args(["ledger", "deploy", "--json", "--rpc", &self.url, "--key-file"]).arg(key).args(further);
        let ran = Ran::of(&mut command);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.json()["contracts"]["directory"].as_str().unwrap().to_owned()
    }

    pub fn dir(&self) -> PathBuf {
        self.home.as_ref().unwrap().path().join("chain")
    }

    /// Ends the server; its chain is in `chain` of the directory.
    pub fn stop(mut self) -> TempDir {
        self.end();
        self.home.take().unwrap()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
