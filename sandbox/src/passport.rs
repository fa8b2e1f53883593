//! Passports: the RS256 JWTs that tell a site which agent has logged in.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::ids;
use crate::keys::SigningKey;
use crate::settings::{ProfileForm, Settings};
use crate::state::Agent;

/// The audience of a site-login passport.
const AUDIENCE: &str = "lime-site-login";

/// A signed passport and the second at which it runs out.
#[derive(Debug, Clone)]
pub(crate) struct Passport {
    pub(crate) jwt: String,
    pub(crate) exp: i64,
}

/// Mints a passport for one approved request. `None` when the library refuses to sign.
pub(crate) fn mint(
    key: &SigningKey,
    settings: &Settings,
    origin: &str,
    now: Timestamp,
    agent: &Agent,
    request_id: &str,
    site_id: &str,
) -> Option<Passport> {
    let iat = now.as_second();
    let exp = iat.saturating_add(settings.passport_ttl_seconds);
    let mut claims = Map::new();
    if settings.issuer {
        let issuer = settings.issuer_override.as_deref().unwrap_or(origin);
        claims.insert("iss".into(), issuer.into());
    }
    claims.insert("sub".into(), agent.agent_id.as_str().into());
    claims.insert("aud".into(), AUDIENCE.into());
    claims.insert("iat".into(), iat.into());
    claims.insert("nbf".into(), iat.into());
    claims.insert("exp".into(), exp.into());
    claims.insert("jti".into(), ids::uuid().into());
    claims.insert("request_id".into(), request_id.into());
    claims.insert("site_id".into(), site_id.into());
    if settings.profile_form != ProfileForm::Today {
        claims.insert("owner_id".into(), agent.owner_id.as_str().into());
    }
    if settings.profile_form != ProfileForm::Seed {
        claims.insert("user_id".into(), agent.owner_id.as_str().into());
    }
    let jwt = key.jwt(&Value::Object(claims))?;
    Some(Passport { jwt, exp })
}
