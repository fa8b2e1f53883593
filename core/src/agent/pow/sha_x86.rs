//! The first word of ten digests at a time, by the SHA extensions of x86-64: the one file with `unsafe` in it of what
//! this crate is on that CPU.
//!
//! The ten messages differ in their last digit. Two of them are hashed side by side, since a round waits four
//! cycles for the one before it and the unit takes a new one every two. What they have in common is done once:
//! the rounds before the digits' first group of four words, and the part of the message schedule that
//! the digits do not touch.

#![allow(unsafe_code)]
#![allow(clippy::many_single_char_names)] // the standard's own

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_loadu_si128, _mm_set_epi8, _mm_set_epi32,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32,
};

use super::layout::{BLOCK, K};

/// Whether this CPU has what [`Tens`] needs.
pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1")
}

/// What all messages of a layout have in common.
#[derive(Clone, Copy)]
pub(super) struct Tens {
    /// The state after the rounds before the digits' first group.
    state: [i32; 8],
    /// That group, 0 to 3.
    group: usize,
    /// What the first word of the state was before the block.
    first_word: u32,
}

impl Tens {
    /// For messages whose block begins with the state `before` and has its digits from byte `digits` on; `after`
    /// is the state after the first `4 * (digits / 16)` rounds. None where the CPU cannot do it.
    pub(super) fn new(before: &[u32; 8], after: &[u32; 8], digits: usize) -> Option<Self> {
        if !is_there() {
            return None;
        }
        Some(Self { state: after.map(u32::cast_signed), group: digits / 16, first_word: before[0] })
    }

    /// For each of the ten values of the digit at byte `last`, which is '0' in `block`: the bit of that number is set
    /// if the first word of the digest, shifted right by `shift`, is 0.
    #[inline]
    pub(super) fn flags(&self, block: &[u8; BLOCK], last: usize, shift: u32) -> u16 {
        // SAFETY: `new` has made this only where the CPU has the features.
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
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn ten<const FIRST: usize, const LAST: usize>(
        &self,
        block: &[u8; BLOCK],
        last: usize,
        shift: u32,
    ) -> u16 {
        // SAFETY: 16 of the block's 64 bytes; no alignment is asked for.
        let load = |group: usize| unsafe { _mm_loadu_si128(block.as_ptr().add(16 * group).cast()) };
        let big_endian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
        let common = [0, 1, 2, 3].map(|group| _mm_shuffle_epi8(load(group), big_endian));
        // What the next digit adds to the word that the last one is in.
        let one = 1 << (8 * (3 - last % 4));
        let one = match last % 16 / 4 {
            0 => _mm_set_epi32(0, 0, 0, one),
            1 => _mm_set_epi32(0, 0, one, 0),
            2 => _mm_set_epi32(0, one, 0, 0),
            _ => _mm_set_epi32(one, 0, 0, 0),
        };
        let mut flags = 0;
        let mut words = common;
        for pair in 0..5 {
            let even = words;
            words[LAST] = _mm_add_epi32(words[LAST], one);
            let odd = words;
            words[LAST] = _mm_add_epi32(words[LAST], one);
            let [even, odd] = self.two::<FIRST>([even, odd]);
            flags |= (u16::from(even >> shift == 0) | u16::from(odd >> shift == 0) << 1) << (2 * pair);
        }
        flags
    }

    /// The first words of two digests.
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    #[inline]
    fn two<const FIRST: usize>(&self, mut words: [[__m128i; 4]; 2]) -> [u32; 2] {
        // As the instructions have it, by the standard's names.
        let [a, b, c, d, e, f, g, h] = self.state;
        let (mut abef, mut cdgh) = ([_mm_set_epi32(a, b, e, f); 2], [_mm_set_epi32(c, d, g, h); 2]);
        // Spelled out, since only then all of it stays in registers.
        macro_rules! groups {
            ($($group:literal)*) => {$(
                if $group >= FIRST {
                    for way in 0..2 {
                        let words = &mut words[way];
                        if $group >= 4 {
                            let [oldest, older, old, newest] = [0, 1, 2, 3].map(|back| words[($group + back) % 4]);
                            let sum = _mm_add_epi32(
                                _mm_sha256msg1_epu32(oldest, older),
                                _mm_alignr_epi8(newest, old, 4),
                            );
                            words[$group % 4] = _mm_sha256msg2_epu32(sum, newest);
                        }
                        let k = |word: usize| K[4 * $group + word].cast_signed();
                        let input = _mm_add_epi32(words[$group % 4], _mm_set_epi32(k(3), k(2), k(1), k(0)));
                        cdgh[way] = _mm_sha256rnds2_epu32(cdgh[way], abef[way], input);
                        let input = _mm_shuffle_epi32(input, 0b00_00_11_10);
                        abef[way] = _mm_sha256rnds2_epu32(abef[way], cdgh[way], input);
                    }
                }
            )*};
        }
        groups!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        abef.map(|abef| _mm_extract_epi32(abef, 3).cast_unsigned().wrapping_add(self.first_word))
    }
}
