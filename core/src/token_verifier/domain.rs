//! The host names that access tokens are bound to, as the platform writes them into the claim `domain`.

use std::net::Ipv4Addr;

use crate::{Error, Result};

/// Names that mean a machine or a service of the network around the server, and no public host.
const RESERVED: [&str; 6] = [
    "localhost",
    "metadata.google.internal",
    "metadata",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
];

/// The same for whatever ends so.
const RESERVED_ENDS: [&str; 7] = [".localhost", ".local", ".internal", ".intranet", ".corp", ".home", ".lan"];

const REQUIRED: &str = "domain is required";
const NO_HOSTNAME: &str = "domain must be a valid DNS hostname";
const ADDRESS: &str = "domain must not be an IP address";

/// The canonical form of a host name: in lower case, without scheme and path.
///
/// Unlike [the agent's side](crate::agent::mcp_target), which takes a port off, a port is refused here: a token is bound
/// to a host, and a server that believes it is bound to a port would be mistaken.
///
/// # Errors
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for user names, ports, IP addresses, reserved names
/// (`localhost`, `*.internal`, …) and whatever else is no DNS name.
///
/// ```
/// use lime_core::token_verifier::domain::normalize_mcp_domain;
///
/// assert_eq!(normalize_mcp_domain(" https://Tools.Example.com/mcp").unwrap(), "tools.example.com");
/// assert!(normalize_mcp_domain("tools.example.com:8443").is_err());
/// ```
pub fn normalize_mcp_domain(raw: &str) -> Result<String> {
    let refuse = |why: &str| Err(Error::invalid_argument(why));
    let value = strip(raw);
    if value.is_empty() {
        return refuse(REQUIRED);
    }
    let rest = ["https://", "http://"]
        .into_iter()
        .find_map(|scheme| {
            let start = value.get(..scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then(|| &value[scheme.len()..])
        })
        .unwrap_or(value);
    let host = strip(rest.split('/').next().unwrap_or_default()).to_lowercase();
    if host.is_empty() {
        return refuse(NO_HOSTNAME);
    }
    if host.contains('@') {
        return refuse("domain must not include userinfo");
    }
    if host.starts_with('[') && host.contains(']') {
        return refuse(ADDRESS);
    }
    if host.contains(':') {
        return refuse("domain must not include a port");
    }
    if host.parse::<Ipv4Addr>().is_ok() {
        return refuse(ADDRESS);
    }
    if !is_hostname(&host) {
        return refuse(NO_HOSTNAME);
    }
    if is_reserved(&host) {
        return refuse("domain must not be a reserved or special-use hostname");
    }
    Ok(host)
}

/// Whether this is a host name in canonical form: what [`normalize_mcp_domain`] would leave as it is.
pub(crate) fn is_canonical(domain: &str) -> bool {
    is_hostname(domain) && domain.parse::<Ipv4Addr>().is_err() && !is_reserved(domain)
}

/// Without white space around it; the published package counts four control characters as such, too.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c))
}

/// Whether it is made like a host name, in lower case.
pub(crate) fn is_hostname(host: &str) -> bool {
    host.len() <= 253 && host.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&label.len())
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Whether it means something of the network around whoever looks it up.
pub(crate) fn is_reserved(host: &str) -> bool {
    RESERVED.contains(&host) || RESERVED_ENDS.iter().any(|end| host.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// One form for one host: what is canonical stays, and nothing else is called canonical.
        #[test]
        fn canonical_is_what_stays_as_it_is(raw in "(https?://)?[a-zA-Z0-9.:@/\\[\\] \t-]{0,30}|(a\\.)?(local|corp|metadata|127\\.0\\.0\\.1)") {
            let normalized = normalize_mcp_domain(&raw);
            if let Ok(domain) = &normalized {
                prop_assert!(is_canonical(domain));
                prop_assert_eq!(&normalize_mcp_domain(domain), &Ok(domain.clone()));
            }
            prop_assert_eq!(is_canonical(&raw), normalized.is_ok_and(|domain| domain == raw));
        }
    }
}
