//! A round's questions, made before the clock starts, and the sum of the right answers.

use crate::bench::links::Links;
use crate::bench::rows::Random;

/// What a question that has no answer adds to the sum.
pub(super) const MISSING: u64 = 1;

/// Codes one after the other, so that reading them is no work for the memory.
pub(super) struct Questions {
    codes: Vec<u8>,
    /// Where each code ends, and one 0 before all.
    ends: Vec<u32>,
    /// The links asked for, none in a round of misses.
    links: Vec<u64>,
    sum: u64,
}

impl Questions {
    /// `count` codes, evenly over all links or over as many codes that no link has.
    pub(super) fn random(links: &Links, hits: bool, count: usize, random: &mut Random) -> Self {
        let mut questions = Self { codes: Vec::new(), ends: vec![0], links: Vec::new(), sum: 0 };
        let mut destination = Vec::new();
        for _ in 0..count {
            let n = random.below(links.links());
            let answer = if hits {
                links.push_code(n, &mut questions.codes);
                links.destination(n, &mut destination);
                questions.links.push(n);
                digest(&destination)
            } else {
                links.push_missing_code(n, &mut questions.codes);
                MISSING
            };
            questions.sum = questions.sum.wrapping_add(answer);
            questions.ends.push(questions.codes.len() as u32);
        }
        questions
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len() - 1
    }

    #[inline]
    pub(super) fn code(&self, place: usize) -> &[u8] {
        &self.codes[self.ends[place] as usize..self.ends[place + 1] as usize]
    }

    /// The link that question `place` asks for; `None`: there is no such link.
    pub(super) fn link(&self, place: usize) -> Option<u64> {
        self.links.get(place).copied()
    }

    pub(super) fn sum(&self) -> u64 {
        self.sum
    }
}

/// Tells destinations apart by their length and last eight bytes, which are the unique ones of synthetic links.
#[inline]
pub(super) fn digest(destination: &[u8]) -> u64 {
    let last = destination.last_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    last.wrapping_add(destination.len() as u64)
}
