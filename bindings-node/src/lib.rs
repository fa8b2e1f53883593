//! `lime.node`: what the npm package is thin over. The TypeScript in `bindings-node/ts` is what people see.
//!
//! No thread of the library ever touches JavaScript. Whatever happens on them is written into the queue
//! of a JavaScript environment ([`queue`]), which wakes the environment's thread once for many things; and
//! what it calls there is one function of ours, which calls the program's with `try` around it.
//!
//! What goes through is text, numbers and bytes, copied. Structured things are JSON: one `JSON.parse` for
//! all that a wake-up brings costs less than building the objects one by one from here.

// What JavaScript is to see has to be `pub` for the macro, though no crate ever links this one.
#![allow(unreachable_pub)]
// It hands values over, and so does the core.
#![allow(clippy::needless_pass_by_value)]
// There the macro registers nothing.
#![cfg_attr(test, allow(dead_code))]

mod agent;
mod convert;
mod error;
mod fault;
mod host;
mod mcp_target;
mod pow;
mod progress;
mod queue;
mod sans_io;
mod sesame;
mod site;
mod token_verifier;
mod webhook;

use napi_derive::napi;

/// The API root of whoever was told none.
#[napi(catch_unwind)]
pub fn default_api_root() -> &'static str {
    lime_core::config::DEFAULT_API_BASE
}

/// The library's version.
#[napi(catch_unwind)]
pub fn version() -> &'static str {
    lime_core::VERSION
}
