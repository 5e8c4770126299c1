//! One request and its answer, over whatever lies in between.

use std::path::Path;
use std::time::Duration;

use ureq::http::{HeaderMap, Method, Request, Uri, header};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, SocksConnector, TcpConnector};
use ureq::{Agent, Proxy};

use super::faults::Target;
use super::tls::Tls;
use crate::NetworkError;

/// How long a connection may take to be made, at most.
const CONNECT: Duration = Duration::from_secs(20);

/// A server by its address.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) target: Target,
    /// Address without a path's last stroke.
    base: String,
    agent: Agent,
    tls: Option<Tls>,
}

/// One request.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// Behind the address.
    pub(super) path: String,
    pub(super) body: Option<(&'static str, &'a [u8])>,
    /// Which bytes, as HTTP writes it.
    pub(super) range: Option<String>,
    pub(super) token: Option<&'a str>,
    pub(super) patience: Duration,
    /// Largest answer that is read.
    pub(super) most: u64,
}

impl<'a> Ask<'a> {
    pub(super) fn new(method: Method, path: impl Into<String>, patience: Duration) -> Self {
        Self { method, path: path.into(), body: None, range: None, token: None, patience, most: 1 << 20 }
    }

    pub(super) fn body(self, kind: &'static str, bytes: &'a [u8]) -> Self {
        Self { body: Some((kind, bytes)), ..self }
    }
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The way to a server, as a user has set it.
pub(super) struct Way<'a> {
    pub(super) url: &'a str,
    pub(super) ca: Option<&'a Path>,
    /// `none` for none in any case; otherwise without one the environment is asked.
    pub(super) proxy: Option<&'a str>,
    /// Whether HTTP without TLS may go to other machines.
    pub(super) insecure_http: bool,
}

impl Server {
    pub(super) fn new(way: &Way<'_>) -> Result<Self, NetworkError> {
        let settings = |why: String| NetworkError::Settings(why);
        let url = way.url.trim();
        let uri: Uri = url.parse().map_err(|_| {
            settings(format!(
                "`{}` is not an address; it is of the form https://HOST or https://HOST:PORT",
                hidden(url)
            ))
        })?;
        let (scheme, host) = match (uri.scheme_str(), uri.host()) {
            (Some(scheme @ ("https" | "http")), Some(host)) if !host.is_empty() => (scheme, host),
            _ => {
                return Err(settings(format!(
                    "`{}` is not an address; it is of the form https://HOST or https://HOST:PORT",
                    hidden(url)
                )));
            }
        };
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) || uri.query().is_some()
        {
            return Err(settings(format!(
                "the address of {scheme}://{host} has a user's name or a question in it, and takes neither"
            )));
        }
        let local = is_local(host);
        let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        if scheme == "http" && !local && !way.insecure_http {
            return Err(settings(format!(
                "http://{host}{port} has no encryption, so that whoever is in between takes over the session; use https://{host}{port}"
            )));
        }
        let proxy = proxy(way.proxy, local)?;
        let proxied = proxy.as_ref().filter(|proxy| !proxy.is_no_proxy(&uri));
        let target = Target {
            shown: format!("{scheme}://{host}{port}"),
            host: host.to_owned(),
            proxy: proxied.map(|proxy| format!("{}:{}", proxy.host(), proxy.port())),
        };
        let tls = if scheme == "https" || proxied.is_some() { Some(Tls::new(way.ca)?) } else { None };
        let config = Agent::config_builder()
            .proxy(proxy)
            .http_status_as_error(false)
            // A redirect is a login page of the network, and no hub.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("histone/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections(4)
            .max_idle_age(Duration::from_secs(50))
            .build();
        let connector = ().chain(SocksConnector::default()).chain(ConnectProxyConnector::default());
        let connector = connector.chain(TcpConnector::default());
        let agent = match tls.clone() {
            Some(tls) => Agent::with_parts(config, connector.chain(tls), DefaultResolver::default()),
            None => Agent::with_parts(config, connector, DefaultResolver::default()),
        };
        Ok(Self { target, base: url.trim_end_matches('/').to_owned(), agent, tls })
    }

    /// Who has issued the newest certificate that the server, or whoever intercepts, has shown.
    pub(super) fn issuer(&self) -> Option<String> {
        self.tls.as_ref()?.issuer()
    }

    /// Asks once; there is no second attempt here.
    pub(super) fn ask(&self, ask: &Ask<'_>) -> Result<Answer, NetworkError> {
        let mut request =
            Request::builder().method(ask.method.clone()).uri(format!("{}{}", self.base, ask.path));
        if let Some(token) = ask.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(range) = &ask.range {
            request = request.header(header::RANGE, range);
        }
        let invalid = |error: ureq::http::Error| {
            NetworkError::Settings(format!("{} cannot be asked: {error}", self.target.shown))
        };
        let outcome = match ask.body {
            Some((kind, bytes)) => {
                let request = request.header(header::CONTENT_TYPE, kind).body(bytes).map_err(invalid)?;
                let request = self.agent.configure_request(request);
                let request = request
                    .timeout_global(Some(ask.patience))
                    .timeout_connect(Some(ask.patience.min(CONNECT)));
                self.agent.run(request.build())
            }
            None => {
                let request = request.body(()).map_err(invalid)?;
                let request = self.agent.configure_request(request);
                let request = request
                    .timeout_global(Some(ask.patience))
                    .timeout_connect(Some(ask.patience.min(CONNECT)));
                self.agent.run(request.build())
            }
        };
        let (parts, mut body) = outcome.map_err(|error| self.target.fault(&error))?.into_parts();
        let read = body.with_config().limit(ask.most).read_to_vec();
        let body = read.map_err(|error| self.target.fault(&error))?;
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}

fn proxy(set: Option<&str>, local: bool) -> Result<Option<Proxy>, NetworkError> {
    match set.map(str::trim) {
        Some("none") => Ok(None),
        Some(text) => Proxy::new(text).map(Some).map_err(|_| {
            // It may hold a password.
            NetworkError::Settings(
                "the proxy is not of the form http://HOST:PORT or http://USER:PASSWORD@HOST:PORT".into(),
            )
        }),
        None if local => Ok(None),
        None => Ok(Proxy::try_from_env()),
    }
}

/// Whether a host is this machine.
fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// An address without what stands before an `@`.
fn hidden(url: &str) -> String {
    super::faults::plain(url.rsplit('@').next().unwrap_or_default())
}
