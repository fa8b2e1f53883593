//! `lime_sdk._native`: what the Python packages are thin over.
//!
//! No thread of the library ever touches Python. Whatever happens on them is put into the queue of an
//! event loop ([`queue`]), which wakes the loop once for many things; so there is no lock order to get
//! wrong, nothing to attach to at interpreter exit, and the loop's own thread does all the Python.
//!
//! `gil_used = false`: every class here is frozen and what changes in it is behind a mutex or an atomic,
//! numbers come from one atomic counter ([`queue::new_id`]), and no lock of ours is held while Python
//! runs. That was read, not run: no free-threaded interpreter was at hand, and abi3 wheels do not load
//! in one (before abi3t), so that nobody gets there without building from source.

mod agent;
mod blocking;
mod convert;
mod error;
mod fault;
mod host;
mod logging;
mod mcp_target;
mod outcome;
mod pow;
mod progress;
mod queue;
mod sans_io;
mod sesame;
mod site;
mod token_verifier;
mod webhook;

use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// Python objects that are kept in statics are one interpreter's. `CPython` sees to that from 3.12 on, where
/// an interpreter has a lock of its own; pyo3 does not. `lime_sdk._lazy` says what to do about it.
fn refuse_a_second_interpreter(py: Python<'_>) -> PyResult<()> {
    static OWNER: AtomicUsize = AtomicUsize::new(0);
    // Each interpreter has a `sys` of its own, for as long as it lives.
    let own = py.import("sys")?.as_ptr() as usize;
    match OWNER.compare_exchange(0, own, Ordering::SeqCst, Ordering::SeqCst) {
        Err(owner) if owner != own => {
            Err(PyImportError::new_err("lime_sdk._native does not support loading in subinterpreters"))
        }
        _ => Ok(()),
    }
}

#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    refuse_a_second_interpreter(module.py())?;
    lime_core::fault::keep_quiet();
    module.add("VERSION", lime_core::VERSION)?;
    module.add("ERROR_KINDS", error::kinds())?;
    module.add_class::<queue::Queue>()?;
    module.add_class::<queue::EventBatch>()?;
    module.add_class::<progress::Progress>()?;
    module.add_class::<site::Site>()?;
    module.add_class::<agent::Agent>()?;
    module.add_class::<sesame::Sesame>()?;
    module.add_class::<token_verifier::TokenKeys>()?;
    module.add_class::<token_verifier::TokenVerifier>()?;
    module.add_class::<webhook::ReplayGuard>()?;
    module.add_class::<host::HostTransport>()?;
    module.add_class::<sans_io::EventParser>()?;
    module.add_function(wrap_pyfunction!(queue::cancel, module)?)?;
    module.add_function(wrap_pyfunction!(queue::new_id, module)?)?;
    module.add_function(wrap_pyfunction!(logging::set_log_level, module)?)?;
    module.add_function(wrap_pyfunction!(mcp_target::extract_and_normalize_domain, module)?)?;
    module.add_function(wrap_pyfunction!(mcp_target::resolve_mcp_http_url, module)?)?;
    module.add_function(wrap_pyfunction!(pow::solve_pow, module)?)?;
    module.add_function(wrap_pyfunction!(sans_io::open_envelope, module)?)?;
    module.add_function(wrap_pyfunction!(sans_io::parse_timestamp, module)?)?;
    module.add_function(wrap_pyfunction!(sans_io::parse_frame, module)?)?;
    module.add_function(wrap_pyfunction!(sans_io::verify_passport, module)?)?;
    module.add_function(wrap_pyfunction!(sans_io::verify_binding_passport, module)?)?;
    module.add_function(wrap_pyfunction!(token_verifier::verify_access_token, module)?)?;
    module.add_function(wrap_pyfunction!(token_verifier::normalize_mcp_domain, module)?)?;
    module.add_function(wrap_pyfunction!(token_verifier::bearer_token, module)?)?;
    module.add_function(wrap_pyfunction!(token_verifier::token_refusal, module)?)?;
    module.add_function(wrap_pyfunction!(webhook::verify_webhook, module)?)?;
    module.add_function(wrap_pyfunction!(webhook::sign_webhook, module)?)?;
    #[cfg(debug_assertions)]
    fault::on_purpose::add_to(module)?;
    Ok(())
}
