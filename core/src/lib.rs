//! The client side of two platforms: LIME, where an AI agent signs in to a site without a browser,
//! and Sesame, where a human approves a sensitive operation before it runs.
//!
//! All protocol behaviour of the library lives in this crate; the C, Python, Node and Go layers call
//! only what is public here and add nothing to it but their language's habits.
//!
//! ```no_run
//! use lime_core::{AgentConfig, LimeAgent, LimeSite, PassportCheck, SiteConfig};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), lime_core::Error> {
//! let site = LimeSite::new(SiteConfig::default())?; // reads LIME_SITE_TOKEN
//! let request = site.create_login_request().wait()?;
//!
//! let agent = LimeAgent::new(AgentConfig::default())?; // reads LIME_AGENT_TOKEN
//! agent.login(&request.request_id).wait()?;
//!
//! let login = site.wait_for_login(&request.request_id, Duration::from_secs(120)).wait()?;
//! if let Some(jwt) = login.passport {
//!     let check = PassportCheck::default().expected_request_id(&request.request_id);
//!     let passport = site.verify_passport(&jwt, check).wait()?;
//!     println!("signed in: {}", passport.claims["agent_id"]);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Threads
//!
//! Nothing is started by importing the library or making a client. The first call that needs it
//! starts one runtime thread for the whole process, the first callback one dispatcher thread; both
//! end when the last client is closed. Every call returns an [`Operation`], which can be awaited
//! from any executor, waited for with [`Operation::wait`], or started with a completion callback.

// Allowed in the kernel of the proof of work, agent/pow/sha_*.rs, a file for each kind of CPU; a test sees to that.
#![deny(unsafe_code)]

pub mod agent;
mod api;
mod base_url;
mod client;
pub mod clock;
pub mod config;
mod dispatcher;
pub mod envelope;
mod environment;
pub mod error;
pub mod fault;
mod json;
pub mod log;
mod operation;
pub mod process;
mod retry;
mod runtime;
mod secret;
pub mod sesame;
mod signals;
pub mod site;
pub mod timestamp;
pub mod token_verifier;
pub mod transport;

pub use agent::{
    AgentProfile, ApprovalResult, LimeAgent, LoginProgress, LoginSnapshot, LoginStage, McpAccessToken,
    McpCall, McpResult, pow::PowDigest,
};
pub use config::{
    AgentConfig, JwksForm, Platform, PostRetry, PowChoice, SesameConfig, SiteConfig, TokenVerifierConfig,
};
pub use environment::Environment;
pub use error::{Error, ErrorKind};
pub use operation::{Operation, OperationId, cancel_operation, is_library_thread};
pub use sesame::{
    Sesame, WaitOptions,
    approval::{Approval, ApprovalRequest},
    webhook::{ReplayGuard, Webhook, WebhookVerifier},
};
pub use site::{
    LimeSite, LoginEvent, LoginRequest, LoginRequestStatus,
    binding::BindingRequest,
    catch_up::Gap,
    events::{Delivery, StreamState, StreamStatus},
    passport::{BindingCheck, Passport, PassportCheck},
};
pub use timestamp::Timestamp;
pub use token_verifier::{
    TokenKeys, TokenVerifier,
    token::{TokenCheck, VerifiedToken},
};

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The library's version, `MAJOR.MINOR.PATCH`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
