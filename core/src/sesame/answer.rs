//! What the broker answers: the object itself, or `{"detail": …}` with a status.

use serde_json::{Map, Value};

use super::approval::Approval;
use crate::api::Reply;
use crate::{Error, ErrorKind, Result, envelope};

/// How much of an answer goes into a message and a log; a proxy's error page is long.
const LONGEST_DETAIL: usize = 500;

/// The approval in a successful answer, or the error that the broker reports. An answer about another
/// approval than the one that was `asked` about, as a confused proxy gives it, decides nothing.
pub(crate) fn approval(reply: &Reply, asked: Option<&str>) -> Result<Approval> {
    let data = parse(reply.http_status, &reply.body);
    let read = data.and_then(|data| Approval::from_data(&data)).and_then(|approval| match asked {
        Some(asked) if asked != approval.approval_id => {
            let message = "The answer is about another approval";
            Err(Error::new(ErrorKind::BadResponse, message).with_http_status(reply.http_status))
        }
        _ => Ok(approval),
    });
    read.map_err(|error| error.with_retry_after(reply.retry_after))
}

/// Reads an answer of the broker.
///
/// # Errors
/// [`ErrorKind::Authentication`] for 401, [`ErrorKind::NotFound`] for 404, [`ErrorKind::RateLimit`] for
/// 429, [`ErrorKind::Api`] for any other failure; [`ErrorKind::BadResponse`] for a success that is no
/// JSON object.
///
/// ```
/// use lime_core::{ErrorKind, sesame::answer};
///
/// let error = answer::parse(401, br#"{"detail": "Invalid API key"}"#).unwrap_err();
/// assert_eq!((error.kind(), error.message()), (ErrorKind::Authentication, "Invalid API key"));
/// ```
pub fn parse(http_status: u16, body: &[u8]) -> Result<Map<String, Value>> {
    if (200..300).contains(&http_status) {
        return envelope::object(http_status, body);
    }
    let detail = detail(http_status, body);
    let (kind, message) = match http_status {
        401 => (ErrorKind::Authentication, detail),
        404 => (ErrorKind::NotFound, detail),
        429 => (ErrorKind::RateLimit, failed(http_status, &detail)),
        _ => (ErrorKind::Api, failed(http_status, &detail)),
    };
    Err(Error::new(kind, message).with_http_status(http_status))
}

fn failed(http_status: u16, detail: &str) -> String {
    format!("Sesame request failed ({http_status}): {detail}")
}

/// The broker's words: `detail`, else the body as it is, else the name of the status.
fn detail(http_status: u16, body: &[u8]) -> String {
    if let Ok(Value::Object(mut object)) = serde_json::from_slice(body)
        && let Some(detail) = object.remove("detail")
    {
        return match detail {
            Value::String(text) => shortened(&text),
            other => shortened(&other.to_string()),
        };
    }
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.is_empty() {
        let status = http::StatusCode::from_u16(http_status).ok();
        return status.and_then(|status| status.canonical_reason()).unwrap_or("no reason given").to_owned();
    }
    shortened(text)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_DETAIL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_details() {
        for (status, body, kind, message) in [
            (401, r#"{"detail":"Invalid API key"}"#, ErrorKind::Authentication, "Invalid API key"),
            (404, r#"{"detail":"No such approval"}"#, ErrorKind::NotFound, "No such approval"),
            (404, "gone", ErrorKind::NotFound, "gone"),
            (
                429,
                r#"{"detail":"slow down"}"#,
                ErrorKind::RateLimit,
                "Sesame request failed (429): slow down",
            ),
            (
                422,
                r#"{"detail":[{"loc":["body"]}]}"#,
                ErrorKind::Api,
                r#"Sesame request failed (422): [{"loc":["body"]}]"#,
            ),
            (502, "", ErrorKind::Api, "Sesame request failed (502): Bad Gateway"),
            (403, r#"{"error":"x"}"#, ErrorKind::Api, r#"Sesame request failed (403): {"error":"x"}"#),
            (302, " ", ErrorKind::Api, "Sesame request failed (302): Found"),
            (200, "[]", ErrorKind::BadResponse, "Unexpected response shape (HTTP 200)"),
            (202, "<html>", ErrorKind::BadResponse, "Invalid JSON response (HTTP 202)"),
        ] {
            let error = parse(status, body.as_bytes()).unwrap_err();
            assert_eq!((error.kind(), error.message()), (kind, message));
            assert_eq!(error.http_status(), Some(status));
        }
        let text = "é".repeat(10_000);
        for body in [text.clone(), format!(r#"{{"detail":"{text}"}}"#), format!(r#"{{"detail":["{text}"]}}"#)]
        {
            let long = parse(500, body.as_bytes()).unwrap_err();
            assert!(long.message().len() < 1100 && long.message().ends_with('…'));
        }
    }
}
