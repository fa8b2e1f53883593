//! Reading JSON: a strict form for passports, and the fields of platform answers.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::{Error, ErrorKind, Result};

/// Reads one JSON object in which no key, at any depth, occurs twice. Two readers that disagree on
/// which of two `exp` counts are how a forged claim gets through.
pub(crate) fn strict_object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice::<Strict>(bytes) {
        Ok(Strict(Value::Object(map))) => Some(map),
        _ => None,
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        StrictValue.deserialize(deserializer).map(Strict)
    }
}

struct StrictValue;

impl<'de> DeserializeSeed<'de> for StrictValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate keys")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(StrictValue)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        // As many as a token's claims are, so that it need not grow.
        let mut map = Map::with_capacity(16);
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(StrictValue)?;
            if map.insert(key, value).is_some() {
                return Err(serde::de::Error::custom("duplicate key"));
            }
        }
        Ok(Value::Object(map))
    }
}

/// A field's text as the published packages read it: a string as it is, a number in decimal.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A field that the protocol promises.
pub(crate) fn required_text(data: &Map<String, Value>, field: &str) -> Result<String> {
    data.get(field).and_then(text).ok_or_else(|| missing(field))
}

/// A field that may be absent or null.
pub(crate) fn optional_text(data: &Map<String, Value>, field: &str) -> Option<String> {
    data.get(field).and_then(text).filter(|text| !text.is_empty())
}

/// A whole number, also written as `2.0` or `"2"`, that may be absent or null.
pub(crate) fn optional_integer(data: &Map<String, Value>, field: &str) -> Option<i64> {
    match data.get(field)? {
        Value::String(text) => text.trim().parse().ok(),
        #[allow(clippy::cast_possible_truncation)] // whole, and saturating where it is too large
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().filter(|float| float.fract() == 0.0).map(|float| float as i64)),
        _ => None,
    }
}

/// The error for an answer without a field that the protocol promises.
pub(crate) fn missing(field: &str) -> Error {
    Error::new(ErrorKind::BadResponse, format!("Response is missing the field {field}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_keys_are_refused_at_any_depth() {
        assert!(strict_object(br#"{"a":1,"b":{"c":[{"d":1}]}}"#).is_some());
        assert!(strict_object(br#"{"a":1,"a":1}"#).is_none());
        assert!(strict_object(br#"{"a":[{"b":1,"b":2}]}"#).is_none());
        assert!(strict_object(b"[]").is_none());
        assert!(strict_object(br#"{"a":1e400}"#).is_none());
    }
}
