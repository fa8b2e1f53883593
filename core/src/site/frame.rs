//! What one event of a site's stream says.

use serde::Deserialize;
use serde_json::Value;

use crate::json;

/// A LIME event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The connection is alive.
    Keepalive,
    /// An agent signed in; the passport is a JWT, not yet verified.
    Approved {
        /// The login request.
        request_id: String,
        /// The agent's passport.
        passport: String,
    },
    /// Nobody signed in in time.
    Expired {
        /// The login request.
        request_id: String,
    },
    /// The platform reports a fault; the stream goes on.
    Error {
        /// The platform's code.
        code: String,
        /// For people.
        message: String,
    },
    /// Something that this version does not know, or that is not about a login request.
    Ignored,
    /// Not what the protocol allows; the stream goes on.
    Malformed(&'static str),
}

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "type")]
    kind: Option<Value>,
    login_request_id: Option<Value>,
    agent_passport_jwt: Option<Value>,
    code: Option<Value>,
    message: Option<Value>,
}

impl Frame {
    /// Reads the data of an event.
    pub fn parse(data: &str) -> Self {
        // A struct can also be read from an array; the protocol knows objects only.
        if !data.trim_start().starts_with('{') {
            return Self::Malformed("Event is not a JSON object");
        }
        let Ok(wire) = serde_json::from_str::<Wire>(data) else {
            return Self::Malformed("Event is not valid JSON");
        };
        let text = |value: &Option<Value>| value.as_ref().and_then(json::text);
        let kind = text(&wire.kind).unwrap_or_default();
        if kind == "keepalive" {
            return Self::Keepalive;
        }
        if kind == "error" {
            return Self::Error {
                code: text(&wire.code).unwrap_or_else(|| "SSE_ERROR".to_owned()),
                message: text(&wire.message).unwrap_or_else(|| "SSE error frame".to_owned()),
            };
        }
        let request_id = text(&wire.login_request_id).unwrap_or_default().trim().to_owned();
        match kind.as_str() {
            _ if request_id.is_empty() => Self::Ignored,
            "expired" => Self::Expired { request_id },
            "approved" => match wire.agent_passport_jwt {
                Some(Value::String(passport)) if !passport.trim().is_empty() => {
                    Self::Approved { request_id, passport }
                }
                _ => Self::Malformed("approved event without agent_passport_jwt"),
            },
            _ => Self::Ignored,
        }
    }
}
