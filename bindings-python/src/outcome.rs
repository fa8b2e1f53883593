//! What a finished call gives, as Python sees it: the same for a loop's queue and for a thread that waits.

use std::sync::Arc;

use lime_core::token_verifier::metadata::Authority;
use lime_core::{
    AgentProfile, Approval, ApprovalResult, BindingRequest, Error, LoginEvent, LoginRequest,
    LoginRequestStatus, McpAccessToken, McpResult, Passport, VerifiedToken,
};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::{convert, error, sesame, token_verifier};

/// The result of a call.
pub(crate) enum Outcome {
    LoginRequest(Result<LoginRequest, Error>),
    LoginRequestStatus(Result<LoginRequestStatus, Error>),
    Passport(Result<Passport, Error>),
    BindingRequest(Result<BindingRequest, Error>),
    BindingPassport(Result<String, Error>),
    LoginEvent(Result<LoginEvent, Error>),
    Approval(Result<ApprovalResult, Error>),
    Profile(Result<AgentProfile, Error>),
    McpAccessToken(Result<McpAccessToken, Error>),
    Mcp(Result<McpResult, Error>),
    SesameApproval(Result<Approval, Error>),
    VerifiedToken(Result<VerifiedToken, Error>),
    TokenKeys(Result<Arc<Authority>, Error>),
    Nothing(Result<(), Error>),
    /// One that cannot be made.
    #[cfg(debug_assertions)]
    Panicking,
}

/// A value, or the exception to raise.
type Value<'py> = Result<Bound<'py, PyAny>, Bound<'py, PyAny>>;

impl Outcome {
    /// The value, or the exception to raise. `Err` is a failure to make either.
    pub(crate) fn value(self, py: Python<'_>) -> PyResult<Value<'_>> {
        match self {
            Self::LoginRequest(result) => lime(py, result, |request| {
                tupled(py, (request.request_id, request.status, convert::timestamp(request.expires_at)))
            }),
            Self::LoginRequestStatus(result) => lime(py, result, |status| {
                tupled(py, (status.request_id, status.status, status.expires_at.map(convert::timestamp)))
            }),
            Self::Passport(result) => {
                lime(py, result, |passport| Ok(convert::dict(py, &passport.claims)?.into_any()))
            }
            Self::BindingRequest(result) => lime(py, result, |request| {
                let expires_at = convert::timestamp(request.expires_at);
                tupled(py, (request.binding_id, request.connect_url, request.status, expires_at))
            }),
            Self::BindingPassport(result) => {
                lime(py, result, |passport| Ok(passport.into_pyobject(py)?.into_any()))
            }
            Self::LoginEvent(result) => {
                lime(py, result, |event| tupled(py, (event.request_id, event.passport)))
            }
            Self::Approval(result) => lime(py, result, |approval| {
                let expires_at = convert::timestamp(approval.expires_at);
                let ApprovalResult { request_id, site_id, status, approved_agent_id, .. } = approval;
                tupled(py, (request_id, site_id, status, expires_at, approved_agent_id))
            }),
            Self::Profile(result) => {
                lime(py, result, |profile| Ok(convert::dict(py, &profile.data)?.into_any()))
            }
            Self::McpAccessToken(result) => lime(py, result, |token| {
                tupled(py, (token.access_token, token.expires_in, token.issued_at.as_secs_f64()))
            }),
            Self::Mcp(result) => lime(py, result, |result| Ok(PyString::new(py, result.json()).into_any())),
            Self::VerifiedToken(result) => {
                lime(py, result, |token| Ok(convert::dict(py, &token.claims)?.into_any()))
            }
            Self::TokenKeys(result) => lime(py, result, |keys| token_verifier::document(py, &keys)),
            Self::Nothing(result) => lime(py, result, |()| Ok(py.None().into_bound(py))),
            Self::SesameApproval(Ok(approval)) => Ok(Ok(sesame::approval(py, approval)?.into_any())),
            Self::SesameApproval(Err(error)) => Ok(Err(error::sesame_exception(py, &error)?)),
            #[cfg(debug_assertions)]
            Self::Panicking => panic!("on purpose"),
        }
    }
}

fn lime<'py, T>(
    py: Python<'py>,
    result: Result<T, Error>,
    convert: impl FnOnce(T) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Value<'py>> {
    match result {
        Ok(value) => convert(value).map(Ok),
        Err(error) => error::exception(py, &error).map(Err),
    }
}

fn tupled<'py, T>(py: Python<'py>, value: T) -> PyResult<Bound<'py, PyAny>>
where
    T: IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>>,
    PyErr: From<T::Error>,
{
    Ok(value.into_pyobject(py)?.into_any())
}
