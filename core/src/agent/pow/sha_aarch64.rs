//! The first word of ten digests at a time, by the SHA-256 instructions of 64-bit ARM: what `sha_x86` is there.
//!
//! The ten messages differ in their last digit. Two of them are hashed side by side, since a round waits for the one
//! before it. What they have in common is done once: the rounds before the digits' first group of four words.

#![allow(unsafe_code)]
#![allow(clippy::many_single_char_names)] // the standard's own

use std::arch::aarch64::{
    uint32x4_t, vaddq_u32, vgetq_lane_u32, vld1q_u32, vsha256h2q_u32, vsha256hq_u32, vsha256su0q_u32,
    vsha256su1q_u32,
};

use super::layout::{BLOCK, K};

/// Whether this CPU has what [`Tens`] needs.
pub(super) fn is_there() -> bool {
    std::arch::is_aarch64_feature_detected!("sha2")
}

/// What all messages of a layout have in common.
#[derive(Clone, Copy)]
pub(super) struct Tens {
    /// The state after the rounds before the digits' first group.
    state: [u32; 8],
    /// That group, 0 to 3.
    group: usize,
    /// What the first word of the state was before the block.
    first_word: u32,
}

impl Tens {
    /// For messages whose block begins with the state `before` and has its digits from byte `digits` on; `after`
    /// is the state after the first `4 * (digits / 16)` rounds. None where the CPU cannot do it.
    pub(super) fn new(before: &[u32; 8], after: &[u32; 8], digits: usize) -> Option<Self> {
        is_there().then_some(Self { state: *after, group: digits / 16, first_word: before[0] })
    }

    /// For each of the ten values of the digit at byte `last`, which is '0' in `block`: the bit of that number is set
    /// if the first word of the digest, shifted right by `shift`, is 0.
    #[inline]
    pub(super) fn flags(&self, block: &[u8; BLOCK], last: usize, shift: u32) -> u16 {
        // SAFETY: `new` has made this only where the CPU has the instructions.
        unsafe {
            match (self.group, last / 16) {
                (0, 0) => self.ten::<0, 0>(block, last, shift),
                (0, 1) => self.ten::<0, 1>(block, last, shift),
                (0, _) => self.ten::<0, 2>(block, last, shift),
                (1, 1) => self.ten::<1, 1>(block, last, shift),
                (1, _) => self.ten::<1, 2>(block, last, shift),
                (2, 2) => self.ten::<2, 2>(block, last, shift),
                (2, _) => self.ten::<2, 3>(block, last, shift),
                _ => self.ten::<3, 3>(block, last, shift),
            }
        }
    }

    /// `FIRST`: the group in which the digits begin. `LAST`: the one with the last digit.
    #[target_feature(enable = "neon,sha2")]
    fn ten<const FIRST: usize, const LAST: usize>(
        &self,
        block: &[u8; BLOCK],
        last: usize,
        shift: u32,
    ) -> u16 {
        let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| block[4 * at + byte]));
        let mut words = [0, 4, 8, 12].map(|at| vector([word(at), word(at + 1), word(at + 2), word(at + 3)]));
        // What the next digit adds to the word that the last one is in.
        let mut one = [0; 4];
        one[last % 16 / 4] = 1 << (8 * (3 - last % 4));
        let one = vector(one);
        let mut flags = 0;
        for pair in 0..5 {
            let even = words;
            words[LAST] = vaddq_u32(words[LAST], one);
            let odd = words;
            words[LAST] = vaddq_u32(words[LAST], one);
            let [even, odd] = self.two::<FIRST>([even, odd]);
            flags |= (u16::from(even >> shift == 0) | u16::from(odd >> shift == 0) << 1) << (2 * pair);
        }
        flags
    }

    /// The first words of two digests.
    #[target_feature(enable = "neon,sha2")]
    #[inline]
    fn two<const FIRST: usize>(&self, mut words: [[uint32x4_t; 4]; 2]) -> [u32; 2] {
        let [a, b, c, d, e, f, g, h] = self.state;
        let (mut abcd, mut efgh) = ([vector([a, b, c, d]); 2], [vector([e, f, g, h]); 2]);
        // Spelled out, since only then all of it stays in registers.
        macro_rules! groups {
            ($($group:literal)*) => {$(
                if $group >= FIRST {
                    let k = vector([K[4 * $group], K[4 * $group + 1], K[4 * $group + 2], K[4 * $group + 3]]);
                    for way in 0..2 {
                        let words = &mut words[way];
                        if $group >= 4 {
                            let [oldest, older, old, newest] = [0, 1, 2, 3].map(|back| words[($group + back) % 4]);
                            words[$group % 4] = vsha256su1q_u32(vsha256su0q_u32(oldest, older), old, newest);
                        }
                        let input = vaddq_u32(words[$group % 4], k);
                        let before = abcd[way];
                        abcd[way] = vsha256hq_u32(before, efgh[way], input);
                        efgh[way] = vsha256h2q_u32(efgh[way], before, input);
                    }
                }
            )*};
        }
        groups!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        abcd.map(|abcd| vgetq_lane_u32::<0>(abcd).wrapping_add(self.first_word))
    }
}

#[target_feature(enable = "neon")]
#[inline]
fn vector(words: [u32; 4]) -> uint32x4_t {
    // SAFETY: the array has the four words that are read; no alignment is asked for.
    unsafe { vld1q_u32(words.as_ptr()) }
}
