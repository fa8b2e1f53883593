//! What one event of a site's stream says.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
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
struct Wire<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Member<'a>>,
    #[serde(borrow)]
    login_request_id: Option<Member<'a>>,
    #[serde(borrow)]
    agent_passport_jwt: Option<Member<'a>>,
    #[serde(borrow)]
    code: Option<Member<'a>>,
    #[serde(borrow)]
    message: Option<Member<'a>>,
}

/// A member of an event: a text where it stands, or whatever else a platform may have put there.
enum Member<'a> {
    Text(Cow<'a, str>),
    Other(Value),
}

impl Member<'_> {
    fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Other(value) => json::text(value).map(Cow::Owned),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Member<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MemberVisitor)
    }
}

struct MemberVisitor;

impl<'de> Visitor<'de> for MemberVisitor {
    type Value = Member<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Member<'de>, E> {
        Ok(Member::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Member<'de>, E> {
        Ok(Member::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Member<'de>, E> {
        Ok(Member::Other(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Member<'de>, E> {
        Ok(Member::Other(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Member<'de>, E> {
        Ok(Member::Other(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Member<'de>, E> {
        Ok(Member::Other(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Member<'de>, E> {
        Ok(Member::Other(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<Member<'de>, A::Error> {
        Value::deserialize(SeqAccessDeserializer::new(access)).map(Member::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Member<'de>, A::Error> {
        Value::deserialize(MapAccessDeserializer::new(access)).map(Member::Other)
    }
}

impl Frame {
    /// Reads the data of an event.
    pub fn parse(data: &str) -> Self {
        // A struct can also be read from an array; the protocol knows objects only.
        if !data.trim_start().starts_with('{') {
            return Self::Malformed("Event is not a JSON object");
        }
        let Ok(wire) = serde_json::from_str::<Wire<'_>>(data) else {
            return Self::Malformed("Event is not valid JSON");
        };
        let kind = wire.kind.as_ref().and_then(Member::text).unwrap_or_default();
        if kind == "keepalive" {
            return Self::Keepalive;
        }
        if kind == "error" {
            let owned =
                |member: &Option<Member<'_>>| member.as_ref().and_then(Member::text).map(Cow::into_owned);
            return Self::Error {
                code: owned(&wire.code).unwrap_or_else(|| "SSE_ERROR".to_owned()),
                message: owned(&wire.message).unwrap_or_else(|| "SSE error frame".to_owned()),
            };
        }
        let request_id = wire.login_request_id.as_ref().and_then(Member::text).unwrap_or_default();
        let request_id = request_id.trim().to_owned();
        match &*kind {
            _ if request_id.is_empty() => Self::Ignored,
            "expired" => Self::Expired { request_id },
            "approved" => match wire.agent_passport_jwt {
                Some(Member::Text(passport)) if !passport.trim().is_empty() => {
                    Self::Approved { request_id, passport: passport.into_owned() }
                }
                _ => Self::Malformed("approved event without agent_passport_jwt"),
            },
            _ => Self::Ignored,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_other_types_are_read_past_or_refused() {
        for other in ["null", "true", "[1, {}]", r#"{"a": [1.5]}"#] {
            let parsed = Frame::parse(&format!(r#"{{"type": {other}, "login_request_id": "lr_1"}}"#));
            assert_eq!(parsed, Frame::Ignored, "{other}");
            let parsed = Frame::parse(&format!(r#"{{"type": "expired", "login_request_id": {other}}}"#));
            assert_eq!(parsed, Frame::Ignored, "{other}");
            let parsed =
                Frame::parse(&format!(r#"{{"type": "error", "code": {other}, "message": {other}}}"#));
            let Frame::Error { code, message } = parsed else { panic!("{parsed:?}") };
            assert_eq!((&*code, &*message), ("SSE_ERROR", "SSE error frame"), "{other}");
        }
        for other in ["null", "true", "-1", "7", "1.5", "[]", "{}", r#"" ""#] {
            let data = format!(
                r#"{{"type": "approved", "login_request_id": "lr_1", "agent_passport_jwt": {other}}}"#
            );
            let reason = "approved event without agent_passport_jwt";
            assert_eq!(Frame::parse(&data), Frame::Malformed(reason), "{other}");
        }
        // What is broken inside of a member is broken.
        for broken in ["[1,", r#"{"a"}"#, "nul", "1.5.5"] {
            let parsed = Frame::parse(&format!(r#"{{"type": "expired", "login_request_id": {broken}}}"#));
            assert_eq!(parsed, Frame::Malformed("Event is not valid JSON"), "{broken}");
        }
    }

    /// As JSON's grammar has them, and Python's reader takes them.
    #[test]
    fn members_that_nobody_knows_need_only_be_json() {
        for unknown in [r#""half \udf4b of a pair""#, "1e999", r#"{"deep": [1e999, "\ud83d"]}"#] {
            let event =
                |name| format!(r#"{{"type": "expired", "login_request_id": "lr_1", {name}: {unknown}}}"#);
            let expired = Frame::Expired { request_id: "lr_1".to_owned() };
            assert_eq!(Frame::parse(&event("\"other\"")), expired, "{unknown}");
            let malformed = Frame::Malformed("Event is not valid JSON");
            assert_eq!(Frame::parse(&event("\"code\"")), malformed, "{unknown}");
        }
    }

    /// As the published packages read fields: a number is its decimal.
    #[test]
    fn a_number_will_do_as_an_id_and_as_a_code() {
        for number in ["7", "-7", "1.5"] {
            let parsed = Frame::parse(&format!(r#"{{"type": "expired", "login_request_id": {number}}}"#));
            assert_eq!(parsed, Frame::Expired { request_id: number.to_owned() });
            let parsed =
                Frame::parse(&format!(r#"{{"type": "error", "code": {number}, "message": "\u0041"}}"#));
            assert_eq!(parsed, Frame::Error { code: number.to_owned(), message: "A".to_owned() });
        }
    }
}
