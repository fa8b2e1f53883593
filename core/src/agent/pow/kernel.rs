//! The inner loop. Portable: sha2's block function, which finds the CPU's SHA extensions by itself.
//!
//! A hand-tuned kernel takes the place of [`search`] and keeps its contract: the smallest nonce of the
//! range, or none.

use sha2::block_api::compress256;

const BLOCK: usize = 64;
/// Decimal digits of the largest nonce.
const MOST_DIGITS: usize = 20;
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

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

    /// Counts the digits up in place; false when they were all nines.
    #[inline]
    fn increment(&mut self) -> bool {
        let digits = &mut self.blocks.as_flattened_mut()[self.before..self.before + self.digits];
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

/// The smallest nonce from `first` on, among `count`, whose digest begins with `zero_bits` (1 to 256)
/// zero bits.
pub(super) fn search(layout: &mut Layout, first: u64, count: u64, zero_bits: u32) -> Option<u64> {
    layout.set_nonce(first);
    let last = first.checked_add(count - 1)?;
    for nonce in first..=last {
        if starts_with_zeros(&layout.hash(), zero_bits) {
            return Some(nonce);
        }
        if !layout.increment() {
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
