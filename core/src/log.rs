//! Log records go to the callback that the host sets, and nowhere else.

use std::fmt;
use std::sync::Arc;

/// How much a record matters. The numbers are those of the C ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    /// Each request: method and URL.
    Debug = 10,
    /// Changes of state.
    Info = 20,
    /// Retries and reconnects.
    Warning = 30,
    /// What someone has to look at: a refused token, a malformed frame, a handler that failed.
    Error = 40,
}

/// Receives log records. Tokens, passports, challenges and nonces are never in them.
///
/// It is called on the library's threads, must not block and must not panic.
#[derive(Clone, Default)]
pub struct Logger(Option<Arc<dyn Fn(Level, &str) + Send + Sync>>, Option<Level>);

impl Logger {
    /// Sends every record to `sink`.
    pub fn new(sink: impl Fn(Level, &str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(sink)), None)
    }

    /// Leaves out what is below `level`; records that nobody wants are not even formatted.
    #[must_use]
    pub fn at_least(mut self, level: Level) -> Self {
        self.1 = Some(level);
        self
    }

    /// Hands a record to the host.
    pub fn log(&self, level: Level, message: fmt::Arguments<'_>) {
        if let Self(Some(sink), least) = self
            && least.is_none_or(|least| level >= least)
        {
            match message.as_str() {
                Some(text) => sink(level, text),
                None => sink(level, &message.to_string()),
            }
        }
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Logger(set)" } else { "Logger(none)" })
    }
}

macro_rules! debug { ($logger:expr, $($arg:tt)+) => { $logger.log($crate::log::Level::Debug, format_args!($($arg)+)) } }
macro_rules! info { ($logger:expr, $($arg:tt)+) => { $logger.log($crate::log::Level::Info, format_args!($($arg)+)) } }
macro_rules! warning { ($logger:expr, $($arg:tt)+) => { $logger.log($crate::log::Level::Warning, format_args!($($arg)+)) } }
macro_rules! error { ($logger:expr, $($arg:tt)+) => { $logger.log($crate::log::Level::Error, format_args!($($arg)+)) } }
pub(crate) use {debug, error, info, warning};
