//! HOT: the streams that are open: those whose body still comes, and those whose reply a closed window holds back.
//!
//! A request without a body is answered where it ends and never gets here, so that the table is usually empty and holds no
//! memory.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use crate::limits::{HttpLimits, RESETS_REMEMBERED, STREAM_WINDOW_BYTES};

use super::Offence;
use super::frame::{self, WINDOW_MAX, flag, kind};

/// One open stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    /// When its request was answered.
    pub(super) since: Instant,
    /// The body that still comes.
    pub(super) incoming: Option<Incoming>,
    /// What the client lets us send. A change of its settings may make it negative.
    pub(super) send_window: i64,
    /// The reply's body.
    pub(super) body: Cow<'static, [u8]>,
    /// How much of it is sent.
    pub(super) sent: usize,
}

/// A body that is thrown away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming {
    /// What we let the client send.
    window: i64,
    /// What was sent and not allowed again yet.
    unreturned: u32,
    /// What its Content-Length says is still to come.
    left: Option<u64>,
    /// Bytes of payload that may still be thrown away, padding included.
    budget: u64,
}

/// What a frame of a body means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// It is as it should be.
    Fine,
    /// The body differs from its Content-Length.
    Malformed,
    /// The body is longer than anybody throws away.
    TooLarge,
}

impl Incoming {
    /// A body of which nothing has come; `window` is what the client believes that it may send.
    pub(super) fn new(window: u32, content_length: Option<u64>, limits: &HttpLimits) -> Self {
        let budget = limits.body_discard_bytes_max;
        Self { window: window.into(), unreturned: 0, left: content_length, budget }
    }

    /// A frame with `length` bytes of payload came, `content` of them without padding.
    ///
    /// # Errors
    /// The client sent more than it may.
    pub(super) fn judge(&mut self, length: usize, content: usize, is_last: bool) -> Result<Judged, Offence> {
        self.window -= length as i64;
        self.unreturned += length as u32;
        if self.window < 0 {
            return Err(Offence::FlowControl);
        }
        if let Some(left) = &mut self.left {
            match left.checked_sub(content as u64) {
                Some(rest) if !is_last || rest == 0 => *left = rest,
                Some(_) | None => return Ok(Judged::Malformed),
            }
        }
        Ok(match self.budget.checked_sub(length as u64) {
            Some(rest) => {
                self.budget = rest;
                Judged::Fine
            }
            None => Judged::TooLarge,
        })
    }

    /// Whether nothing more has to come.
    pub(super) fn is_whole(&self) -> bool {
        self.left.is_none_or(|left| left == 0)
    }

    /// What the client may be allowed again; `None` while it is too little for a frame.
    pub(super) fn give_back(&mut self) -> Option<u32> {
        if self.unreturned < STREAM_WINDOW_BYTES / 2 {
            return None;
        }
        self.window += i64::from(self.unreturned);
        Some(std::mem::take(&mut self.unreturned))
    }

    /// The client has learned of another initial window.
    pub(super) fn resize(&mut self, difference: i64) {
        self.window += difference;
    }
}

impl Stream {
    /// Whether anything is still to come or to be sent.
    pub(super) fn is_open(&self) -> bool {
        self.incoming.is_some() || !self.unsent().is_empty()
    }

    /// The rest of the reply's body.
    pub(super) fn unsent(&self) -> &[u8] {
        &self.body[self.sent..]
    }

    /// Bytes of a body that is held for this stream alone.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.body {
            Cow::Owned(body) if self.sent < body.len() => body.capacity(),
            Cow::Owned(_) | Cow::Borrowed(_) => 0,
        }
    }

    /// Sends what the windows of the stream and of the connection let through.
    pub(super) fn send(&mut self, connection_window: &mut i64, output: &mut Vec<u8>) {
        let window = self.send_window.min(*connection_window).max(0);
        let bytes = self.unsent().len().min(usize::try_from(window).unwrap_or(usize::MAX));
        if bytes == 0 {
            return;
        }
        let (now, later) = self.unsent().split_at(bytes);
        let flags = if later.is_empty() { flag::END_STREAM } else { 0 };
        frame::append(kind::DATA, flags, self.id, now, output);
        self.sent += bytes;
        self.send_window -= bytes as i64;
        *connection_window -= bytes as i64;
    }

    /// When patience with it ends.
    pub(super) fn deadline(&self, limits: &HttpLimits) -> Instant {
        let mut patience = Duration::MAX;
        if self.incoming.is_some() {
            patience = patience.min(limits.header_timeout);
        }
        if !self.unsent().is_empty() {
            patience = patience.min(limits.write_timeout);
        }
        self.since + patience
    }
}

/// All of them, in the order in which they came, and which of the others we reset.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: Vec<Stream>,
    /// The last ones; the oldest is overwritten.
    resets: [u32; RESETS_REMEMBERED],
    resets_next: u8,
}

impl Streams {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.open.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.open.iter_mut()
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Stream> {
        self.open.iter_mut().find(|stream| stream.id == id)
    }

    pub(super) fn push(&mut self, stream: Stream) {
        self.open.push(stream);
    }

    /// Forgets a stream; false if it was not there.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        let before = self.open.len();
        self.open.retain(|stream| stream.id != id);
        self.give_memory_back();
        self.open.len() < before
    }

    /// Forgets every stream that has nothing more to do.
    pub(super) fn sweep(&mut self) {
        self.open.retain(Stream::is_open);
        self.give_memory_back();
    }

    /// Remembers that we reset a stream: what was on its way is no offence.
    pub(super) fn note_reset(&mut self, id: u32) {
        self.resets[usize::from(self.resets_next)] = id;
        self.resets_next = (self.resets_next + 1) % RESETS_REMEMBERED as u8;
    }

    /// Whether we reset this stream lately.
    pub(super) fn was_reset(&self, id: u32) -> bool {
        self.resets.contains(&id)
    }

    /// Lets every stream send what it can, the oldest first.
    pub(super) fn send_all(&mut self, connection_window: &mut i64, output: &mut Vec<u8>) {
        for stream in &mut self.open {
            stream.send(connection_window, output);
        }
        self.sweep();
    }

    /// The client changed the initial window of all streams.
    ///
    /// # Errors
    /// A window would become too large.
    pub(super) fn resize_send_windows(&mut self, difference: i64) -> Result<(), Offence> {
        for stream in &mut self.open {
            stream.send_window += difference;
            if stream.send_window > WINDOW_MAX {
                return Err(Offence::FlowControl);
            }
        }
        Ok(())
    }

    /// Bytes that the table holds from the allocator.
    pub(super) fn held_bytes(&self) -> usize {
        self.open.capacity() * size_of::<Stream>() + self.held_bodies_bytes()
    }

    /// Bytes of bodies that closed windows hold back.
    pub(super) fn held_bodies_bytes(&self) -> usize {
        self.open.iter().map(Stream::held_bytes).sum()
    }

    fn give_memory_back(&mut self) {
        if self.open.is_empty() && self.open.capacity() > 0 {
            self.open = Vec::new();
        }
    }
}
