//! HOT: what a whole header block leads to: a reply, a reset, or nothing.

use crate::http::{Ending, Refusal};
use crate::limits::{HELD_BODIES_BYTES_MAX, STREAM_WINDOW_BYTES, STREAMS_MAX};

use super::super::Offence;
use super::super::budgets::Chore;
use super::super::frame::{self, ErrorCode, WINDOW_DEFAULT, flag};
use super::super::hpack;
use super::super::request::{self, Reading, Request};
use super::super::streams::{Incoming, Stream};
use super::{AnswerStream, Connection, OpenBlock, Purpose, Turn};

impl Connection {
    /// A header block is whole.
    #[inline]
    pub(super) fn end_block<A: AnswerStream>(
        &mut self,
        open: &OpenBlock,
        block: &[u8],
        turn: &mut Turn<'_, A>,
    ) -> Result<(), Offence> {
        let OpenBlock { stream, purpose, ends_stream, .. } = *open;
        match purpose {
            Purpose::Request if self.streams.len() >= STREAMS_MAX => {
                request::ignore(&mut self.decoder, block, turn.limits)?;
                turn.answer.offended(Offence::StreamsTooMany);
                self.reset(stream, ErrorCode::RefusedStream, turn.output);
                self.budgets.spend(Chore::Reset)
            }
            Purpose::Request => self.answer(stream, ends_stream, block, turn),
            Purpose::Trailers => {
                let read = request::read_trailers(&mut self.decoder, block, turn.limits, turn.scratch)?;
                // Trailers are the last that comes on a stream (RFC 9113, 8.1), and the body must be whole.
                let read = if ends_stream { read } else { Err(Refusal::BodyMalformed) };
                let is_whole = self
                    .streams
                    .get_mut(stream)
                    .and_then(|stream| stream.incoming.as_mut())
                    .is_some_and(|incoming| incoming.is_whole());
                match read {
                    Ok(()) if is_whole => {
                        self.end_body(stream);
                        Ok(())
                    }
                    Ok(()) => self.refuse_body(stream, Refusal::BodyMalformed, ErrorCode::Protocol, turn),
                    Err(reason) => self.refuse_body(stream, reason, ErrorCode::Protocol, turn),
                }
            }
            Purpose::Nothing => request::ignore(&mut self.decoder, block, turn.limits),
        }
    }

    #[inline]
    fn answer<A: AnswerStream>(
        &mut self,
        id: u32,
        ends_stream: bool,
        block: &[u8],
        turn: &mut Turn<'_, A>,
    ) -> Result<(), Offence> {
        let Turn { limits, output, scratch, answer, now } = turn;
        let Request { head, content_length } = match request::read(&mut self.decoder, block, limits, scratch)?
        {
            Reading::Request(Request { content_length: Some(1..), .. }) if ends_stream => {
                return self.refuse(id, ends_stream, Refusal::ContentLength, turn);
            }
            Reading::Request(request) => request,
            Reading::Refused(reason) => return self.refuse(id, ends_stream, reason, turn),
        };
        let is_first = !std::mem::replace(&mut self.has_answered, true);
        let body = frame::append_headers(id, output, |block| {
            if is_first {
                hpack::append_size_update(block);
            }
            let body = answer.answer_stream(&head, block);
            let flags = if body.is_empty() { flag::END_STREAM } else { 0 };
            (body, flags)
        });
        self.requests += 1;
        self.budgets.refill();
        self.idle_since = *now;
        if !ends_stream || !body.is_empty() {
            let window = if self.is_acknowledged { STREAM_WINDOW_BYTES } else { WINDOW_DEFAULT };
            let mut stream = Stream {
                id,
                since: *now,
                incoming: (!ends_stream).then(|| Incoming::new(window, content_length, limits)),
                send_window: self.initial_send_window.into(),
                body,
                sent: 0,
            };
            stream.send(&mut self.send_window, output);
            if content_length.is_some_and(|bytes| !ends_stream && bytes > limits.body_discard_bytes_max) {
                // Nobody has to send what nobody reads; the reply is there (RFC 9113, 8.1).
                self.reset(id, ErrorCode::No, output);
            } else if stream.held_bytes() > 0
                && stream.held_bytes() + self.streams.held_bodies_bytes() > HELD_BODIES_BYTES_MAX
            {
                // A client that asks for documents and lets none of them through.
                answer.offended(Offence::WindowHeld);
                self.reset(id, ErrorCode::EnhanceYourCalm, output);
            } else if stream.is_open() {
                self.streams.push(stream);
            }
        }
        if self.requests >= limits.requests_per_connection_max {
            self.close(Ending::RequestsSpent, output);
        }
        Ok(())
    }

    /// A request gets no answer, or one that says why; the connection goes on.
    #[cold]
    fn refuse<A: AnswerStream>(
        &mut self,
        id: u32,
        ends_stream: bool,
        reason: Refusal,
        turn: &mut Turn<'_, A>,
    ) -> Result<(), Offence> {
        if reason.stream_status().is_some() {
            let is_first = !std::mem::replace(&mut self.has_answered, true);
            frame::append_headers(id, turn.output, |block| {
                if is_first {
                    hpack::append_size_update(block);
                }
                turn.answer.refused_stream(reason, block);
                ((), flag::END_STREAM)
            });
            if !ends_stream {
                self.reset(id, ErrorCode::No, turn.output);
            }
        } else {
            turn.answer.refused_stream(reason, turn.output);
            self.reset(id, ErrorCode::Protocol, turn.output);
        }
        self.budgets.spend(Chore::Refusal)
    }
}
