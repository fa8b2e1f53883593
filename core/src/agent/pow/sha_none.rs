//! For CPUs that nobody has written a kernel for: there is none, and nothing is tried ten at a time.

use super::layout::BLOCK;

/// Cannot be made.
#[derive(Clone, Copy)]
pub(super) enum Tens {}

impl Tens {
    pub(super) fn new(_before: &[u32; 8], _after: &[u32; 8], _digits: usize) -> Option<Self> {
        None
    }

    pub(super) fn flags(&self, _block: &[u8; BLOCK], _last: usize, _shift: u32) -> u16 {
        match *self {}
    }
}
