//! The one error type, and the one table of error kinds.
//!
//! The C constants, the Python and Node classes and the Go sentinels are made from [`ErrorKind::ALL`]:
//! a new kind is one line here.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

macro_rules! error_kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $name:literal;)+) => {
        /// What went wrong, as a number that stays the same in every release and every language.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(i32)]
        pub enum ErrorKind {
            $($(#[doc = $doc])+ $variant = $number,)+
        }

        impl ErrorKind {
            /// Every kind, by ascending number.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$variant,)+];

            /// The kind's name in `snake_case`; the C constant is `LIME_ERROR_` and the same in capitals.
            pub const fn name(self) -> &'static str {
                match self { $(ErrorKind::$variant => $name,)+ }
            }

            /// One or more sentences for the documentation of every language.
            pub const fn description(self) -> &'static str {
                match self { $(ErrorKind::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

error_kinds! {
    /// An argument is missing, not UTF-8, out of range or malformed; nothing was sent.
    InvalidArgument = 10, "invalid_argument";
    /// The client was closed before or during the call.
    Closed = 11, "closed";
    /// The operation was cancelled by its caller; what it had already sent may still take effect.
    Cancelled = 12, "cancelled";
    /// The caller's own deadline passed while waiting for something to happen.
    Timeout = 13, "timeout";
    /// A blocking call was made on the thread that would have to complete it.
    WouldDeadlock = 14, "would_deadlock";
    /// A fault of this library (a caught panic); the process and the client live on.
    Internal = 19, "internal";
    /// No usable HTTP answer: connection refused or reset, TLS failure, unknown host.
    Transport = 20, "transport";
    /// No HTTP answer within `timeout`, in the last of all attempts.
    TransportTimeout = 21, "transport_timeout";
    /// An HTTP answer that is not what the protocol says: not JSON, wrong shape, too large, a redirect.
    BadResponse = 22, "bad_response";
    /// A request that changes something was sent, and whether it took effect is not known; do not count it as failed.
    OutcomeUnknown = 23, "outcome_unknown";
    /// HTTP 429 or code `RATE_LIMIT_EXCEEDED`.
    RateLimit = 30, "rate_limit";
    /// A missing or refused token.
    Authentication = 31, "authentication";
    /// Any other error that the platform reports.
    Api = 32, "api";
    /// The broker does not know this approval.
    NotFound = 33, "not_found";
    /// The agent was switched off by its owner (code `AGENT_INACTIVE`); a case of a refused token.
    AgentInactive = 34, "agent_inactive";
    /// The account of the agent's owner is suspended (code `AGENT_USER_SUSPENDED`); a case of a refused token.
    AgentUserSuspended = 35, "agent_user_suspended";
    /// The platform cannot look at agents' tokens at the moment (code `AUTH_UNAVAILABLE`); nothing is wrong with this one.
    AuthUnavailable = 36, "auth_unavailable";
    /// The platform cannot look at sites' tokens at the moment (code `SITE_TOKEN_AUTH_UNAVAILABLE`); nothing is wrong with this one.
    SiteAuthUnavailable = 37, "site_auth_unavailable";
    /// A passport that must not be trusted: signature, key, audience, issuer or claims.
    InvalidPassport = 40, "invalid_passport";
    /// A passport that was good once and has expired.
    PassportExpired = 41, "passport_expired";
    /// An access token that an MCP server must not trust; the code says why.
    InvalidToken = 42, "invalid_token";
    /// The proof of work was not solved within its budget.
    PowTimeout = 50, "pow_timeout";
    /// The platform asked for a proof of work that nobody can solve (difficulty above 256).
    PowDifficulty = 51, "pow_difficulty";
    /// A human denied the operation, or nobody decided before the approval expired; it must not run.
    ApprovalDenied = 60, "approval_denied";
    /// A webhook that must not be trusted; the code says why.
    Webhook = 61, "webhook";
    /// The platform gives this agent no tokens for MCP servers: it lacks the grant `oauth:mcp`.
    OAuthCapability = 70, "oauth_capability";
    /// An MCP server refuses the token, also the new one that was fetched when it refused the first.
    McpAuthentication = 71, "mcp_authentication";
    /// An MCP server reports an error, as JSON-RPC or by its HTTP status; the code says which.
    Mcp = 72, "mcp";
}

impl ErrorKind {
    /// The stable number of the kind.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The more general kind that this one is a case of: whoever handles that one has handled this one, too.
    pub const fn parent(self) -> Option<Self> {
        match self {
            Self::AgentInactive | Self::AgentUserSuspended => Some(Self::Authentication),
            Self::AuthUnavailable | Self::SiteAuthUnavailable | Self::OAuthCapability => Some(Self::Api),
            Self::TransportTimeout => Some(Self::Transport),
            Self::PassportExpired => Some(Self::InvalidPassport),
            Self::PowDifficulty => Some(Self::PowTimeout),
            _ => None,
        }
    }
}

/// Why a call failed. Never carries a token, a key, a passport, a challenge or a nonce.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Fields>);

#[derive(Clone, PartialEq, Eq)]
struct Fields {
    kind: ErrorKind,
    message: String,
    code: Option<String>,
    http_status: Option<u16>,
    detail: Option<Map<String, Value>>,
    request_id: Option<String>,
    approval_id: Option<String>,
    retry_after: Option<Duration>,
}

impl Error {
    /// An error of this kind with this message and nothing else.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Fields {
            kind,
            message: message.into(),
            code: None,
            http_status: None,
            detail: None,
            request_id: None,
            approval_id: None,
            retry_after: None,
        }))
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// For people; programs match on [`kind`](Self::kind) and [`code`](Self::code).
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The platform's own code (`SITE_TOKEN_INVALID`), if it gave one.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The HTTP status of the answer that the error was read from.
    pub fn http_status(&self) -> Option<u16> {
        self.0.http_status
    }

    /// The platform's `detail` object.
    pub fn detail(&self) -> Option<&Map<String, Value>> {
        self.0.detail.as_ref()
    }

    /// The login request that the failed call was about.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// The approval that the failed call was about.
    pub fn approval_id(&self) -> Option<&str> {
        self.0.approval_id.as_deref()
    }

    /// How long the platform asked to wait before the next try (`Retry-After`).
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Sets the platform's code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// Sets the HTTP status.
    #[must_use]
    pub fn with_http_status(mut self, status: u16) -> Self {
        self.0.http_status = Some(status);
        self
    }

    /// Sets the `detail` object.
    #[must_use]
    pub fn with_detail(mut self, detail: Option<Map<String, Value>>) -> Self {
        self.0.detail = detail;
        self
    }

    /// Sets the login request that the call was about.
    #[must_use]
    pub fn with_request_id(mut self, request_id: impl Into<String>) -> Self {
        self.0.request_id = Some(request_id.into());
        self
    }

    /// Sets the approval that the call was about.
    #[must_use]
    pub fn with_approval_id(mut self, approval_id: impl Into<String>) -> Self {
        self.0.approval_id = Some(approval_id.into());
        self
    }

    /// Sets how long the platform asked to wait.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait;
        self
    }

    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "The client is closed")
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "The operation was cancelled")
    }

    pub(crate) fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message).with_code("INTERNAL")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = &self.0;
        f.debug_struct("Error")
            .field("kind", &fields.kind)
            .field("message", &fields.message)
            .field("code", &fields.code)
            .field("http_status", &fields.http_status)
            .field("detail", &fields.detail)
            .field("request_id", &fields.request_id)
            .field("approval_id", &fields.approval_id)
            .field("retry_after", &fields.retry_after)
            .finish()
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_unique_and_ascending() {
        let numbers: Vec<i32> = ErrorKind::ALL.iter().map(|kind| kind.number()).collect();
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(numbers, sorted);
        for kind in ErrorKind::ALL {
            assert!(kind.description().ends_with('.'), "{kind:?}");
            // One step is all that a binding has to follow.
            assert_eq!(kind.parent().and_then(ErrorKind::parent), None, "{kind:?}");
        }
    }
}
