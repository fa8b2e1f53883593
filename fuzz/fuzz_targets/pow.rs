//! Proof of work: the nonce that is found is the smallest one, whatever stands before it, wherever its digits begin,
//! however many there are and however many threads search.
//!
//! What it is compared with hashes one formatted text after the other, by aws-lc. The search takes ten nonces at
//! a time (the kernel) where its first one is a multiple of ten, and else one at a time (the portable way): each input
//! is searched both ways.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use arbitrary::Arbitrary;
use aws_lc_rs::digest::{Context, SHA256};
use lime_core::agent::pow::{self, Options, PowDigest};

use crate::made;

/// Difficulties for which a plain search takes no time.
const MOST_BITS: u8 = 11;
/// Where the first nonce may be at most, so that the numbers do not run out.
const LAST_START: u64 = u64::MAX - (1 << 32);

#[derive(Arbitrary, Debug)]
struct Puzzle {
    today: bool,
    bits: u8,
    threads: u8,
    start: Start,
    challenge: Challenge,
}

#[derive(Arbitrary, Debug)]
enum Start {
    /// Where every search begins.
    Zero,
    /// Just before there is one digit more.
    Before {
        power: u8,
        distance: u16,
    },
    Anywhere(u64),
}

#[derive(Arbitrary, Debug)]
enum Challenge {
    /// As long as this: what is in it does not matter to how it is laid out.
    Long(u8, char),
    Text(String),
}

/// Runs the target once.
///
/// # Panics
/// When the library is wrong.
pub fn run(data: &[u8]) {
    let Some(puzzle) = made::<Puzzle>(data) else { return };
    let (digest, before) = if puzzle.today {
        (PowDigest::Today, b"lime:pow:v1\0".as_slice())
    } else {
        (PowDigest::Seed, b"".as_slice())
    };
    let challenge = match &puzzle.challenge {
        Challenge::Long(length, c) => c.to_string().repeat(usize::from(*length)),
        Challenge::Text(text) => text.clone(),
    };
    let behind = if puzzle.today { b"\0".as_slice() } else { b"".as_slice() };
    let message = [before, challenge.as_bytes(), behind].concat();
    let bits = puzzle.bits % MOST_BITS + 1;
    let start = match puzzle.start {
        Start::Zero => 0,
        Start::Before { power, distance } => {
            10_u64.pow(u32::from(power % 20)).saturating_sub(distance.into())
        }
        Start::Anywhere(start) => start,
    }
    .min(LAST_START);
    let threads = usize::from(puzzle.threads % 3) + 1;
    for start in [start / 10 * 10, start / 10 * 10 + 1] {
        let options = Options { digest, timeout: Duration::from_secs(3600), threads };
        let next = AtomicU64::new(start);
        let found = pow::solve_counted(&challenge, bits.into(), options, &AtomicBool::new(false), &next);
        let wanted = (start..=u64::MAX).find(|nonce| zero_bits(&message, *nonce) >= bits.into()).unwrap();
        assert_eq!(found, Ok(wanted.to_string()), "from {start}: {puzzle:?}");
    }
}

fn zero_bits(message: &[u8], nonce: u64) -> u32 {
    let mut context = Context::new(&SHA256);
    context.update(message);
    context.update(nonce.to_string().as_bytes());
    let digest = context.finish();
    let zeros = digest.as_ref().iter().take_while(|byte| **byte == 0).count();
    u32::try_from(zeros).unwrap() * 8 + digest.as_ref().get(zeros).map_or(0, |byte| byte.leading_zeros())
}
