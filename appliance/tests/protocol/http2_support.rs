//! Frames as clients write them, and what a connection makes of them.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use carom::http::{Ending, Head, Next, Refusal};
use carom::http2::frame::{self, FrameHead, HEAD_BYTES, flag, kind};
use carom::http2::{AnswerStream, Connection, Offence, PREFACE, Scratch};
use carom::limits::{HttpLimits, OUTPUT_BYTES_MAX};
use carom::redirect::{Decision, Location, Outcome, reply};

use super::support::STAMP;

/// Answers `/a…` with a redirect, `/long…` with a very long one, everything else with 404, and keeps a note of every call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes(pub(crate) Vec<String>);

impl AnswerStream for Notes {
    fn answer_stream(&mut self, head: &Head<'_>, block: &mut Vec<u8>) -> Cow<'static, [u8]> {
        let text = String::from_utf8_lossy;
        let query = head.query.map_or(String::new(), |query| format!("?{}", text(query)));
        self.0.push(format!("{} {}{query}", text(head.method.as_bytes()), text(head.path)));
        let long = "x".repeat(40_000);
        let (outcome, status, destination) = match head.path {
            [b'a', ..] => (Outcome::Redirected, 302, "https://target.example/"),
            [b'l', b'o', b'n', b'g', ..] => (Outcome::Redirected, 302, long.as_str()),
            _ => (Outcome::NotFound, 404, ""),
        };
        let location = Location::new(destination.as_bytes(), head.query.unwrap_or(b""));
        let location = location.filter(|_| status == 302);
        let decision = Decision { location, ..Decision::of(outcome, status) };
        reply::render_block(&decision, head, &STAMP, block)
    }

    fn refused_stream(&mut self, reason: Refusal, block: &mut Vec<u8>) {
        self.0.push(format!("refused: {reason:?}"));
        if let Some(status) = reason.stream_status() {
            reply::render_refusal_block(status, &STAMP, block);
        }
    }

    fn offended(&mut self, offence: Offence) {
        self.0.push(format!("offended: {offence:?}"));
    }
}

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::append(kind, flags, stream, payload, &mut bytes);
    bytes
}

/// Preface and settings.
pub(crate) fn hello() -> Vec<u8> {
    [&PREFACE[..], &frame(kind::SETTINGS, 0, 0, b"")].concat()
}

/// A block of literals that nobody remembers.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127, "one byte holds the length");
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// The fields of a request.
pub(crate) fn request_block(method: &str, path: &str) -> Vec<u8> {
    block(&[(":method", method), (":scheme", "https"), (":authority", "h"), (":path", path)])
}

/// A GET in one frame.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, stream, &request_block("GET", path))
}

/// The head of a POST whose body is to come.
pub(crate) fn post(stream: u32, path: &str) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS, stream, &request_block("POST", path))
}

/// What a connection made of some input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) output: Vec<u8>,
    pub(crate) notes: Vec<String>,
    pub(crate) ending: Option<Ending>,
    /// When patience ends, after the start.
    pub(crate) patience: Duration,
}

/// A connection, its shell and its clock.
pub(crate) struct Talk {
    pub(crate) connection: Connection,
    pub(crate) limits: HttpLimits,
    pub(crate) scratch: Scratch,
    pub(crate) notes: Notes,
    pub(crate) began: Instant,
    pub(crate) now: Instant,
    pub(crate) unread: Vec<u8>,
    pub(crate) output: Vec<u8>,
    pub(crate) ending: Option<Ending>,
}

impl Talk {
    pub(crate) fn new(limits: HttpLimits) -> Self {
        let now = Instant::now();
        Self {
            connection: Connection::new(&limits, now),
            scratch: Scratch::new(&limits),
            limits,
            notes: Notes::default(),
            began: now,
            now,
            unread: Vec::new(),
            output: Vec::new(),
            ending: None,
        }
    }

    /// Hands `input` over as one read, and collects what is said.
    pub(crate) fn say(&mut self, input: &[u8]) {
        self.unread.extend_from_slice(input);
        while self.ending.is_none() {
            let mut batch = Vec::new();
            let (notes, scratch) = (&mut self.notes, &mut self.scratch);
            let advance =
                self.connection.advance(&self.limits, &self.unread, &mut batch, scratch, notes, self.now);
            assert!(advance.consumed <= self.unread.len(), "more consumed than there was");
            assert!(batch.len() < OUTPUT_BYTES_MAX + 60_000, "the output has a bound");
            self.unread.drain(..advance.consumed);
            self.output.extend_from_slice(&batch);
            assert!(self.connection.held_bytes() < 20_000 + 2 * self.limits.head_bytes_max, "so has memory");
            match advance.next {
                Next::Flush => assert!(!batch.is_empty(), "a flush makes progress"),
                Next::Read => {
                    assert!(self.unread.len() <= 16, "little is left behind");
                    break;
                }
                Next::Close(ending) => self.ending = Some(ending),
            }
        }
    }

    /// Lets time pass, and the deadline with it.
    pub(crate) fn expire(&mut self) {
        self.now = self.connection.deadline();
        let (output, notes) = (&mut self.output, &mut self.notes);
        if let Next::Close(ending) = self.connection.expire(&self.limits, output, notes, self.now) {
            self.ending = Some(ending);
        }
    }

    pub(crate) fn finish(self) -> Exchange {
        Exchange {
            output: self.output,
            notes: self.notes.0,
            patience: self.connection.deadline() - self.began,
            ending: self.ending,
        }
    }
}

/// Sends `input` to a new connection in pieces that end at `cuts`.
pub(crate) fn exchange(input: &[u8], cuts: impl IntoIterator<Item = usize>, limits: &HttpLimits) -> Exchange {
    let mut talk = Talk::new(limits.clone());
    let mut start = 0;
    for end in cuts.into_iter().chain([input.len()]) {
        talk.say(&input[start..end.max(start)]);
        start = end.max(start);
    }
    talk.finish()
}

/// Reads frames back, and checks that there is nothing else.
pub(crate) fn frames(mut output: &[u8]) -> Vec<(FrameHead, Vec<u8>)> {
    let mut frames = Vec::new();
    while !output.is_empty() {
        let (head, rest) = output.split_first_chunk::<HEAD_BYTES>().expect("a whole head");
        let head = FrameHead::read(head);
        assert!(head.length <= 16_384 && rest.len() >= head.length, "a whole frame");
        frames.push((head, rest[..head.length].to_vec()));
        output = &rest[head.length..];
    }
    frames
}

/// The exchange does not depend on how the input was cut, and what is sent are frames.
pub(crate) fn check_http2(input: &[u8], cuts: &[usize], limits: &HttpLimits) {
    let at_once = exchange(input, [], limits);
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    cuts.sort_unstable();
    assert_eq!(exchange(input, cuts, limits), at_once, "in pieces and at once: {}", input.escape_ascii());
    assert_eq!(exchange(input, 1..input.len(), limits), at_once, "by bytes: {}", input.escape_ascii());
    let frames = frames(&at_once.output);
    assert!(
        frames.is_empty() || frames[0].0.kind == kind::SETTINGS,
        "settings come first: {:?}",
        frames.first()
    );
    // On every stream at most one reply, and nothing behind its end.
    let mut ended = std::collections::BTreeSet::new();
    for (head, _) in &frames {
        if head.kind == kind::HEADERS || head.kind == kind::DATA {
            assert!(!ended.contains(&head.stream), "something behind the end of stream {}", head.stream);
        }
        if head.has(flag::END_STREAM) && (head.kind == kind::HEADERS || head.kind == kind::DATA) {
            ended.insert(head.stream);
        }
    }
    let offended = matches!(at_once.ending, Some(Ending::Offended(_)));
    let said = frames.iter().any(|(head, payload)| head.kind == kind::GOAWAY && payload[4..8] != [0; 4]);
    assert_eq!(offended, said, "who offends is told so, and nobody else");
}
