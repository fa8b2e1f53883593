//! Proof of work: the smallest decimal nonce whose SHA-256 begins with enough zero bits.
//!
//! The message is laid out once, as the padded block that the hash function sees; the digits of the
//! nonce are counted up in place, and only as many words of the state are looked at as the difficulty
//! needs. Whole blocks of the message before the nonce are hashed once. Where the CPU has instructions for
//! SHA-256, nonces are tried ten at a time (`sha_x86`, `sha_aarch64`); elsewhere sha2's block function is what
//! there is.

mod layout;
#[cfg_attr(target_arch = "x86_64", path = "pow/sha_x86.rs")]
#[cfg_attr(target_arch = "aarch64", path = "pow/sha_aarch64.rs")]
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), path = "pow/sha_none.rs")]
mod sha;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::runtime::{Runtime, WeakRuntime};
use crate::{Error, ErrorKind, Operation, Result};
use layout::Layout;

/// What goes into the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum PowDigest {
    /// `SHA-256(challenge ‖ nonce)`
    Seed = 1,
    /// `SHA-256("lime:pow:v1\0" ‖ challenge ‖ "\0" ‖ nonce)`
    Today = 2,
}

impl PowDigest {
    /// The bytes before the nonce.
    fn prefix(self, challenge: &str) -> Vec<u8> {
        match self {
            Self::Seed => challenge.as_bytes().to_vec(),
            Self::Today => [b"lime:pow:v1\0".as_slice(), challenge.as_bytes(), b"\0"].concat(),
        }
    }
}

/// How to search.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What goes into the hash.
    pub digest: PowDigest,
    /// Wall-clock budget.
    pub timeout: Duration,
    /// How many threads search; the result is the same for any number.
    pub threads: usize,
}

/// More bits than a digest has.
const MOST_DIFFICULT: i64 = 256;

/// More threads than that are a mistake, and would be paid for.
const MOST_THREADS: usize = 256;

/// Nonces between two looks at the clock and at `cancel`: well under a millisecond. A multiple of ten.
const STRIDE: u64 = 4000;

/// Finds the smallest nonce, as decimal text. Runs on the calling thread (and on `threads − 1` more);
/// ends within a millisecond of `cancel` being set or of the budget's end.
///
/// # Errors
/// [`ErrorKind::PowTimeout`], [`ErrorKind::Cancelled`], or [`ErrorKind::PowDifficulty`] at once when
/// no digest can meet the difficulty.
///
/// ```
/// use lime_core::agent::pow::{self, PowDigest};
/// use std::{sync::atomic::AtomicBool, time::Duration};
///
/// let options = pow::Options { digest: PowDigest::Seed, timeout: Duration::from_secs(10), threads: 1 };
/// assert_eq!(pow::solve("abc", 0, options, &AtomicBool::new(false)).unwrap(), "0");
/// ```
pub fn solve(challenge: &str, difficulty: i64, options: Options, cancel: &AtomicBool) -> Result<String> {
    solve_counted(challenge, difficulty, options, cancel, &AtomicU64::new(0))
}

/// Like [`solve`], and another thread can see in `tried` how many nonces were taken up so far. It is the
/// counter that the search itself takes its nonces from, a few thousand at a time: reading it costs the
/// search nothing. It should begin at 0: smaller nonces are not looked at.
///
/// # Errors
/// As [`solve`].
pub fn solve_counted(
    challenge: &str,
    difficulty: i64,
    options: Options,
    cancel: &AtomicBool,
    tried: &AtomicU64,
) -> Result<String> {
    if difficulty <= 0 {
        return Ok("0".to_owned());
    }
    if difficulty > MOST_DIFFICULT {
        let message = format!("No proof of work has difficulty {difficulty}");
        return Err(Error::new(ErrorKind::PowDifficulty, message).with_code("POW_DIFFICULTY"));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 1 to 256
    let zero_bits = difficulty as u32;
    let prefix = options.digest.prefix(challenge);
    let deadline = Instant::now().checked_add(options.timeout);
    let search =
        Search { prefix: &prefix, zero_bits, deadline, cancel, next: tried, found: AtomicU64::new(u64::MAX) };
    if options.threads <= 1 {
        search.run();
    } else {
        std::thread::scope(|scope| {
            for _ in 1..options.threads.min(MOST_THREADS) {
                // A thread that the system refuses is made up for by the others.
                let _ = std::thread::Builder::new().spawn_scoped(scope, || search.run());
            }
            search.run();
        });
    }
    match search.found.into_inner() {
        u64::MAX if cancel.load(Ordering::Relaxed) => Err(Error::cancelled()),
        u64::MAX => {
            let seconds = options.timeout.as_secs_f64();
            let message = format!("PoW not solved within {seconds:?}s (difficulty={difficulty})");
            Err(Error::new(ErrorKind::PowTimeout, message))
        }
        nonce => Ok(nonce.to_string()),
    }
}

/// Like [`solve`], on a thread of this library. Cancelling or dropping the operation ends the search
/// within a millisecond.
///
/// ```
/// use lime_core::agent::pow::{self, PowDigest};
/// use std::time::Duration;
///
/// let options = pow::Options { digest: PowDigest::Seed, timeout: Duration::from_secs(10), threads: 1 };
/// assert_eq!(pow::search("abc", 0, options).wait().unwrap(), "0");
/// ```
pub fn search(challenge: &str, difficulty: i64, options: Options) -> Operation<String> {
    let challenge = challenge.to_owned();
    Operation::from_result(Runtime::acquire().map(|runtime| {
        let weak = runtime.downgrade();
        let found = async move {
            on_worker(&weak, move |cancel| solve(&challenge, difficulty, options, cancel)).await
        };
        Operation::new(runtime, found)
    }))
}

/// Runs a search on a worker thread, as soon as one of the places that the cores have is free; drop the
/// future and the search ends.
pub(super) async fn on_worker(
    runtime: &WeakRuntime,
    search: impl FnOnce(&AtomicBool) -> Result<String> + Send + 'static,
) -> Result<String> {
    let permits = runtime.upgrade().ok_or_else(Error::closed)?.pow_permits();
    let _permit = permits.acquire_owned().await.map_err(|_| Error::closed())?;
    let cancel = Arc::new(AtomicBool::new(false));
    // The search looks at it every few dozen microseconds.
    let _cancel_on_drop = SetOnDrop(Arc::clone(&cancel));
    let search = tokio::task::spawn_blocking(move || search(&cancel));
    search.await.unwrap_or_else(|_| Err(Error::internal("The proof of work ended early")))
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A search shared by its threads: each takes the next stride of nonces until a smaller one cannot come.
struct Search<'a> {
    prefix: &'a [u8],
    zero_bits: u32,
    deadline: Option<Instant>,
    cancel: &'a AtomicBool,
    next: &'a AtomicU64,
    found: AtomicU64,
}

impl Search<'_> {
    fn run(&self) {
        let mut layout = Layout::new(self.prefix);
        loop {
            if self.cancel.load(Ordering::Relaxed)
                || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
            {
                return;
            }
            // A stride that was taken is searched to its end: the smallest nonce may be in it.
            let first = self.next.fetch_add(STRIDE, Ordering::Relaxed);
            if first >= self.found.load(Ordering::Relaxed) {
                return;
            }
            if let Some(nonce) = layout::search(&mut layout, first, STRIDE, self.zero_bits) {
                self.found.fetch_min(nonce, Ordering::Relaxed);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::Digest as _;

    fn options(digest: PowDigest, threads: usize) -> Options {
        Options { digest, timeout: Duration::from_secs(60), threads }
    }

    /// As the published solver does it: one digest of one formatted text after the other.
    fn plainly(challenge: &str, difficulty: usize, digest: PowDigest) -> String {
        let prefix = digest.prefix(challenge);
        (0..u64::MAX)
            .map(|nonce| nonce.to_string())
            .find(|nonce| {
                let digest = sha2::Sha256::digest([&prefix, nonce.as_bytes()].concat());
                let zeros = digest.iter().take_while(|byte| **byte == 0).count();
                let bits = zeros * 8 + digest.get(zeros).map_or(0, |byte| byte.leading_zeros() as usize);
                bits >= difficulty
            })
            .unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn finds_what_the_plain_search_finds(challenge in "\\PC{0,140}", difficulty in 1_u8..11, today: bool, threads in 1_usize..4) {
            let digest = if today { PowDigest::Today } else { PowDigest::Seed };
            let found = solve(&challenge, difficulty.into(), options(digest, threads), &AtomicBool::new(false)).unwrap();
            prop_assert_eq!(found, plainly(&challenge, difficulty.into(), digest));
        }
    }

    #[test]
    fn a_set_cancel_flag_ends_the_search() {
        let error = solve("x", 200, options(PowDigest::Seed, 2), &AtomicBool::new(true)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }

    #[test]
    fn the_nonces_that_were_taken_up_are_counted() {
        for threads in [1, 2] {
            let tried = AtomicU64::new(0);
            let search = options(PowDigest::Seed, threads);
            let nonce = solve_counted("x", 14, search, &AtomicBool::new(false), &tried).unwrap();
            let (nonce, tried): (u64, u64) = (nonce.parse().unwrap(), tried.into_inner());
            let needed = (nonce / STRIDE + 1) * STRIDE;
            if threads == 1 {
                assert_eq!(tried, needed);
            } else {
                // While the one with the solution in its stride has no processor, the other goes on.
                assert!(tried >= needed && tried % STRIDE == 0, "{tried} for nonce {nonce}");
            }
        }
    }

    #[test]
    fn the_budget_ends_the_search() {
        let budget = Options { timeout: Duration::from_millis(5), ..options(PowDigest::Today, 1) };
        let error = solve("x", 256, budget, &AtomicBool::new(false)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PowTimeout);
        assert_eq!(error.message(), "PoW not solved within 0.005s (difficulty=256)");
    }

    #[test]
    fn an_impossible_difficulty_is_refused_at_once() {
        let forever = Options { timeout: Duration::MAX, ..options(PowDigest::Seed, 1) };
        let error = solve("x", 257, forever, &AtomicBool::new(false)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PowDifficulty);
    }
}
