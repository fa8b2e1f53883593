//! How far a login has come, for `onProgress`.

use std::sync::Arc;

use lime_core::{LoginProgress, LoginStage};
use napi_derive::napi;
use serde_json::json;

/// Made by `Agent.progress`, written by one login, read by whoever asks for its progress.
#[napi]
pub struct Progress {
    pub(crate) progress: Arc<LoginProgress>,
}

#[napi]
impl Progress {
    /// `[stage, hashes, difficulty, milliseconds elapsed, milliseconds left]` as JSON.
    #[napi(catch_unwind)]
    pub fn read(&self) -> String {
        let now = self.progress.snapshot();
        let stage = match now.stage {
            LoginStage::Challenge => "challenge",
            LoginStage::Pow => "pow",
            _ => "approve",
        };
        let (elapsed, left) = (now.elapsed.as_secs_f64() * 1000.0, now.left.as_secs_f64() * 1000.0);
        json!([stage, now.hashes, now.difficulty, elapsed, left]).to_string()
    }
}
