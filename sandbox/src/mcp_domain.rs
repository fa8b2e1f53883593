//! The host names that MCP access tokens are issued for: what the platform lets a token be bound to.
//!
//! An implementation of its own, apart from the client's: the sandbox is what the client is tested against.

use std::net::IpAddr;

/// Top-level names that exist only inside somebody's network.
const PRIVATE_SUFFIXES: [&str; 7] = ["localhost", "local", "internal", "intranet", "corp", "home", "lan"];

/// Services that answer with whatever address the name spells.
const WILDCARD_DNS: [&str; 6] = ["nip.io", "sslip.io", "xip.io", "traefik.me", "localtest.me", "lvh.me"];

/// Names of a cluster and of a cloud's metadata service that are not below a private suffix.
const RESERVED: [&str; 4] = ["metadata", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];

/// The canonical host name in `raw`: without scheme and path, in lower case.
///
/// Unlike a client, which strips a port, the platform refuses it: a token is bound to a host.
/// The error is the sentence that goes into `error_description`.
pub(crate) fn normalize(raw: &str) -> Result<String, &'static str> {
    let lower = raw.trim().to_ascii_lowercase();
    if lower.is_empty() {
        return Err("domain is required");
    }
    let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://")).unwrap_or(&lower);
    let host = rest.split('/').next().unwrap_or_default().trim();
    if host.contains('@') {
        return Err("domain must not include userinfo");
    }
    if host.starts_with('[') && host.contains(']') || host.parse::<IpAddr>().is_ok() {
        return Err("domain must not be an IP address");
    }
    if host.contains(':') {
        return Err("domain must not include a port");
    }
    if !host.is_empty() && host.split('.').all(is_number) {
        return Err("domain must not be an IP address");
    }
    if host.len() > 253 || !host.split('.').all(is_label) {
        return Err("domain must be a valid DNS hostname");
    }
    if is_reserved(host) {
        return Err("domain must not be a reserved or special-use hostname");
    }
    Ok(host.to_owned())
}

/// One part of an address in any spelling that a resolver may take: `127`, `0177`, `0x7f`.
fn is_number(label: &str) -> bool {
    let digits = |text: &str, kind: fn(&u8) -> bool| !text.is_empty() && text.bytes().all(|byte| kind(&byte));
    digits(label, u8::is_ascii_digit)
        || label.strip_prefix("0x").is_some_and(|hex| digits(hex, u8::is_ascii_hexdigit))
}

fn is_label(label: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = label.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

fn is_reserved(host: &str) -> bool {
    let below = |name: &str| host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    RESERVED.contains(&host)
        || host == "localhost"
        || PRIVATE_SUFFIXES.iter().any(|suffix| below(suffix))
        || WILDCARD_DNS.iter().any(|service| host == *service || below(service))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_canonical() {
        for (raw, host) in [
            ("tools.example.com", "tools.example.com"),
            ("  HTTPS://Tools.Example.com/mcp?a=b ", "tools.example.com"),
            ("http://a-b.example/", "a-b.example"),
            ("mcp", "mcp"),
            ("1.example", "1.example"),
            ("0x7g.example", "0x7g.example"),
            ("local", "local"),
            ("mylocal", "mylocal"),
            ("nip.io.example.com", "nip.io.example.com"),
        ] {
            assert_eq!(normalize(raw).as_deref(), Ok(host), "{raw}");
        }
    }

    #[test]
    fn what_is_no_public_host_is_refused() {
        let long = format!("{}.example", "a".repeat(64));
        let longer = vec!["a"; 128].join(".");
        for (raw, part) in [
            ("", "required"),
            (" ", "required"),
            ("https://", "valid DNS"),
            ("a b.example", "valid DNS"),
            ("-a.example", "valid DNS"),
            ("a-.example", "valid DNS"),
            ("a..example", "valid DNS"),
            ("example.com.", "valid DNS"),
            ("b\u{fc}cher.example", "valid DNS"),
            ("a_b.example", "valid DNS"),
            (&long, "valid DNS"),
            (&longer, "valid DNS"),
            ("user@example.com", "userinfo"),
            ("example.com:443", "port"),
            ("127.0.0.1", "IP address"),
            ("127.1", "IP address"),
            ("2130706433", "IP address"),
            ("0x7f000001", "IP address"),
            ("0177.0.0.1", "IP address"),
            ("0X7F.0.0.1", "IP address"),
            ("[::1]", "IP address"),
            ("::1", "IP address"),
            ("localhost", "reserved"),
            ("a.localhost", "reserved"),
            ("printer.local", "reserved"),
            ("a.internal", "reserved"),
            ("metadata.google.internal", "reserved"),
            ("metadata", "reserved"),
            ("kubernetes.default.svc", "reserved"),
            ("a.intranet", "reserved"),
            ("a.corp", "reserved"),
            ("a.home", "reserved"),
            ("a.lan", "reserved"),
            ("nip.io", "reserved"),
            ("127.0.0.1.nip.io", "reserved"),
            ("a.lvh.me", "reserved"),
        ] {
            let error = normalize(raw).err().unwrap_or_else(|| panic!("{raw} was taken"));
            assert!(error.contains(part), "{raw}: {error}");
        }
    }
}
