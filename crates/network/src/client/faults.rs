//! What went wrong on the way, in one sentence that says what to do.

use std::io::ErrorKind;

use rustls::CertificateError;
use ureq::{Error, Timeout};

use super::tls::Untrusted;
use crate::NetworkError;

/// Where a request was to go.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Scheme, host and port.
    pub(super) shown: String,
    /// The host alone.
    pub(super) host: String,
    /// Scheme, host and port of the proxy, and no password.
    pub(super) proxy: Option<String>,
}

impl Target {
    /// It cannot be reached now.
    pub(super) fn unreachable(&self, why: impl Into<String>) -> NetworkError {
        NetworkError::Unreachable { what: self.shown.clone(), why: why.into() }
    }

    pub(super) fn nonsense(&self, why: impl Into<String>) -> NetworkError {
        NetworkError::Nonsense { what: self.shown.clone(), why: why.into() }
    }

    pub(super) fn refused(&self, why: impl Into<String>) -> NetworkError {
        NetworkError::Refused { what: self.shown.clone(), why: why.into() }
    }

    /// A request that has got no answer.
    pub(super) fn fault(&self, error: &Error) -> NetworkError {
        match error {
            Error::HostNotFound => self.unreachable(self.unresolved()),
            Error::Io(source) => self.io(source),
            Error::Rustls(source) => self.tls(source),
            Error::Timeout(Timeout::Resolve) => self.unreachable(format!(
                "the name `{}` is not resolved in time; is this machine on a network?",
                self.host
            )),
            Error::Timeout(Timeout::Connect) => self.unreachable(match &self.proxy {
                Some(proxy) => format!("no connection through the proxy {proxy} in time; is that the right proxy, and may it reach this host?"),
                None => "no connection in time; does a firewall drop it, or is a proxy needed?".to_owned(),
            }),
            Error::Timeout(_) => self.unreachable("no answer in time; the line is slow, or the hub is busy"),
            Error::ConnectProxyFailed(says) if says.contains("407") => self.unreachable(format!(
                "the proxy {} wants a login; put it into the proxy's address as http://USER:PASSWORD@HOST:PORT",
                self.proxy.as_deref().unwrap_or_default()
            )),
            Error::ConnectProxyFailed(says) => self.unreachable(format!(
                "the proxy {} does not connect to it ({}); ask whoever runs the proxy to allow `{}`",
                self.proxy.as_deref().unwrap_or_default(),
                plain(says),
                self.host
            )),
            Error::Protocol(_) if self.shown.starts_with("http:") => {
                self.nonsense("it does not speak HTTP; if it wants TLS, use https:// in its address")
            }
            Error::Protocol(source) => self.nonsense(format!("it does not speak HTTP: {}", plain(&source.to_string()))),
            Error::LargeResponseHeader(..) => self.nonsense("the head of the answer is too long"),
            Error::BodyExceedsLimit(limit) => self.nonsense(format!("the answer has more than {limit} bytes")),
            other => self.unreachable(plain(&other.to_string())),
        }
    }

    fn unresolved(&self) -> String {
        match &self.proxy {
            Some(proxy) => format!(
                "the name of the proxy {proxy}, or `{}`, is not known here; is it spelled right?",
                self.host
            ),
            None => format!(
                "the name `{}` is not known here; is it spelled right, and is this machine on a network, or a proxy needed?",
                self.host
            ),
        }
    }

    fn io(&self, error: &std::io::Error) -> NetworkError {
        if let Some(inner) = error.get_ref() {
            if let Some(inner) = inner.downcast_ref::<rustls::Error>() {
                return self.tls(inner);
            }
            if let Some(inner) = inner.downcast_ref::<Error>() {
                return self.fault(inner);
            }
        }
        let through = self.proxy.as_deref();
        match error.kind() {
            ErrorKind::ConnectionRefused => self.unreachable(match through {
                Some(proxy) => format!("the proxy {proxy} does not listen; is its address right?"),
                None => "nothing listens there; is the hub running, and is the port right?".into(),
            }),
            ErrorKind::TimedOut | ErrorKind::WouldBlock => {
                self.unreachable("no answer in time; does a firewall drop it, or is a proxy needed?")
            }
            ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::BrokenPipe
            | ErrorKind::ConnectionAborted => self.unreachable("the connection broke off"),
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                self.unreachable("there is no way to it from here; is this machine on a network?")
            }
            // The resolver's own words differ by system.
            _ if error.to_string().contains("lookup") => self.unreachable(self.unresolved()),
            _ => self.unreachable(plain(&error.to_string())),
        }
    }

    fn tls(&self, error: &rustls::Error) -> NetworkError {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
                match other.0.downcast_ref::<Untrusted>() {
                    Some(untrusted) => self.untrusted(untrusted),
                    None => self.unreachable(format!("its certificate is refused: {other}")),
                }
            }
            rustls::Error::InvalidMessage(_) => self.unreachable(
                "what answers there does not speak TLS; is the port right, or does a proxy answer in its place?",
            ),
            other => self.unreachable(format!("TLS does not begin: {}", plain(&other.to_string()))),
        }
    }

    fn untrusted(&self, untrusted: &Untrusted) -> NetworkError {
        let host = &self.host;
        let issuer = match &untrusted.issuer {
            Some(name) => format!("`{name}`"),
            None => "an authority without a name".into(),
        };
        let why = match &untrusted.why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => format!(
                "the certificate of `{host}`, issued by {issuer}, has expired by this machine's clock; is the clock right? If it is, the hub's operator has to renew it"
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => format!(
                "the certificate of `{host}`, issued by {issuer}, is not valid yet by this machine's clock; is the clock right?"
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
                "the certificate that is shown, issued by {issuer}, is for another name than `{host}`; is the address right?"
            ),
            CertificateError::UnknownIssuer => format!(
                "the certificate of `{host}` is issued by {issuer}, which this machine does not trust; if that is your institution's proxy or the hub's own authority, save its certificate in a file and name the file with `ca`, otherwise somebody intercepts the connection"
            ),
            other => format!("the certificate of `{host}`, issued by {issuer}, is refused: {other}"),
        };
        self.unreachable(why)
    }
}

/// Words of others, on one line and not too many.
pub(super) fn plain(text: &str) -> String {
    let mut plain: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    plain.retain(|c| !c.is_control());
    match plain.char_indices().nth(300) {
        Some((end, _)) => format!("{} ...", &plain[..end]),
        None => plain,
    }
}
