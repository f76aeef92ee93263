//! A part of an input in memory, which slides over it.

use crate::limits::WINDOW_BYTES;
use std::io::{self, Read};

/// Bytes of an input that have been read and not been used.
#[derive(Debug)]
pub(super) struct Window<R> {
    input: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    ended: bool,
    line: u64,
    used: u64,
}

impl<R: Read> Window<R> {
    pub(super) fn new(input: R) -> Self {
        let buffer = vec![0; WINDOW_BYTES].into_boxed_slice();
        Self { input, buffer, start: 0, end: 0, ended: false, line: 1, used: 0 }
    }

    /// What can be used.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether nothing can follow.
    pub(super) const fn ended(&self) -> bool {
        self.ended
    }

    /// Line of the first byte, counted from 1.
    pub(super) const fn line(&self) -> u64 {
        self.line
    }

    /// Bytes used so far.
    pub(super) const fn used(&self) -> u64 {
        self.used
    }

    /// Moves on by `count` bytes.
    pub(super) fn advance(&mut self, count: usize) {
        self.line += memchr::memchr_iter(b'\n', &self.bytes()[..count]).count() as u64;
        self.start += count;
        self.used += count as u64;
    }

    /// Reads until the window is full or the input ends, so that what is seen never depends on how it arrives.
    pub(super) fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while !self.ended && self.end < self.buffer.len() {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_slides_over_an_input_longer_than_itself() {
        let text = "0123456\n".repeat(WINDOW_BYTES / 4);
        let mut window = Window::new(text.as_bytes());
        let mut seen = 0;
        while !(window.ended() && window.bytes().is_empty()) {
            window.fill().unwrap();
            let count = window.bytes().len().min(1_000_001);
            assert!(window.bytes()[..count] == text.as_bytes()[seen..seen + count]);
            window.advance(count);
            seen += count;
        }
        assert_eq!((seen, window.used()), (text.len(), text.len() as u64));
        assert_eq!(window.line(), text.len() as u64 / 8 + 1);
    }
}
