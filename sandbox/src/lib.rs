//! A local, stateful emulation of the LIME platform and the Sesame broker, for demos and tests.
//!
//! One HTTP server on 127.0.0.1 speaks the platforms' protocols as their clients know them: login
//! requests are made, challenged, approved, delivered over event streams and expire; passports
//! are signed with real RSA keys that can be rotated; approvals are asked for, waited for, decided
//! by people or rules, told by signed webhooks, and kept over restarts. A fault plan makes requests and streams
//! fail on demand, a virtual clock makes time pass on demand, and a control API (over HTTP, or
//! the methods of [`Sandbox`]) drives all of it and shows what was received. People find an inbox
//! at the server's root.
//!
//! ```no_run
//! # async fn story() -> std::io::Result<()> {
//! use lime_sandbox::{Fault, Options, Sandbox};
//!
//! let sandbox = Sandbox::start(Options::new()).await?;
//! println!("LIME_API_BASE={}", sandbox.lime_api_base());
//! // The first approve call happens, but its answer is lost.
//! sandbox.add_fault(Fault::on("approve").drop_after()).map_err(std::io::Error::other)?;
//! # Ok(())
//! # }
//! ```
//!
//! The same server is the binary `lime-sandbox`; its README documents the HTTP control API.

#![forbid(unsafe_code)]

mod accounts;
mod api;
mod clock;
mod connection;
mod control;
mod envelope;
mod error;
mod events;
mod fault;
mod faults;
mod guard;
mod ids;
mod inject;
mod keys;
mod login;
mod mcp_domain;
mod mcp_token;
mod options;
mod page;
mod passport;
mod pow;
mod received;
mod routes;
mod sandbox;
mod server;
mod sesame;
mod settings;
mod sse;
mod state;

pub use clock::{ClockChange, ClockState};
pub use error::ControlError;
pub use events::{SiteStreams, Streams};
pub use fault::{Fault, FaultAction};
pub use faults::FaultState;
pub use login::{LoginRequest, LoginStatus};
pub use mcp_token::{McpToken, NewMcpToken};
pub use options::{Options, OptionsError};
pub use received::{Answer, Received, Unanswered};
pub use sandbox::{Info, Sandbox};
pub use sesame::{
    ApiKey, Approval, ApprovalStatus, Decision, Rule, RuleState, Undelivered, Webhook, WebhookStatus,
};
pub use settings::{DateForm, JwksForm, McpFailureForm, Platform, PowDigest, ProfileForm, Settings};
pub use state::{Agent, NewAgent, Site};
