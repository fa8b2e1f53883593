//! How far a login has come, for `on_progress`.

use std::sync::Arc;

use guarded::guarded;
use lime_core::{LoginProgress, LoginStage};
use pyo3::prelude::*;

/// Made by `Agent.progress`, written by one login, read by whoever asks for its progress.
#[pyclass(frozen, module = "lime_sdk._native")]
pub(crate) struct Progress(pub(crate) Arc<LoginProgress>);

#[guarded]
#[pymethods]
impl Progress {
    /// `(stage, hashes, difficulty, seconds elapsed, seconds left)`.
    fn read(&self) -> (&'static str, u64, Option<i64>, f64, f64) {
        let now = self.0.snapshot();
        let stage = match now.stage {
            LoginStage::Challenge => "challenge",
            LoginStage::Pow => "pow",
            _ => "approve",
        };
        (stage, now.hashes, now.difficulty, now.elapsed.as_secs_f64(), now.left.as_secs_f64())
    }
}
