//! The HTTP side of a server that wants access tokens: where the token is in a request (RFC 6750), and what
//! to answer when it does not let the caller in. For the middleware of every language.

use serde_json::json;

use super::token::Reason;
use crate::{Error, ErrorKind, Result};

/// The token in a request's `Authorization` headers, of which there should be one.
///
/// # Errors
/// [`ErrorKind::InvalidToken`] with the code `missing_token` (no header, another scheme, nothing behind it) or
/// `ambiguous_token` (several headers: what stands before this server may have looked at another one).
///
/// ```
/// use lime_core::token_verifier::bearer;
/// assert_eq!(bearer::token(&["bearer a.b.c"]).unwrap(), "a.b.c");
/// assert_eq!(bearer::token(&["Basic YTpi"]).unwrap_err().code(), Some("missing_token"));
/// ```
pub fn token<'a>(authorization: &[&'a str]) -> Result<&'a str> {
    let header = match authorization {
        [] => return Err(Reason::MissingToken.error("The request has no Authorization header")),
        [header] => header.trim_matches([' ', '\t']),
        _ => return Err(Reason::AmbiguousToken.error("The request has several Authorization headers")),
    };
    let missing = || Reason::MissingToken.error("The Authorization header has no bearer token");
    let (scheme, token) = header.split_once([' ', '\t']).ok_or_else(missing)?;
    let token = token.trim_matches([' ', '\t']);
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(missing());
    }
    Ok(token)
}

/// The answer to a request that is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// 401 for a token that is missing or refused, 400 for several, 503 when nobody can tell.
    pub http_status: u16,
    /// The header `WWW-Authenticate`; with 401 there is always one.
    pub www_authenticate: Option<String>,
    /// The header `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// The body, `application/json`: `{"error", "error_description"}`.
    pub body: String,
}

impl Refusal {
    /// The answer for this failure of [`token`] or of a verification. `resource_metadata` is the URL of the
    /// server's own metadata (RFC 9728), which tells MCP clients whom to ask for a token.
    pub fn of(error: &Error, resource_metadata: Option<&str>) -> Self {
        let (http_status, name) = match (error.kind(), error.code()) {
            (ErrorKind::InvalidToken, Some(code)) if code == Reason::AmbiguousToken.name() => {
                (400, "invalid_request")
            }
            (ErrorKind::InvalidToken, _) => (401, "invalid_token"),
            (ErrorKind::Internal | ErrorKind::InvalidArgument, _) => (500, "server_error"),
            _ => (503, "temporarily_unavailable"),
        };
        // What went wrong between this server and the platform is not the caller's business.
        let description = match http_status {
            503 => "Access tokens cannot be verified at the moment".to_owned(),
            500 => "Access tokens cannot be verified".to_owned(),
            _ => quotable(error.message()),
        };
        let mut parameters = Vec::new();
        // Who has not shown a token has done nothing wrong yet.
        if error.code() != Some(Reason::MissingToken.name()) {
            parameters.push(format!("error=\"{name}\""));
            parameters.push(format!("error_description=\"{description}\""));
        }
        parameters.extend(resource_metadata.map(|url| format!("resource_metadata=\"{}\"", quotable(url))));
        let challenge = format!("Bearer {}", parameters.join(", "));
        Self {
            http_status,
            www_authenticate: (http_status < 500).then(|| challenge.trim_end().to_owned()),
            retry_after: (http_status == 503)
                .then(|| error.retry_after().map_or(5, |wait| wait.as_secs().max(1))),
            body: json!({"error": name, "error_description": description}).to_string(),
        }
    }
}

/// A text that may stand between quotation marks in a header.
fn quotable(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' ' | '!' | '#'..='[' | ']'..='~') { c } else { '\'' }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_token_is_behind_the_scheme() {
        for header in ["Bearer a.b.c", "bearer a.b.c", " BEARER \t a.b.c "] {
            assert_eq!(token(&[header]).as_deref(), Ok("a.b.c"), "{header}");
        }
        for header in ["", "Bearer", "Bearer ", "a.b.c", "Basic a.b.c", "Bearera.b.c"] {
            assert_eq!(token(&[header]).unwrap_err().code(), Some("missing_token"), "{header}");
        }
        assert_eq!(token(&[]).unwrap_err().code(), Some("missing_token"));
        assert_eq!(token(&["Bearer a", "Bearer a"]).unwrap_err().code(), Some("ambiguous_token"));
    }

    #[test]
    fn each_failure_has_its_answer() {
        let missing = Refusal::of(&token(&[]).unwrap_err(), None);
        assert_eq!((missing.http_status, missing.www_authenticate.as_deref()), (401, Some("Bearer")));
        let url = "https://tools.example.com/.well-known/oauth-protected-resource";
        let missing = Refusal::of(&token(&[]).unwrap_err(), Some(url));
        assert_eq!(missing.www_authenticate, Some(format!("Bearer resource_metadata=\"{url}\"")));

        let odd = Error::new(ErrorKind::InvalidToken, "no \"key\"\r\nX: y\\\u{e9}").with_code("unknown_key");
        let refused = Refusal::of(&odd, None);
        assert_eq!(refused.http_status, 401);
        let challenge = "Bearer error=\"invalid_token\", error_description=\"no 'key'''X: y''\"";
        assert_eq!(refused.www_authenticate.as_deref(), Some(challenge));
        assert_eq!(refused.body, r#"{"error":"invalid_token","error_description":"no 'key'''X: y''"}"#);

        let two = Refusal::of(&token(&["a", "b"]).unwrap_err(), None);
        assert_eq!(two.http_status, 400);
        assert!(two.www_authenticate.unwrap().contains("invalid_request"));

        let down = Error::new(ErrorKind::Transport, "10.0.0.7 refused");
        let answer = Refusal::of(&down, Some(url));
        assert_eq!((answer.http_status, answer.retry_after, answer.www_authenticate), (503, Some(5), None));
        assert!(!answer.body.contains("10.0.0.7"));
        let busy = Error::new(ErrorKind::RateLimit, "").with_retry_after(Some(Duration::from_secs(30)));
        assert_eq!(Refusal::of(&busy, None).retry_after, Some(30));
        assert_eq!(Refusal::of(&Error::internal("x"), None).http_status, 500);
    }
}
