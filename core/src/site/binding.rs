//! Bindings: a person connects one of their agents with their account at a site.
//!
//! The site asks for a binding and sends the person's browser to the connect page; the person picks an agent
//! and comes back with a code; the site exchanges the code for a passport and verifies it.

use serde_json::{Map, Value, json};

use super::LimeSite;
use super::passport::{BindingCheck, Passport};
use crate::api::{self, Call, Doubt};
use crate::operation::Operation;
use crate::timestamp::Timestamp;
use crate::{Error, ErrorKind, Result, json as fields};

const REQUESTS: &str = "/modules/bindings/requests";
const EXCHANGE: &str = "/modules/bindings/exchange";

/// A binding that was just asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingRequest {
    /// To be kept beside the person's session before the browser is sent on.
    pub binding_id: String,
    /// Where the person's browser is to be sent, as it is.
    pub connect_url: String,
    /// `PENDING`.
    pub status: String,
    /// When it expires.
    pub expires_at: Timestamp,
}

impl BindingRequest {
    /// Reads the platform's `data`.
    ///
    /// # Errors
    /// [`ErrorKind::BadResponse`] when a field is missing.
    pub fn from_data(data: &Map<String, Value>) -> Result<Self> {
        Ok(Self {
            binding_id: fields::required_text(data, "binding_id")?,
            connect_url: fields::required_text(data, "connect_url")?,
            status: fields::required_text(data, "status")?,
            expires_at: Timestamp::parse(&fields::required_text(data, "expires_at")?)?,
        })
    }
}

impl LimeSite {
    /// Asks for a binding. Keep its `binding_id` beside the person's session, then send their browser to its
    /// `connect_url`. They come back to `redirect_uri`, an absolute `https` URL, with `?binding_code=`.
    ///
    /// Fails with [`ErrorKind::Api`] (code `VALIDATION_ERROR`) when the platform does not take the
    /// `redirect_uri`, and as [`create_login_request`](Self::create_login_request).
    pub fn create_binding_request(&self, redirect_uri: &str) -> Operation<BindingRequest> {
        let call = Call::post(REQUESTS, json!({ "redirect_uri": redirect_uri }).to_string()).new_today();
        self.0.lease.operation(&self.0, |site, runtime| async move {
            BindingRequest::from_data(&site.api.data(&runtime, &call).await?)
        })
    }

    /// Exchanges the code that a person came back with for the binding passport, which is not verified yet:
    /// give it to [`verify_binding_passport`](Self::verify_binding_passport). A code can be exchanged once.
    ///
    /// Fails with [`ErrorKind::Api`] for a code that is unknown, used or expired, and with
    /// [`ErrorKind::OutcomeUnknown`] when the code was sent and the answer got lost: it may be used up, so let
    /// the person start again.
    pub fn exchange_binding_code(&self, code: &str) -> Operation<String> {
        let call = Call::post(EXCHANGE, json!({ "binding_code": code }).to_string()).new_today();
        self.0.lease.operation(&self.0, |site, runtime| async move {
            let answer = site.api.call(&runtime, &call).await;
            let doubt = answer.doubt;
            answer
                .result
                .and_then(|reply| reply.data())
                .and_then(|data| fields::required_text(&data, "passport").map_err(|error| lost(&error)))
                .map_err(|error| if leaves_it_open(doubt, &error) { lost(&error) } else { error })
        })
    }

    /// Verifies a binding passport, fetching the platform's keys if they are not at hand.
    ///
    /// Fails as [`verify_passport`](Self::verify_passport).
    pub fn verify_binding_passport(&self, jwt: &str, check: BindingCheck) -> Operation<Passport> {
        self.verify(jwt, check.into())
    }

    /// Verifies a binding passport on the calling thread if its key is at hand and fresh, else `None`.
    pub fn verify_binding_passport_cached(
        &self,
        jwt: &str,
        check: &BindingCheck,
    ) -> Option<Result<Passport>> {
        self.verify_cached(jwt, &check.clone().into())
    }
}

/// Whether it is open what came of an exchange. Once an answer got lost, "unknown code" may well mean "used by
/// you"; after a fault of the platform's own, too.
fn leaves_it_open(doubt: Doubt, error: &Error) -> bool {
    if error.kind() == ErrorKind::OutcomeUnknown {
        return false;
    }
    match doubt {
        Doubt::None => false,
        Doubt::Faulty => matches!(error.http_status(), Some(400 | 404 | 409 | 410)),
        Doubt::Lost => true,
    }
}

fn lost(cause: &Error) -> Error {
    api::outcome_unknown("The binding code was sent, but whether it was exchanged is not known", cause)
}
