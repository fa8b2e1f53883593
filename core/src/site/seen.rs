//! Which events were handed on already: a platform may send one again, and it may have been asked for.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

/// At least this many events are remembered, at most twice as many.
const REMEMBERED: usize = 8192;

/// The latest events, as keyed hashes of 64 bits: nobody outside can make two that collide, and by chance one
/// event in 10^15 would be taken for another. Two generations, so that forgetting costs nothing.
#[derive(Default)]
pub(super) struct Seen {
    key: RandomState,
    young: Hashes,
    old: Hashes,
}

/// How a login request ended, for whoever was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum End {
    SignedIn,
    Expired,
    /// The host was told that nobody knows.
    Lost,
}

type Hashes = HashSet<u64, BuildHasherDefault<Itself>>;

impl Seen {
    /// Remembers an event; false when it was there already.
    pub(super) fn insert(&mut self, request_id: &str, end: End) -> bool {
        let hash = self.key.hash_one((request_id, end));
        if self.old.contains(&hash) || !self.young.insert(hash) {
            return false;
        }
        if self.young.len() >= REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        true
    }

    /// Whether an end of this login request is remembered.
    pub(super) fn has_end_of(&self, request_id: &str) -> bool {
        [End::SignedIn, End::Expired, End::Lost].iter().any(|end| {
            let hash = self.key.hash_one((request_id, end));
            self.old.contains(&hash) || self.young.contains(&hash)
        })
    }
}

/// What is a hash needs none.
#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_new_once_and_its_kind_counts() {
        let mut seen = Seen::default();
        assert!(!seen.has_end_of("lr_1"));
        assert!(seen.insert("lr_1", End::SignedIn));
        assert!(!seen.insert("lr_1", End::SignedIn));
        assert!(seen.insert("lr_1", End::Expired) && seen.insert("lr_2", End::Lost));
        assert!(seen.has_end_of("lr_1") && seen.has_end_of("lr_2") && !seen.has_end_of("lr_3"));
    }

    #[test]
    fn the_latest_are_remembered_and_the_memory_is_bounded() {
        let mut seen = Seen::default();
        for number in 0..10 * REMEMBERED {
            assert!(seen.insert(&number.to_string(), End::Expired));
            assert!(seen.young.len() + seen.old.len() <= 2 * REMEMBERED);
            if number >= REMEMBERED {
                assert!(seen.has_end_of(&(number - REMEMBERED + 1).to_string()));
            }
        }
        assert!(!seen.has_end_of("0"));
    }
}
