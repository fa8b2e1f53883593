//! JSON read plainly: into pairs, so that a name that comes twice is seen.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Whether a name comes twice in an object, at any depth. False for what is no JSON.
pub(crate) fn has_a_name_twice(text: &[u8]) -> bool {
    serde_json::from_slice::<Names>(text).is_ok_and(|names| names.0)
}

/// An object in which every name comes once.
pub(crate) fn strict_object(text: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(text).ok().filter(|_| !has_a_name_twice(text))
}

struct Names(bool);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Look)
    }
}

struct Look;

impl<'de> Visitor<'de> for Look {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Names, E> {
        Ok(Names(false))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Names, E> {
        Ok(Names(false))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Names, E> {
        Ok(Names(false))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Names, E> {
        Ok(Names(false))
    }

    fn visit_str<E>(self, _: &str) -> Result<Names, E> {
        Ok(Names(false))
    }

    fn visit_unit<E>(self) -> Result<Names, E> {
        Ok(Names(false))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Names, A::Error> {
        let mut twice = false;
        while let Some(Names(below)) = items.next_element()? {
            twice |= below;
        }
        Ok(Names(twice))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Names, A::Error> {
        let (mut seen, mut twice) = (Vec::new(), false);
        while let Some(name) = members.next_key::<String>()? {
            twice |= seen.contains(&name);
            seen.push(name);
            let Names(below) = members.next_value()?;
            twice |= below;
        }
        Ok(Names(twice))
    }
}

/// Base64url without padding, as RFC 4648 has it: no other letters, no bits left over.
pub(crate) fn base64url(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes() {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
            .iter()
            .position(|known| *known == letter)?;
        held = held << 6 | u32::try_from(value).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits).ok()?);
            held &= (1 << bits) - 1;
        }
    }
    // A whole letter too many, or bits that say nothing.
    (bits < 6 && held == 0).then_some(bytes)
}
