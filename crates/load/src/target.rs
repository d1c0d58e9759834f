//! Where requests go: scheme, host, port, path prefix, protocol and trust.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use crate::plan::PlanError;

/// The HTTP version that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, one request at a time on each kept-alive connection; never pipelined.
    Http1,
    /// HTTP/2 (with prior knowledge, or by ALPN over TLS), `streams` requests at a time on each connection (1..=1000).
    Http2 {
        /// Requests at the same time on one connection.
        streams: u32,
    },
}

/// Whose certificates are believed, when the target is `https`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The system's authorities (`/etc/ssl/certs/ca-certificates.crt`).
    System,
    /// The authorities in this PEM file, and no others.
    Authority(PathBuf),
    /// Any certificate, whoever issued it, for whatever name: only for systems of one's own, never a default.
    Anything,
}

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// The name in the `host` header, in HTTP/2's `:authority` and in TLS' server name; an IPv6 address is in brackets.
    pub host: String,
    /// The port of the URL; connected to unless `connect` says otherwise.
    pub port: u16,
    /// Put before every request's path; "" or "/…" without a slash at its end.
    pub prefix: String,
    /// Connect here instead of resolving `host`. `None`: resolve.
    pub connect: Option<SocketAddr>,
    /// The HTTP version.
    pub protocol: Protocol,
    /// Whose certificates are believed.
    pub trust: Trust,
}

impl Target {
    /// Reads `http[s]://host[:port][/prefix]`; the rest has its defaults (HTTP/1.1, resolve, the system's authorities).
    ///
    /// # Errors
    /// `Target` when it's no such URL: fix the text.
    pub fn parse(url: &str) -> Result<Target, PlanError> {
        let wrong = |why: &str| PlanError::Target { url: url.to_owned(), why: why.to_owned() };
        let uri: http::Uri = url.parse().map_err(|_| wrong("not a URL"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("it must begin with http:// or https://")),
        };
        if uri.query().is_some() {
            return Err(wrong("a query belongs to a request's path"));
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it names no host"))?.to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Target { tls, host, port, prefix, connect: None, protocol: Protocol::Http1, trust: Trust::System })
    }

    /// The same target, reached at `address` whatever its host name resolves to.
    #[must_use]
    pub fn connecting_to(mut self, address: SocketAddr) -> Target {
        self.connect = Some(address);
        self
    }

    /// What the `host` header says: the port is left out where it is the scheme's own.
    pub fn authority(&self) -> String {
        match (self.tls, self.port) {
            (false, 80) | (true, 443) => self.host.clone(),
            _ => format!("{}:{}", self.host, self.port),
        }
    }

    /// The addresses to try, in order. `localhost` and `*.localhost` are this machine, without asking anyone (RFC 6761).
    /// May block on the resolver for other names.
    ///
    /// # Errors
    /// `Resolve` when the name has no address.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>, PlanError> {
        if let Some(address) = self.connect {
            return Ok(vec![address]);
        }
        if self.host == "localhost" || self.host.ends_with(".localhost") {
            return Ok(vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.port)]);
        }
        let name = self.host.trim_start_matches('[').trim_end_matches(']');
        match (name, self.port).to_socket_addrs() {
            Ok(found) => Some(found.collect::<Vec<_>>()).filter(|found| !found.is_empty()),
            Err(_) => None,
        }
        .ok_or_else(|| PlanError::Resolve { host: self.host.clone() })
    }

    /// Whether every address it leads to is on this machine's loopback; false when it can't be resolved.
    pub fn is_loopback(&self) -> bool {
        self.addresses().is_ok_and(|all| all.iter().all(|address| address.ip().is_loopback()))
    }
}

impl std::str::FromStr for Target {
    type Err = PlanError;

    fn from_str(url: &str) -> Result<Target, PlanError> {
        Target::parse(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_url() {
        let target = Target::parse("http://shop.localhost:8080/api/").unwrap();
        assert_eq!((target.host.as_str(), target.port, target.prefix.as_str()), ("shop.localhost", 8080, "/api"));
        assert_eq!(target.authority(), "shop.localhost:8080");
        assert_eq!(target.addresses().unwrap(), ["127.0.0.1:8080".parse().unwrap()]);
        assert!(target.is_loopback());
    }

    #[test]
    fn leaves_out_the_scheme_s_own_port() {
        assert_eq!(Target::parse("https://a.example").unwrap().authority(), "a.example");
        assert_eq!(Target::parse("http://a.example:443").unwrap().authority(), "a.example:443");
    }

    #[test]
    fn understands_ipv6() {
        let target = Target::parse("http://[::1]:90").unwrap();
        assert_eq!(target.authority(), "[::1]:90");
        assert_eq!(target.addresses().unwrap(), ["[::1]:90".parse().unwrap()]);
    }

    #[test]
    fn refuses_what_is_no_target() {
        for url in ["", "localhost:80", "ftp://a", "http://", "http://a?x=1", "/path"] {
            assert!(matches!(Target::parse(url), Err(PlanError::Target { .. })), "{url}");
        }
    }

    #[test]
    fn connects_where_it_is_told() {
        let address: SocketAddr = "127.0.0.9:1".parse().unwrap();
        let target = Target::parse("http://shop.example").unwrap().connecting_to(address);
        assert_eq!(target.addresses().unwrap(), [address]);
        assert_eq!(target.authority(), "shop.example");
    }
}
