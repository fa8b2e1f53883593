//! What can go wrong with a control operation.

use std::fmt;

/// Why a control operation was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlError {
    /// There is no such thing with that id.
    NotFound(String),
    /// The thing exists, but its state does not allow the operation.
    Conflict(String),
    /// The operation's arguments make no sense.
    Invalid(String),
    /// The sandbox could not do it.
    Failed(String),
}

impl ControlError {
    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound(what.into())
    }

    pub(crate) fn conflict(what: impl Into<String>) -> Self {
        Self::Conflict(what.into())
    }

    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid(what.into())
    }

    /// A change that could not be written to the state file, and so has not happened.
    #[allow(clippy::needless_pass_by_value)] // for `map_err`
    pub(crate) fn not_written(error: std::io::Error) -> Self {
        Self::Failed(format!("the state file could not be written: {error}"))
    }
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(text) | Self::Conflict(text) | Self::Invalid(text) | Self::Failed(text) => {
                f.write_str(text)
            }
        }
    }
}

impl std::error::Error for ControlError {}
