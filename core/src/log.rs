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
pub struct Logger(Option<Arc<Sink>>);

struct Sink {
    wants: Wants,
    take: Take,
}

type Wants = Box<dyn Fn(Level) -> bool + Send + Sync>;
type Take = Box<dyn Fn(Level, &str) + Send + Sync>;

impl Logger {
    /// Sends every record of `least` or more to `take`.
    pub fn new(least: Level, take: impl Fn(Level, &str) + Send + Sync + 'static) -> Self {
        Self::filtered(move |level| level >= least, take)
    }

    /// Asks `wants` each time; records that nobody wants are not even formatted.
    pub fn filtered(
        wants: impl Fn(Level) -> bool + Send + Sync + 'static,
        take: impl Fn(Level, &str) + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(Sink { wants: Box::new(wants), take: Box::new(take) })))
    }

    /// Hands a record to the host.
    pub fn log(&self, level: Level, message: fmt::Arguments<'_>) {
        if let Some(sink) = &self.0
            && (sink.wants)(level)
        {
            match message.as_str() {
                Some(text) => (sink.take)(level, text),
                None => (sink.take)(level, &message.to_string()),
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
