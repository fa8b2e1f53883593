//! Who may ask: API keys with a label for the people who decide.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Detail, Record};
use crate::error::ControlError;
use crate::ids;
use crate::state::Core;

/// An API key of the broker. What it has asked for, no other key sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// The key's UUID: names it where the secret must not stand.
    pub key_id: String,
    /// The secret.
    pub api_key: String,
    /// Who asks, for people.
    pub label: Option<String>,
}

/// All keys; the first one stays when the sandbox is reset.
#[derive(Debug)]
pub(crate) struct ApiKeys {
    first: ApiKey,
    more: Vec<ApiKey>,
    /// The place in `more` of a secret.
    by_secret: HashMap<String, usize>,
}

impl ApiKeys {
    pub(super) fn new(first: ApiKey) -> Self {
        Self { first, more: Vec::new(), by_secret: HashMap::new() }
    }

    /// The first one comes first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ApiKey> {
        std::iter::once(&self.first).chain(&self.more)
    }

    pub(super) fn insert(&mut self, key: ApiKey) {
        self.by_secret.insert(key.api_key.clone(), self.more.len());
        self.more.push(key);
    }

    fn by_secret(&self, secret: &str) -> Option<&ApiKey> {
        if secret == self.first.api_key {
            return Some(&self.first);
        }
        self.more.get(*self.by_secret.get(secret)?)
    }

    /// The key in an `Authorization` header.
    pub(crate) fn authenticate(&self, authorization: Option<&str>) -> Result<&ApiKey, Detail> {
        let authorization = authorization.map(str::trim).filter(|text| !text.is_empty());
        let (scheme, secret) = authorization
            .ok_or(Detail::API_KEY_MISSING)?
            .split_once(char::is_whitespace)
            .ok_or(Detail::API_KEY_MISSING)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Detail::API_KEY_MISSING);
        }
        self.by_secret(secret.trim()).ok_or(Detail::API_KEY_INVALID)
    }

    /// The id of the key that a request comes with, if it does.
    pub(crate) fn id_in(&self, authorization: Option<&str>) -> Option<&str> {
        self.authenticate(authorization).ok().map(|key| key.key_id.as_str())
    }
}

impl Core {
    pub(crate) fn add_api_key(&self, label: Option<String>) -> Result<ApiKey, ControlError> {
        let key = ApiKey { key_id: ids::uuid(), api_key: ids::api_key(), label };
        self.change(|state| {
            state.broker.write(&[Record::ApiKey(key.clone())]).map_err(ControlError::not_written)?;
            state.broker.keys.insert(key.clone());
            Ok(key)
        })
    }
}
