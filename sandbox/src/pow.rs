//! Checking proofs of work.

use sha2::{Digest, Sha256};

use crate::settings::PowDigest;

/// Whether `nonce` solves `challenge` at `difficulty` under the digest that the settings ask for.
pub(crate) fn is_solved(digest: PowDigest, challenge: &str, nonce: &str, difficulty: i64) -> bool {
    match digest {
        PowDigest::Seed => fits(seed(challenge, nonce), difficulty),
        PowDigest::Today => fits(today(challenge, nonce), difficulty),
        PowDigest::Either => {
            fits(seed(challenge, nonce), difficulty) || fits(today(challenge, nonce), difficulty)
        }
    }
}

/// `SHA-256(challenge ‖ nonce)`
fn seed(challenge: &str, nonce: &str) -> [u8; 32] {
    Sha256::new().chain_update(challenge).chain_update(nonce).finalize().into()
}

/// `SHA-256("lime:pow:v1\0" ‖ challenge ‖ "\0" ‖ nonce)`
fn today(challenge: &str, nonce: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"lime:pow:v1\0")
        .chain_update(challenge)
        .chain_update(b"\0")
        .chain_update(nonce)
        .finalize()
        .into()
}

/// `digest < 2^(256 − difficulty)`, which is "at least `difficulty` leading zero bits";
/// beyond 256 bits there is no such digest.
fn fits(digest: [u8; 32], difficulty: i64) -> bool {
    let mut zeros = 0_i64;
    for byte in digest {
        zeros += i64::from(byte.leading_zeros());
        if byte != 0 {
            break;
        }
    }
    zeros >= difficulty
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_leading_zero_bits() {
        let mut digest = [0_u8; 32];
        assert!(fits(digest, 256));
        assert!(!fits(digest, 257));
        digest[1] = 0b0001_0000;
        assert!(fits(digest, 11));
        assert!(!fits(digest, 12));
        assert!(fits([0xff; 32], 0));
        assert!(fits([0xff; 32], -3));
    }

    #[test]
    fn known_answers() {
        // SHA-256("abc") and the domain-separated form differ.
        assert_eq!(seed("ab", "c")[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_ne!(today("ab", "c"), seed("ab", "c"));
    }
}
