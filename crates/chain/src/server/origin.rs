//! Who may speak to a server on this machine: not every web page that the user happens to have open.
//!
//! A page can point its own host name at 127.0.0.1 (DNS rebinding); its requests then carry that name in `Host`. A
//! page from elsewhere can also post across origins; its requests then carry `Origin`. Programs send neither.

use std::net::IpAddr;

/// Names that are let in.
pub(super) struct Allowed {
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Allowed {
    pub(super) fn new(hosts: &[String], origins: &[String]) -> Allowed {
        let lower = |list: &[String]| list.iter().map(|name| name.to_ascii_lowercase()).collect();
        Allowed { hosts: lower(hosts), origins: lower(origins) }
    }

    /// Whether the `Host` header names this server. An IP address always does: no name was resolved.
    pub(super) fn host(&self, header: &str) -> bool {
        let Some(host) = host_of(header) else { return false };
        host == "localhost"
            || host.parse::<IpAddr>().is_ok()
            || self.hosts.iter().any(|allowed| allowed == "*" || *allowed == host)
    }

    /// Whether a page of this `Origin` may use the server: pages from this machine, and those on the list.
    pub(super) fn origin(&self, header: &str) -> bool {
        let header = header.to_ascii_lowercase();
        if self.origins.iter().any(|allowed| allowed == "*" || *allowed == header) {
            return true;
        }
        let Some(authority) = header.strip_prefix("http://").or_else(|| header.strip_prefix("https://"))
        else {
            return false;
        };
        host_of(authority).is_some_and(|host| {
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        })
    }
}

/// The host of `host`, `host:port` or `[v6]:port`, in lower case and without brackets.
fn host_of(authority: &str) -> Option<String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => match authority.find(':') {
            Some(colon) => authority.split_at(colon),
            None => (authority, ""),
        },
    };
    let port_is_fine = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    (port_is_fine && !host.is_empty()).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let allowed = Allowed::new(&["Ledger.example".into()], &[]);
        for good in
            ["localhost", "LOCALHOST:8545", "127.0.0.1:8545", "[::1]:8545", "10.0.0.7", "ledger.EXAMPLE:1"]
        {
            assert!(allowed.host(good), "{good}");
        }
        for bad in [
            "",
            ":8545",
            "evil.example",
            "evil.example:8545",
            "localhost.evil.example",
            "evil.localhost:1",
            "[::1",
            "[::1]x",
            "localhost:evil",
            "127.0.0.1.evil.example",
            "user@localhost",
        ] {
            assert!(!allowed.host(bad), "{bad}");
        }
        assert!(Allowed::new(&["*".into()], &[]).host("evil.example"));
    }

    #[test]
    fn origins() {
        let allowed = Allowed::new(&[], &["https://App.example".into()]);
        for good in ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:80", "https://app.example"] {
            assert!(allowed.origin(good), "{good}");
        }
        for bad in [
            "null",
            "",
            "https://evil.example",
            "http://10.0.0.7",
            "https://app.example:444",
            "file://localhost",
            "http://localhost.evil.example",
            "http://localhost:1/evil",
        ] {
            assert!(!allowed.origin(bad), "{bad}");
        }
        assert!(Allowed::new(&[], &["*".into()]).origin("null"));
    }
}
