//! Inputs made of others: what libFuzzer does to them, without looking at what comes of it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use fastrand::Rng;

/// The longest input that is made.
const LONGEST: usize = 4096;

/// The input of this number: the same for the same seed and corpus.
pub(crate) fn input(corpus: &[Vec<u8>], words: &[&str], seed: u64, number: u64) -> Vec<u8> {
    let mut chance = Rng::with_seed(seed.rotate_left(32) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut input = if chance.u8(..16) == 0 {
        let length = chance.usize(..400);
        std::iter::repeat_with(|| chance.u8(..)).take(length).collect()
    } else {
        corpus[chance.usize(..corpus.len())].clone()
    };
    for _ in 0..=chance.u8(..4) * chance.u8(..3) {
        change(&mut input, corpus, words, &mut chance);
    }
    input.truncate(LONGEST);
    input
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&str], chance: &mut Rng) {
    let at = chance.usize(..=input.len());
    let length = chance.usize(..=(input.len() - at).min(16));
    match chance.u8(..12) {
        0 if at < input.len() => input[at] ^= 1 << chance.u8(..8),
        1 if at < input.len() => input[at] = chance.u8(..),
        2 if at < input.len() => {
            input[at] = *chance.choice(b"\x00\xff\n\r .:,\"'{}[]-+0129aA=/%").unwrap_or(&0);
        }
        3 => input.insert(at, chance.u8(..)),
        4 => drop(input.drain(at..at + length)),
        5 => {
            let piece = input[at..at + length].to_vec();
            let to = chance.usize(..=input.len());
            input.splice(to..to, piece);
        }
        6 => {
            let other = &corpus[chance.usize(..corpus.len())];
            let from = chance.usize(..=other.len());
            let most = (other.len() - from).min(64);
            let to = from + chance.usize(..=most);
            input.splice(at..at + length, other[from..to].iter().copied());
        }
        7 | 8 if !words.is_empty() => {
            let word = words[chance.usize(..words.len())];
            let end = if chance.bool() { at } else { at + length };
            input.splice(at..end, word.bytes());
        }
        9 => number(input, at, chance),
        10 => input.truncate(at),
        11 => {
            let byte = *chance.choice(b"\x00\xff0[{(a \n").unwrap_or(&0);
            let count = chance.usize(..64);
            input.splice(at..at, std::iter::repeat_n(byte, count));
        }
        _ => {}
    }
}

/// The number in digits that stands behind this place becomes another one.
fn number(input: &mut Vec<u8>, from: usize, chance: &mut Rng) {
    let Some(start) = input[from..].iter().position(u8::is_ascii_digit).map(|at| from + at) else { return };
    let digits = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = String::from_utf8_lossy(&input[start..start + digits]).into_owned();
    let value: u64 = text.parse().unwrap_or(0);
    let other = match chance.u8(..6) {
        0 => value.wrapping_add(1),
        1 => value.wrapping_sub(1),
        2 => value.wrapping_mul(10),
        3 => value ^ 1 << chance.u8(..64),
        4 => u64::MAX,
        _ => chance.u64(..200),
    };
    input.splice(start..start + digits, other.to_string().bytes());
}

/// A file with the input that is being run.
pub(crate) struct Kept {
    path: PathBuf,
    file: File,
}

impl Kept {
    pub(crate) fn new(path: &Path) -> std::io::Result<Self> {
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        Ok(Self { path: path.to_owned(), file: File::create(path)? })
    }

    pub(crate) fn put(&self, input: &[u8]) {
        // Two calls of the system, no more than a microsecond: the file stays in memory.
        let _ = self.file.write_all_at(input, 0);
        let _ = self.file.set_len(input.len() as u64);
    }

    /// Nothing was found.
    pub(crate) fn done(self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
