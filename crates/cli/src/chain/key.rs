//! Key files: of a sequencer, and of any account.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use histone_chain::Sequencer;
use histone_protocol::keys::SigningKey;
use histone_protocol::seal::SealKey;
use zeroize::Zeroizing;

use crate::progress::tell;

/// Name of the key file in the private directory.
const FILE: &str = "sequencer.key";

/// Where the key of the chain in `dir` is unless the user says otherwise: beside the chain, so that the chain can be
/// given away.
pub fn default_path(dir: &Path) -> Result<PathBuf> {
    let dir =
        std::path::absolute(dir).with_context(|| format!("cannot tell where `{}` is", dir.display()))?;
    let Some(name) = dir.file_name() else {
        bail!("`{}` has no name of its own; name a directory for the chain", dir.display());
    };
    let mut private = name.to_os_string();
    private.push(".private");
    Ok(dir.with_file_name(private).join(FILE))
}

/// Reads the key file of a sequencer: 64 hexadecimal digits, or 32 bytes.
pub fn read(path: &Path) -> Result<Sequencer> {
    Sequencer::from_bytes(&*secret(path)?).with_context(|| unusable(path))
}

/// Reads the key file of an account that signs transactions: 64 hexadecimal digits, or 32 bytes.
pub fn account(path: &Path) -> Result<SigningKey> {
    SigningKey::from_bytes(&*secret(path)?).with_context(|| unusable(path))
}

/// Reads the key file of the key to which messages are sealed: 64 hexadecimal digits, or 32 bytes.
pub fn seal(path: &Path) -> Result<SealKey> {
    Ok(SealKey::from_seed(&*secret(path)?))
}

fn unusable(path: &Path) -> String {
    format!("the key `{}` cannot be used", path.display())
}

fn secret(path: &Path) -> Result<Zeroizing<[u8; 32]>> {
    let bytes =
        Zeroizing::new(fs::read(path).with_context(|| format!("cannot read the key `{}`", path.display()))?);
    warn_when_shared(path);
    parse(&bytes).with_context(|| {
        format!("`{}` is not a key file; it holds 64 hexadecimal digits or 32 bytes", path.display())
    })
}

fn parse(bytes: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    if let Ok(raw) = <[u8; 32]>::try_from(bytes) {
        return Some(Zeroizing::new(raw));
    }
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let mut secret = Zeroizing::new([0; 32]);
    alloy_primitives::hex::decode_to_slice(digits, &mut *secret).ok()?;
    Some(secret)
}

/// Makes a new key and writes it to `path`, readable by its owner only. An existing file is never replaced.
pub fn create(path: &Path) -> Result<Sequencer> {
    let (secret, sequencer) = loop {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *secret).context("the operating system gives no random numbers")?;
        // About one draw in 2^128 is not a key: draw again.
        if let Ok(sequencer) = Sequencer::from_bytes(&secret) {
            break (secret, sequencer);
        }
    };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_private(parent).with_context(|| format!("cannot create `{}`", parent.display()))?;
    }
    let text = Zeroizing::new(format!("{}\n", alloy_primitives::hex::encode(*secret)));
    write_new(path, text.as_bytes()).with_context(|| format!("cannot write the key `{}`", path.display()))?;
    Ok(sequencer)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    // A chain whose key was lost in a power cut could never go on.
    file.sync_all()
}

/// A directory that only its owner may enter; one that exists stays as it is.
fn create_private(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

#[cfg(unix)]
fn warn_when_shared(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let shared = fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0);
    if shared {
        tell(&format!("warning: other users can read the key `{}`; run `chmod 600` on it", path.display()));
    }
}

#[cfg(not(unix))]
fn warn_when_shared(_: &Path) {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn keys_are_kept_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = default_path(&dir.path().join("chain")).unwrap();
        assert!(path.ends_with("chain.private/sequencer.key"));
        let made = create(&path).unwrap();
        assert_eq!(read(&path).unwrap().address(), made.address());
        assert!(create(&path).is_err(), "an existing key was replaced");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        }
    }

    #[test]
    fn forms_of_a_key() {
        let hex = "07".repeat(32);
        for good in [hex.clone().into_bytes(), format!("0x{hex}\n").into_bytes(), vec![7; 32]] {
            assert_eq!(*parse(&good).unwrap(), [7; 32]);
        }
        for bad in [Vec::new(), vec![7; 31], hex.as_bytes()[1..].to_vec(), "zz".repeat(32).into_bytes()] {
            assert!(parse(&bad).is_none());
        }
    }
}
