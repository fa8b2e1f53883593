//! The fuzz targets. Each takes bytes of any kind, makes of them what its subject takes, and panics where the
//! subject does not do what it must. What it must is said in the target once more, in other words than the
//! library's: plainly, slowly, by other crates where there are some.
//!
//! A target calls what is public in `lime-core`, or the C ABI, and nothing else.

// A panic is how a target says that something is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../fuzz_targets/abi/mod.rs"]
pub mod abi;
#[path = "../fuzz_targets/base_url.rs"]
pub mod base_url;
#[path = "../fuzz_targets/envelope.rs"]
pub mod envelope;
#[path = "../fuzz_targets/jwks.rs"]
pub mod jwks;
#[path = "../fuzz_targets/mcp.rs"]
pub mod mcp;
#[path = "../fuzz_targets/passport.rs"]
pub mod passport;
#[path = "../fuzz_targets/pow.rs"]
pub mod pow;
#[path = "../fuzz_targets/sse.rs"]
pub mod sse;
#[path = "../fuzz_targets/timestamp.rs"]
pub mod timestamp;
#[path = "../fuzz_targets/token.rs"]
pub mod token;
#[path = "../fuzz_targets/verify_webhook.rs"]
pub mod verify_webhook;

mod json;
mod network;
mod signer;

use arbitrary::{Arbitrary, Unstructured};

/// A target, as the short run takes it.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Runs it once.
    pub run: fn(&[u8]),
    /// How many inputs the short run makes: a few seconds' worth.
    pub short_runs: u64,
    /// Texts that mean something to it.
    pub words: &'static [&'static str],
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "abi", run: abi::run, short_runs: 3_000, words: &[] },
    Target { name: "base_url", run: base_url::run, short_runs: 40_000, words: base_url::WORDS },
    Target { name: "envelope", run: envelope::run, short_runs: 100_000, words: envelope::WORDS },
    Target { name: "jwks", run: jwks::run, short_runs: 40_000, words: jwks::WORDS },
    Target { name: "mcp", run: mcp::run, short_runs: 20_000, words: mcp::WORDS },
    Target { name: "passport", run: passport::run, short_runs: 8_000, words: passport::WORDS },
    Target { name: "pow", run: pow::run, short_runs: 4_000, words: &[] },
    Target { name: "sse", run: sse::run, short_runs: 60_000, words: sse::WORDS },
    Target { name: "timestamp", run: timestamp::run, short_runs: 150_000, words: timestamp::WORDS },
    Target { name: "token", run: token::run, short_runs: 20_000, words: token::WORDS },
    Target { name: "verify_webhook", run: verify_webhook::run, short_runs: 60_000, words: &[] },
];

/// An input that is made of bytes by its type; none where there are too few.
fn made<'a, T: Arbitrary<'a>>(data: &'a [u8]) -> Option<T> {
    T::arbitrary_take_rest(Unstructured::new(data)).ok()
}

/// A number that depends on every byte, for choices that are nobody's to make.
fn mixed(data: &[u8]) -> u64 {
    data.iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
