//! HOT: what each frame does to a connection (RFC 9113, 6).

use crate::http::{Ending, Refusal};
use crate::limits::{CONTINUATIONS_MAX, HttpLimits, SMALL_DATA_BYTES, STREAM_WINDOW_BYTES};

use super::super::Offence;
use super::super::budgets::Chore;
use super::super::frame::{
    self, ErrorCode, FrameHead, PAYLOAD_BYTES_MAX, WINDOW_DEFAULT, WINDOW_MAX, flag, kind, setting,
};
use super::super::streams::Judged;
use super::{AnswerStream, Connection, DRAIN_PING, Drain, Of, OpenBlock, Phase, Purpose, Turn};

/// Bytes at the start of a payload that must be there before a frame can be begun.
#[inline]
pub(super) fn prologue_bytes(head: &FrameHead) -> usize {
    let padded = usize::from(head.has(flag::PADDED));
    match head.kind {
        kind::DATA => padded,
        kind::HEADERS => padded + if head.has(flag::PRIORITY) { 5 } else { 0 },
        kind::PING => 8,
        kind::WINDOW_UPDATE => 4,
        _ => 0,
    }
}

/// Bytes of a header block that are collected: compressed, it is hardly ever larger than the list that it makes.
fn block_bytes_max(limits: &HttpLimits) -> usize {
    2 * limits.head_bytes_max
}

impl Connection {
    /// Judges a frame by its head alone.
    #[inline]
    pub(super) fn judge(&self, head: &FrameHead) -> Result<(), Offence> {
        let FrameHead { length, kind, stream, .. } = *head;
        if length > PAYLOAD_BYTES_MAX {
            return Err(Offence::FrameSize);
        }
        let continues = self.open_block.is_some_and(|block| block.stream == stream);
        if (kind == kind::CONTINUATION) != self.open_block.is_some()
            || (kind == kind::CONTINUATION && !continues)
        {
            return Err(Offence::Frame);
        }
        if !self.is_settled && (kind != kind::SETTINGS || head.has(flag::ACK)) {
            return Err(Offence::Preface);
        }
        let is_sized = match kind {
            kind::DATA | kind::HEADERS => length >= prologue_bytes(head),
            kind::PRIORITY => length == 5,
            kind::RST_STREAM | kind::WINDOW_UPDATE => length == 4,
            kind::SETTINGS if head.has(flag::ACK) => length == 0,
            kind::SETTINGS => length.is_multiple_of(6),
            kind::PING => length == 8,
            kind::GOAWAY => length >= 8,
            _ => true,
        };
        // Clients open streams with odd numbers; one that is higher than all before is idle (RFC 9113, 5.1).
        let was_opened = stream % 2 == 1 && stream <= self.last_stream;
        let is_placed = match kind {
            kind::DATA | kind::RST_STREAM => was_opened,
            kind::HEADERS => stream % 2 == 1,
            kind::PRIORITY => stream != 0,
            kind::SETTINGS | kind::PING | kind::GOAWAY => stream == 0,
            kind::WINDOW_UPDATE => stream == 0 || was_opened,
            kind::PUSH_PROMISE => false,
            _ => true,
        };
        match (is_placed, is_sized) {
            (false, _) => Err(Offence::Frame),
            (true, false) => Err(Offence::FrameSize),
            (true, true) => Ok(()),
        }
    }

    /// Does what a frame says; `rest` is what has come behind its prologue. Returns how much of that is done with.
    #[inline]
    pub(super) fn begin<A: AnswerStream>(
        &mut self,
        head: &FrameHead,
        prologue: &[u8],
        rest: &[u8],
        turn: &mut Turn<'_, A>,
    ) -> Result<usize, Offence> {
        let left = head.length - prologue.len();
        match head.kind {
            kind::HEADERS => return self.begin_headers(head, prologue, rest, turn),
            kind::CONTINUATION => return self.begin_continuation(head, rest, turn),
            kind::DATA => {
                self.begin_data(head, prologue, turn)?;
                return self.take_payload(rest, left, Of::Data { stream: head.stream }, turn);
            }
            kind::SETTINGS => {
                self.budgets.spend(Chore::Settings)?;
                if !head.has(flag::ACK) {
                    return self.take_payload(rest, left, Of::Settings, turn);
                }
                self.settings_acknowledged();
            }
            kind::PING => self.ping(head, prologue, turn)?,
            kind::WINDOW_UPDATE => self.update_window(head.stream, prologue, turn)?,
            kind::PRIORITY => self.budgets.spend(Chore::Priority)?,
            kind::RST_STREAM => {
                self.budgets.spend(Chore::Reset)?;
                self.streams.remove(head.stream);
            }
            kind::GOAWAY => self.closing = self.closing.or(Some(Ending::Finished)),
            _ => self.budgets.spend(Chore::Unknown)?,
        }
        self.take_payload(rest, left, Of::Nobody, turn)
    }

    fn begin_headers<A: AnswerStream>(
        &mut self,
        head: &FrameHead,
        prologue: &[u8],
        rest: &[u8],
        turn: &mut Turn<'_, A>,
    ) -> Result<usize, Offence> {
        let padding = if head.has(flag::PADDED) { usize::from(prologue[0]) } else { 0 };
        let left = (head.length - prologue.len()).checked_sub(padding).ok_or(Offence::Frame)?;
        let purpose = self.purpose(head)?;
        let open = OpenBlock {
            stream: head.stream,
            purpose,
            ends_stream: head.has(flag::END_STREAM),
            ends_block: head.has(flag::END_HEADERS),
            continuations: 0,
            since: turn.now,
        };
        if left > block_bytes_max(turn.limits) {
            return Err(Offence::HeaderBomb);
        }
        match rest.get(..left) {
            // Nearly always: the whole block is there, and is read where it is.
            Some(block) if open.ends_block => {
                self.skip(padding);
                self.end_block(&open, block, turn)?;
                Ok(left)
            }
            _ => {
                self.open_block = Some(open);
                self.take_payload(rest, left, Of::Block { padding }, turn)
            }
        }
    }

    /// What a HEADERS frame may be, by the state of its stream (RFC 9113, 5.1).
    fn purpose(&mut self, head: &FrameHead) -> Result<Purpose, Offence> {
        let id = head.stream;
        if id > self.last_stream {
            if self.closing.is_some() {
                return Ok(Purpose::Nothing);
            }
            self.last_stream = id;
            return Ok(Purpose::Request);
        }
        match self.streams.get_mut(id).map(|stream| stream.incoming.is_some()) {
            Some(true) => Ok(Purpose::Trailers),
            Some(false) => Err(Offence::StreamClosed),
            None if self.streams.was_reset(id) => Ok(Purpose::Nothing),
            None if id == self.last_stream => Err(Offence::StreamClosed),
            // A number that was left out, or that was used long ago.
            None => Err(Offence::Frame),
        }
    }

    fn begin_continuation<A: AnswerStream>(
        &mut self,
        head: &FrameHead,
        rest: &[u8],
        turn: &mut Turn<'_, A>,
    ) -> Result<usize, Offence> {
        let Some(open) = &mut self.open_block else { return Err(Offence::Frame) };
        open.continuations += 1;
        open.ends_block = head.has(flag::END_HEADERS);
        if open.continuations > CONTINUATIONS_MAX {
            return Err(Offence::ContinuationFlood);
        }
        if self.block.len() + head.length > block_bytes_max(turn.limits) {
            return Err(Offence::HeaderBomb);
        }
        self.take_payload(rest, head.length, Of::Block { padding: 0 }, turn)
    }

    /// All of a frame of a body is judged when it begins, so that it does not matter how it arrives.
    fn begin_data<A: AnswerStream>(
        &mut self,
        head: &FrameHead,
        prologue: &[u8],
        turn: &mut Turn<'_, A>,
    ) -> Result<(), Offence> {
        let FrameHead { length, stream: id, .. } = *head;
        let padding = prologue.first().map_or(0, |&padding| usize::from(padding) + 1);
        let content = length.checked_sub(padding).ok_or(Offence::Frame)?;
        let is_last = head.has(flag::END_STREAM);
        self.receive_window -= length as i64;
        self.unreturned += length as u32;
        if self.receive_window < 0 {
            return Err(Offence::FlowControl);
        }
        if content < SMALL_DATA_BYTES && !is_last {
            self.budgets.spend(Chore::SmallData)?;
        }
        let stream = self.streams.get_mut(id);
        let Some(incoming) = stream.and_then(|stream| stream.incoming.as_mut()) else {
            if !self.streams.was_reset(id) {
                self.budgets.spend(Chore::Refusal)?;
                turn.answer.offended(Offence::StreamClosed);
                self.reset(id, ErrorCode::StreamClosed, turn.output);
            }
            return Ok(());
        };
        match incoming.judge(length, content, is_last)? {
            Judged::Fine if is_last => self.end_body(id),
            Judged::Fine => {}
            Judged::Malformed => self.refuse_body(id, Refusal::BodyMalformed, ErrorCode::Protocol, turn)?,
            // The reply is there; what still comes is not wanted (RFC 9113, 8.1).
            Judged::TooLarge => self.refuse_body(id, Refusal::BodyTooLarge, ErrorCode::No, turn)?,
        }
        Ok(())
    }

    /// Lets the client send again what it has sent.
    pub(super) fn give_back(&mut self, id: u32, output: &mut Vec<u8>) {
        if self.unreturned >= WINDOW_DEFAULT / 2 {
            let bytes = std::mem::take(&mut self.unreturned);
            self.receive_window += i64::from(bytes);
            frame::append_window_update(0, bytes, output);
        }
        let stream = self.streams.get_mut(id);
        if let Some(bytes) = stream.and_then(|stream| stream.incoming.as_mut()?.give_back()) {
            frame::append_window_update(id, bytes, output);
        }
    }

    fn settings_acknowledged(&mut self) {
        self.decoder.forbid_table();
        if !std::mem::replace(&mut self.is_acknowledged, true) {
            let difference = i64::from(STREAM_WINDOW_BYTES) - i64::from(WINDOW_DEFAULT);
            for stream in self.streams.iter_mut() {
                if let Some(incoming) = &mut stream.incoming {
                    incoming.resize(difference);
                }
            }
        }
    }

    /// One setting of the client: two bytes of name, four of value (RFC 9113, 6.5.2).
    pub(super) fn apply_setting(&mut self, entry: &[u8]) -> Result<(), Offence> {
        let &[a, b, c, d, e, f] = entry else { return Err(Offence::FrameSize) };
        let value = u32::from_be_bytes([c, d, e, f]);
        match u16::from_be_bytes([a, b]) {
            setting::ENABLE_PUSH if value > 1 => Err(Offence::Frame),
            setting::INITIAL_WINDOW_SIZE if i64::from(value) > WINDOW_MAX => Err(Offence::FlowControl),
            setting::INITIAL_WINDOW_SIZE => {
                let difference = i64::from(value) - i64::from(self.initial_send_window);
                self.initial_send_window = value;
                self.streams.resize_send_windows(difference)
            }
            setting::MAX_FRAME_SIZE if !(PAYLOAD_BYTES_MAX as u32..1 << 24).contains(&value) => {
                Err(Offence::Frame)
            }
            // Our frames are small, our encoder needs no table, and we push nothing.
            _ => Ok(()),
        }
    }

    fn ping<A: AnswerStream>(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
        turn: &mut Turn<'_, A>,
    ) -> Result<(), Offence> {
        self.budgets.spend(Chore::Ping)?;
        if !head.has(flag::ACK) {
            frame::append(kind::PING, flag::ACK, 0, payload, turn.output);
        } else if self.drain == Drain::Announced && payload == DRAIN_PING {
            // The client has heard: every stream that it opened before is here.
            self.close(Ending::Drained, turn.output);
        }
        Ok(())
    }

    fn update_window<A: AnswerStream>(
        &mut self,
        id: u32,
        payload: &[u8],
        turn: &mut Turn<'_, A>,
    ) -> Result<(), Offence> {
        self.budgets.spend(Chore::WindowUpdate)?;
        let &[a, b, c, d] = payload else { return Err(Offence::FrameSize) };
        let more = i64::from(u32::from_be_bytes([a & 0x7f, b, c, d]));
        if more == 0 {
            return Err(Offence::Frame);
        }
        let window = match id {
            0 => Some(&mut self.send_window),
            _ => self.streams.get_mut(id).map(|stream| &mut stream.send_window),
        };
        // A stream that has ended needs no window.
        let Some(window) = window else { return Ok(()) };
        *window += more;
        if *window > WINDOW_MAX {
            return Err(Offence::FlowControl);
        }
        self.streams.send_all(&mut self.send_window, turn.output);
        Ok(())
    }

    /// The last frame of a body has come.
    pub(super) fn end_body(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.incoming = None;
        }
        self.streams.sweep();
    }

    #[cold]
    pub(super) fn refuse_body<A: AnswerStream>(
        &mut self,
        id: u32,
        reason: Refusal,
        code: ErrorCode,
        turn: &mut Turn<'_, A>,
    ) -> Result<(), Offence> {
        turn.answer.refused_stream(reason, turn.output);
        self.reset(id, code, turn.output);
        self.budgets.spend(Chore::Refusal)
    }

    /// A frame with a piece of a header block has ended.
    pub(super) fn end_block_frame<A: AnswerStream>(&mut self, turn: &mut Turn<'_, A>) -> Result<(), Offence> {
        let Some(open) = self.open_block.filter(|open| open.ends_block) else { return Ok(()) };
        self.open_block = None;
        let block = std::mem::take(&mut self.block);
        debug_assert!(!matches!(self.phase, Phase::Ended(_)));
        self.end_block(&open, &block, turn)
    }
}
