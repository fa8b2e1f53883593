//! A message with a nonce at its end, laid out once for hashing; the digits are counted up in place.

use sha2::block_api::compress256;

use super::sha::Tens;

pub(super) const BLOCK: usize = 64;
/// Decimal digits of the largest nonce.
const MOST_DIGITS: usize = 20;
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
/// The constants of the 64 rounds.
#[rustfmt::skip]
pub(super) const K: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// A message laid out for hashing: the state after its whole blocks before the nonce, and the last one
/// or two blocks with nonce, padding and length.
pub(super) struct Layout {
    midstate: [u32; 8],
    /// Bytes of the message that are in `midstate`.
    hashed: usize,
    /// Bytes between `midstate` and the nonce, fewer than a block.
    before: usize,
    digits: usize,
    blocks: [[u8; BLOCK]; 2],
    used: usize,
    tens: Option<Tens>,
}

impl Layout {
    pub(super) fn new(prefix: &[u8]) -> Self {
        let (whole, rest) = prefix.as_chunks::<BLOCK>();
        let mut midstate = INITIAL;
        compress256(&mut midstate, whole);
        let mut blocks = [[0; BLOCK]; 2];
        blocks[0][..rest.len()].copy_from_slice(rest);
        let mut layout = Self {
            midstate,
            hashed: prefix.len() - rest.len(),
            before: rest.len(),
            digits: 0,
            blocks,
            used: 1,
            tens: Tens::new(&midstate, &rounds(midstate, &blocks[0], rest.len() / 16 * 4), rest.len()),
        };
        layout.set_nonce(0);
        layout
    }

    /// Writes a nonce, and padding and length where the number of digits has changed.
    fn set_nonce(&mut self, nonce: u64) {
        let mut text = [0; MOST_DIGITS];
        let mut start = MOST_DIGITS;
        let mut rest = nonce;
        loop {
            start -= 1;
            text[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.digits = MOST_DIGITS - start;
        let end = self.before + self.digits;
        // A one bit, zeros, and the length in bits in the last eight bytes.
        self.used = if end + 1 + 8 <= BLOCK { 1 } else { 2 };
        let length = ((self.hashed + end) as u64 * 8).to_be_bytes();
        let bytes = self.blocks.as_flattened_mut();
        bytes[self.before..end].copy_from_slice(&text[start..]);
        bytes[end] = 0x80;
        bytes[end + 1..].fill(0);
        bytes[self.used * BLOCK - 8..self.used * BLOCK].copy_from_slice(&length);
    }

    /// Counts the digits up in place, without the last `spared` ones; false when they were all nines.
    #[inline]
    fn increment(&mut self, spared: usize) -> bool {
        let end = self.before + self.digits - spared;
        let digits = &mut self.blocks.as_flattened_mut()[self.before..end];
        for digit in digits.iter_mut().rev() {
            if *digit < b'9' {
                *digit += 1;
                return true;
            }
            *digit = b'0';
        }
        false
    }

    #[inline]
    fn hash(&self) -> [u32; 8] {
        let mut state = self.midstate;
        compress256(&mut state, &self.blocks[..self.used]);
        state
    }
}

/// The state after the first `count` rounds (16 at most) of a block, without the additions at its end.
#[allow(clippy::many_single_char_names)] // the standard's own
fn rounds(state: [u32; 8], block: &[u8; BLOCK], count: usize) -> [u32; 8] {
    let (words, _) = block.as_chunks::<4>();
    let words = words.iter().map(|word| u32::from_be_bytes(*word));
    words.zip(K).take(count).fold(state, |[a, b, c, d, e, f, g, h], (word, k)| {
        let sum = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let choice = (e & f) ^ (!e & g);
        let one = h.wrapping_add(sum).wrapping_add(choice).wrapping_add(k).wrapping_add(word);
        let sum = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let two = sum.wrapping_add((a & b) ^ (a & c) ^ (b & c));
        [one.wrapping_add(two), a, b, c, d.wrapping_add(one), e, f, g]
    })
}

/// The smallest nonce from `first` on, among `count`, whose digest begins with `zero_bits` (1 to 256)
/// zero bits.
pub(super) fn search(layout: &mut Layout, first: u64, count: u64, zero_bits: u32) -> Option<u64> {
    first.checked_add(count - 1)?;
    if let Some(tens) = layout.tens
        && first.is_multiple_of(10)
        && count.is_multiple_of(10)
    {
        return by_tens(layout, &tens, first, count, zero_bits);
    }
    portable(layout, first, count, zero_bits)
}

/// As [`search`], ten nonces at a time.
fn by_tens(layout: &mut Layout, tens: &Tens, first: u64, count: u64, zero_bits: u32) -> Option<u64> {
    let shift = 32 - zero_bits.min(32);
    layout.set_nonce(first);
    for ten in 0..count / 10 {
        let nonce = first + ten * 10;
        if layout.used == 1 {
            let last = layout.before + layout.digits - 1;
            let mut flags = tens.flags(&layout.blocks[0], last, shift);
            while flags != 0 {
                // The first word is right; almost always that is all there is to look at.
                let digit = flags.trailing_zeros();
                layout.blocks[0][last] = b"0123456789"[digit as usize];
                if starts_with_zeros(&layout.hash(), zero_bits) {
                    return Some(nonce + u64::from(digit));
                }
                flags &= flags - 1;
                layout.blocks[0][last] = b'0';
            }
        } else if let Some(found) = portable(layout, nonce, 10, zero_bits) {
            return Some(found);
        } else {
            layout.set_nonce(nonce);
        }
        if !layout.increment(1) {
            layout.set_nonce(nonce.checked_add(10)?);
        }
    }
    None
}

/// As [`search`], one nonce at a time, by sha2's block function: it knows the CPUs of other kinds.
pub(super) fn portable(layout: &mut Layout, first: u64, count: u64, zero_bits: u32) -> Option<u64> {
    layout.set_nonce(first);
    let last = first.checked_add(count - 1)?;
    for nonce in first..=last {
        if starts_with_zeros(&layout.hash(), zero_bits) {
            return Some(nonce);
        }
        if !layout.increment(0) {
            layout.set_nonce(nonce.checked_add(1)?);
        }
    }
    None
}

/// Almost every digest fails at its first word, so that is all that is looked at.
#[inline]
fn starts_with_zeros(state: &[u32; 8], zero_bits: u32) -> bool {
    if zero_bits < 32 {
        return state[0] >> (32 - zero_bits) == 0;
    }
    let whole = (zero_bits / 32) as usize;
    let rest = zero_bits % 32;
    state[..whole].iter().all(|word| *word == 0) && (rest == 0 || state[whole] >> (32 - rest) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::Digest as _;

    proptest! {
        /// Every layout that a message can have, and every place where the digits grow.
        #[test]
        fn ten_at_a_time_finds_what_one_at_a_time_finds(
            prefix in proptest::collection::vec(any::<u8>(), 0..140),
            power in 0_u32..19,
            before in 0_u64..30,
            tens in 1_u64..40,
            zero_bits in 1_u32..12,
        ) {
            let first = 10_u64.pow(power).saturating_sub(before * 10) / 10 * 10;
            let expected = portable(&mut Layout::new(&prefix), first, tens * 10, zero_bits);
            prop_assert_eq!(search(&mut Layout::new(&prefix), first, tens * 10, zero_bits), expected);
        }
    }

    #[test]
    fn digests_are_those_of_the_message() {
        for length in 0..130 {
            let prefix = vec![b'p'; length];
            let mut layout = Layout::new(&prefix);
            for nonce in [0, 9, 10, 12_345, 99_999, u64::MAX] {
                layout.set_nonce(nonce);
                let digest = sha2::Sha256::digest([prefix.as_slice(), nonce.to_string().as_bytes()].concat());
                let words = digest.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word));
                assert!(words.eq(layout.hash()), "{length} {nonce}");
            }
        }
    }

    #[test]
    fn difficult_ones_are_looked_at_beyond_the_first_word() {
        // The first word fits; the second one has to be looked at.
        let mut state = [0; 8];
        state[1] = 1 << 20;
        assert!(starts_with_zeros(&state, 43) && !starts_with_zeros(&state, 44));
    }

    #[test]
    fn the_last_nonces_there_are_end_the_search() {
        let first = u64::MAX / 10 * 10 - 20;
        assert_eq!(search(&mut Layout::new(b"x"), first, 30, 256), None);
    }
}
