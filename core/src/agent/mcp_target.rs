//! Which MCP servers an agent may get a token for and talk to: public DNS names, and nothing that could be
//! a machine of the network around it. The decision looks at the text alone; no name is resolved for it.

use crate::token_verifier::domain::{is_hostname, is_reserved, strip};
use crate::{Error, Result};

/// Services of the name system that answer with whatever address a name spells.
const SPELLED_ADDRESSES: [&str; 6] = ["nip.io", "sslip.io", "xip.io", "traefik.me", "localtest.me", "lvh.me"];

const EMPTY: &str = "target must be a non-empty string";
const NO_HOSTNAME: &str = "target must contain a valid DNS hostname";
const ADDRESS: &str = "target must not be an IP address";

/// The host name that tokens for this target are issued and kept for: in lower case, without scheme, port
/// and path.
///
/// # Errors
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for anything but a public DNS name: user names, IP
/// addresses in any spelling (`127.1`, `2130706433`, `0x7f000001`), `localhost` and other reserved names.
///
/// ```
/// use lime_core::agent::mcp_target::extract_and_normalize_domain;
///
/// assert_eq!(extract_and_normalize_domain("https://Tools.Example.com:8443/mcp").unwrap(), "tools.example.com");
/// assert!(extract_and_normalize_domain("http://127.1/mcp").is_err());
/// ```
pub fn extract_and_normalize_domain(target: &str) -> Result<String> {
    let refuse = |why: &str| Err(Error::invalid_argument(why));
    let target = strip(target);
    if target.is_empty() {
        return refuse(EMPTY);
    }
    let authority = scheme(target).map_or(target, |scheme| &target[scheme.len()..]);
    let authority = strip(authority.split('/').next().unwrap_or_default()).to_lowercase();
    if authority.is_empty() {
        return refuse(NO_HOSTNAME);
    }
    if authority.contains('@') {
        return refuse("target must not include userinfo");
    }
    if authority.starts_with('[') && authority.contains(']') {
        return refuse(ADDRESS);
    }
    let host = match authority.split_once(':') {
        Some((_, port)) if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) => {
            return refuse(NO_HOSTNAME);
        }
        Some((host, _)) => host,
        None => &authority,
    };
    if host.split('.').all(is_number) {
        return refuse(ADDRESS);
    }
    if !is_hostname(host) {
        return refuse(NO_HOSTNAME);
    }
    if is_reserved(host) || spells_an_address(host) {
        return refuse("target must not be a reserved or special-use hostname");
    }
    Ok(host.to_owned())
}

/// The address of the MCP server that a target means: of a bare host name `https://…/mcp`, with the port if
/// there is one; a URL as it is, without white space around it and slashes at its end.
///
/// # Errors
/// As [`extract_and_normalize_domain`].
///
/// ```
/// use lime_core::agent::mcp_target::resolve_mcp_http_url;
///
/// assert_eq!(resolve_mcp_http_url("Tools.example.com").unwrap(), "https://tools.example.com/mcp");
/// assert_eq!(resolve_mcp_http_url("https://tools.example.com/a/").unwrap(), "https://tools.example.com/a");
/// ```
pub fn resolve_mcp_http_url(target: &str) -> Result<String> {
    extract_and_normalize_domain(target)?;
    let target = strip(target);
    if scheme(target).is_some() {
        return Ok(target.trim_end_matches('/').to_owned());
    }
    let host = strip(target.split('/').next().unwrap_or_default()).to_lowercase();
    Ok(format!("https://{host}/mcp"))
}

/// The beginning of a URL that may be asked, in any case.
fn scheme(target: &str) -> Option<&str> {
    ["https://", "http://"]
        .into_iter()
        .find_map(|scheme| target.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme)))
}

/// A label that resolvers of old, and readers of URLs, take for a part of an address: decimal, octal or hexadecimal, where
/// no digits are 0.
fn is_number(label: &str) -> bool {
    let digits = |text: &str, radix| text.chars().all(|c| c.is_digit(radix));
    !label.is_empty() && digits(label, 10) || label.strip_prefix("0x").is_some_and(|rest| digits(rest, 16))
}

fn spells_an_address(host: &str) -> bool {
    let below =
        |service: &str| host.strip_suffix(service).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    SPELLED_ADDRESSES.iter().any(|service| below(service))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use url::{Host, Url};

    /// To who reads URLs `0x` is 0, and `https://0x/` this very machine.
    #[test]
    fn a_hexadecimal_number_may_have_no_digits() {
        for target in ["0x", "0X:8080", "https://0x/mcp", "http://0x.0x", "1.0x", "0x.1", "0x7f.1"] {
            let refused = extract_and_normalize_domain(target).unwrap_err();
            assert_eq!(refused.message(), ADDRESS, "{target}");
        }
    }

    proptest! {
        /// What is checked is what is asked: the URL's host is the one that the token is for, whatever is
        /// written around it.
        #[test]
        fn the_url_leads_to_the_hostname(target in "(https?://)?[a-zA-Z0-9.:@/\\\\?#%\\[\\] \t-]{1,40}") {
            if let (Ok(domain), Ok(url)) = (extract_and_normalize_domain(&target), resolve_mcp_http_url(&target))
                && let Ok(url) = Url::parse(&url)
            {
                prop_assert_eq!(url.host(), Some(Host::Domain(domain.as_str())));
                prop_assert!(url.username().is_empty() && url.password().is_none());
                prop_assert_eq!(extract_and_normalize_domain(&domain).unwrap(), domain);
            }
        }
    }
}
