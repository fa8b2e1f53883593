//! Text that must not be seen: wiped on drop, absent from `Debug`.

use std::fmt;

use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

/// A token or a key.
#[derive(Clone)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// As the value of a header, behind `scheme`: wiped when the request is gone, absent from its `Debug`.
    pub(crate) fn header(&self, scheme: &str) -> Option<HeaderValue> {
        // At its size from the start: growing would leave a copy behind.
        let mut text = Zeroizing::new(Vec::with_capacity(scheme.len() + self.0.len()));
        text.extend_from_slice(scheme.as_bytes());
        text.extend_from_slice(self.0.as_bytes());
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_nowhere() {
        let secret = Secret::new("st_secret");
        let header = secret.header("Bearer ").unwrap();
        assert_eq!(header, "Bearer st_secret");
        assert!(!format!("{secret:?} {header:?}").contains("st_"));
        assert_eq!(Secret::new("a\nb").header(""), None);
    }
}
