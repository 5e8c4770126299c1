//! Certificates of a hub that serves TLS by itself.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at, in seconds.
const LOOK: u64 = 10;

/// Files with the certificate chain and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The server's certificate first, then those between it and the authority.
    pub certificates: PathBuf,
    /// The key of the first one.
    pub key: PathBuf,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{path}`; give a file in PEM form that holds {what}")]
    File {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What the system says, or the format.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// There is no certificate in it.
    #[error("`{0}` holds no certificate; it should begin with `-----BEGIN CERTIFICATE-----`")]
    None(PathBuf),
    /// They do not belong together.
    #[error("the certificate in `{}` and the key in `{}` cannot be used together", .files.certificates.display(), .files.key.display())]
    Pair {
        /// Which.
        files: Box<Tls>,
        /// What rustls says.
        #[source]
        source: rustls::Error,
    },
}

impl Tls {
    fn load(&self) -> Result<TlsAcceptor, TlsError> {
        let file = |path: &PathBuf, what| {
            let path = path.clone();
            move |source| TlsError::File { path, what, source }
        };
        let certificates = CertificateDer::pem_file_iter(&self.certificates)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(file(&self.certificates, "the certificate chain"))?;
        if certificates.is_empty() {
            return Err(TlsError::None(self.certificates.clone()));
        }
        let key =
            PrivateKeyDer::from_pem_file(&self.key).map_err(file(&self.key, "the certificate's key"))?;
        let pair = |source| TlsError::Pair { files: Box::new(self.clone()), source };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(pair)?
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .map_err(pair)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// When the files were changed.
    fn stamps(&self) -> [Option<SystemTime>; 2] {
        [&self.certificates, &self.key].map(|path| fs::metadata(path).and_then(|file| file.modified()).ok())
    }
}

/// The newest certificates that could be used.
pub(super) struct Certificates {
    files: Tls,
    current: Mutex<Current>,
}

struct Current {
    acceptor: TlsAcceptor,
    stamps: [Option<SystemTime>; 2],
    looked: u64,
}

impl Certificates {
    pub(super) fn load(files: Tls) -> Result<Self, TlsError> {
        let stamps = files.stamps();
        let acceptor = files.load()?;
        Ok(Self { files, current: Mutex::new(Current { acceptor, stamps, looked: 0 }) })
    }

    /// What to answer the next client with. Files that were changed are loaded again; where that fails the old ones stay.
    pub(super) fn acceptor(&self, now: u64, log: &dyn Fn(&str)) -> TlsAcceptor {
        // Each change is one step.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if now.abs_diff(current.looked) >= LOOK {
            current.looked = now;
            let stamps = self.files.stamps();
            if stamps != current.stamps {
                match self.files.load() {
                    Ok(acceptor) => {
                        (current.acceptor, current.stamps) = (acceptor, stamps);
                        log("the new certificate is in use");
                    }
                    // One file may have been written and the other not yet: looked at again.
                    Err(error) => log(&format!("the old certificate stays in use: {error}")),
                }
            }
        }
        current.acceptor.clone()
    }
}
