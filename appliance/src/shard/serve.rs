//! HOT: moves bytes between the sockets of a shard and their protocol state.
//!
//! This is the transport: the only part of a shard that knows how sockets are read and written. Another one can take its
//! place; what is answered is decided by `http` and `redirect`.

use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

use crate::http::{Ending, Next};
use crate::limits::{FAREWELL, FAREWELL_BYTES_MAX, READ_BYTES_MAX, READS_PER_TURN_MAX};
use crate::metrics::Closed;

use super::Shard;
use super::readiness::Interest;
use super::replier::Replier;
use super::secure::{Secure, seal};
use super::session::{State, Then, Unsent, needs_farewell};
use super::table::Key;

/// What an exchange left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exchanged {
    /// Everything that came is answered: more may be read.
    Reading,
    /// The session waits for its socket, says farewell, or is gone: nothing is read for it.
    Parked,
}

impl Shard {
    /// The socket of `key` changed.
    #[inline]
    pub(super) fn serve(&mut self, key: Key, flags: EventFlags) {
        let Some(session) = self.table.get_mut(key) else {
            return; // It ended earlier in this turn.
        };
        match session.state {
            State::Open if session.awaits_header => self.read_header(key, flags),
            State::Open if session.tls.is_some() => self.serve_secure(key, flags),
            State::Open => self.read(key, flags),
            State::Writing(_) => self.write_on(key),
            State::Farewell { .. } => self.discard(key),
        }
    }

    /// A connection was accepted. Its first request is often there already, and then it may never have to be watched.
    #[inline]
    pub(super) fn begin(&mut self, key: Key) {
        self.read(key, EventFlags::IN);
        if self.table.get_mut(key).is_some_and(|session| !session.watched) {
            self.watch(key, Interest::Read);
        }
    }

    /// Reads what has come, at most [`READS_PER_TURN_MAX`] times, and answers it.
    fn read(&mut self, key: Key, flags: EventFlags) {
        // An edge that tells of the end of the stream is not repeated: read until it is seen.
        let has_end = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        for _ in 0..READS_PER_TURN_MAX {
            let Some(session) = self.table.get_mut(key) else { return };
            let kept = session.rest.len();
            let room = &mut self.input[kept..kept + READ_BYTES_MAX];
            match rustix::net::recv(&session.socket, room, RecvFlags::DONTWAIT) {
                Ok((0, _)) => {
                    let reason = if session.is_idle() { Closed::ByClient } else { Closed::Truncated };
                    return self.close(key, reason);
                }
                Ok((bytes, _)) => {
                    self.counters.bytes_in(bytes as u64);
                    self.input[..kept].copy_from_slice(&session.rest);
                    if self.exchange(key, kept + bytes) == Exchanged::Parked {
                        return;
                    }
                    if bytes < READ_BYTES_MAX && !has_end {
                        return; // The socket is empty, and the next byte is a new edge.
                    }
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(_) => return self.close(key, Closed::SocketError),
            }
        }
        // There is more: the others come first. The rearmed socket reports at once.
        self.watch(key, Interest::Read);
    }

    /// Answers the first `filled` bytes of the input buffer, and writes the replies.
    #[inline]
    pub(super) fn exchange(&mut self, key: Key, filled: usize) -> Exchanged {
        let Some(session) = self.table.get_mut(key) else { return Exchanged::Parked };
        if self.draining {
            session.protocol.drain();
        }
        let mut start = 0;
        loop {
            self.output.clear();
            let mut replier = Replier {
                snapshot: self.view.current(),
                clock: &self.clock,
                server: &self.server,
                counters: &self.counters,
                sampler: self.sampler.as_mut(),
                scout: self.scout.as_mut(),
                recorder: self.recorder.as_mut(),
                peer: session.peer,
                names: session.tls.as_ref().and_then(|stream| stream.names()).map(Arc::as_ref),
                surroundings: &self.surroundings,
                proxies: &self.proxies,
                outer_secure: session.outer_secure,
                is_proxy: session.is_proxy,
                is_forwarding: session.is_forwarding,
                answered: 0,
            };
            let input = &self.input[start..filled];
            let advanced = catch_unwind(AssertUnwindSafe(|| {
                let (output, scratch, now) = (&mut self.output, &mut self.scratch, self.clock.now());
                session.protocol.advance(&self.limits, input, output, scratch, &mut replier, now)
            }));
            // A request that makes us panic costs its sender the connection, and nobody else anything.
            let Ok(advanced) = advanced else {
                self.close(key, Closed::Defect);
                return Exchanged::Parked;
            };
            let answered = replier.answered;
            start += advanced.consumed;

            let then = match advanced.next {
                Next::Read | Next::Flush => Then::Continue,
                Next::Close(ending) => Then::End(ending),
            };
            let wire = match (&mut session.tls, &mut self.secure) {
                (Some(stream), Some(Secure { sealed, .. })) => {
                    let closing = matches!(then, Then::End(_));
                    if (closing || !self.output.is_empty())
                        && stream.seal(&self.output, closing, sealed).is_err()
                    {
                        self.close(key, Closed::TlsRecords);
                        return Exchanged::Parked;
                    }
                    sealed
                }
                _ => &mut self.output,
            };
            if !wire.is_empty() {
                let sent = match send(&session.socket, wire) {
                    Ok(sent) => sent,
                    Err(_) => {
                        self.close(key, Closed::SocketError);
                        return Exchanged::Parked;
                    }
                };
                self.counters.bytes_out(sent as u64);
                if answered > 0 {
                    let latency = Instant::now().saturating_duration_since(self.clock.now());
                    self.counters.served(latency, answered);
                }
                if sent < wire.len() {
                    session.keep_rest(&self.input[start..filled]);
                    // Allocates: a client that does not read its replies pays with its own copy of them.
                    let bytes = wire[sent..].to_vec();
                    session.state = State::Writing(Unsent { bytes, sent: 0, then });
                    self.deadlines.set(key.slot, self.clock.now() + self.limits.write_timeout);
                    self.watch(key, Interest::Write);
                    return Exchanged::Parked;
                }
                wire.clear();
            }
            match advanced.next {
                Next::Flush => {}
                Next::Read => {
                    session.keep_rest(&self.input[start..filled]);
                    self.deadlines.set(key.slot, session.protocol.deadline());
                    return Exchanged::Reading;
                }
                Next::Close(ending) => {
                    self.end(key, ending, filled - start);
                    return Exchanged::Parked;
                }
            }
        }
    }

    /// Says what the connection wants to say although nothing came.
    #[cold]
    pub(super) fn say_news(&mut self, key: Key) {
        let Some(session) = self.table.get_mut(key) else { return };
        if !matches!(session.state, State::Open) || !session.protocol.has_news() {
            return;
        }
        let kept = session.rest.len();
        self.input[..kept].copy_from_slice(&session.rest);
        if let Some(secure) = &mut self.secure {
            secure.sealed.clear();
        }
        self.exchange(key, kept);
    }

    /// Says the last words of a session that is idle, and closes it.
    #[cold]
    pub(super) fn dismiss(&mut self, key: Key) {
        let Some(session) = self.table.get_mut(key) else { return };
        self.output.clear();
        session.protocol.dismiss(&mut self.output);
        if let Ok(wire) = seal(&mut session.tls, &mut self.secure, &self.output, true)
            && !wire.is_empty()
            && let Ok(sent) = send(&session.socket, wire)
        {
            self.counters.bytes_out(sent as u64);
        }
        self.close(key, Closed::Drained);
    }

    /// The socket may take more of what is unsent.
    #[cold]
    fn write_on(&mut self, key: Key) {
        let Some(session) = self.table.get_mut(key) else { return };
        let State::Writing(unsent) = &mut session.state else { return };
        match send(&session.socket, &unsent.bytes[unsent.sent..]) {
            Ok(sent) => {
                self.counters.bytes_out(sent as u64);
                unsent.sent += sent;
            }
            Err(_) => return self.close(key, Closed::SocketError),
        }
        if unsent.sent < unsent.bytes.len() {
            return; // Written full again: the next room is a new edge.
        }
        let then = unsent.then;
        session.state = State::Open;
        let kept = session.rest.len();
        if session.tls.as_ref().is_some_and(|stream| !stream.is_open()) {
            // The client's part of the handshake comes next.
            return self.watch(key, Interest::Read);
        }
        if let Some(secure) = &mut self.secure {
            secure.sealed.clear();
        }
        match then {
            Then::End(ending) => self.end(key, ending, kept),
            Then::Continue => {
                self.input[..kept].copy_from_slice(&session.rest);
                if self.exchange(key, kept) == Exchanged::Reading {
                    self.watch(key, Interest::Read);
                }
            }
        }
    }

    /// The deadline of the session in `slot` has passed.
    #[cold]
    pub(super) fn expire(&mut self, slot: u32) {
        let Some(key) = self.table.key_at(slot) else { return };
        let Some(session) = self.table.get_mut(key) else { return };
        match session.state {
            State::Farewell { reason, .. } => self.drop_session(key, reason),
            State::Open | State::Writing(_)
                if session.tls.as_ref().is_some_and(|stream| !stream.is_open()) =>
            {
                self.expire_handshake(key);
            }
            State::Writing(_) => self.abort(key, Closed::WriteTimeout),
            State::Open => {
                self.output.clear();
                let mut replier = Replier {
                    snapshot: self.view.current(),
                    clock: &self.clock,
                    server: &self.server,
                    counters: &self.counters,
                    sampler: self.sampler.as_mut(),
                    scout: self.scout.as_mut(),
                    recorder: self.recorder.as_mut(),
                    peer: session.peer,
                    names: session.tls.as_ref().and_then(|stream| stream.names()).map(Arc::as_ref),
                    surroundings: &self.surroundings,
                    proxies: &self.proxies,
                    outer_secure: session.outer_secure,
                    is_proxy: session.is_proxy,
                    is_forwarding: session.is_forwarding,
                    answered: 0,
                };
                let (output, now) = (&mut self.output, self.clock.now());
                let next = session.protocol.expire(&self.limits, output, &mut replier, now);
                let closing = matches!(next, Next::Close(_));
                let Ok(wire) = seal(&mut session.tls, &mut self.secure, &self.output, closing) else {
                    return self.abort(key, Closed::TlsRecords);
                };
                // What the socket does not take is lost: whoever let it fill up did not answer for seconds.
                let sent = if wire.is_empty() { Ok(0) } else { send(&session.socket, wire) };
                let is_sent = sent == Ok(wire.len());
                self.counters.bytes_out(sent.unwrap_or(0) as u64);
                let rest_bytes = session.rest.len();
                match next {
                    Next::Close(ending) => self.end(key, ending, rest_bytes),
                    Next::Read if is_sent => {
                        self.deadlines.set(key.slot, session.protocol.deadline());
                    }
                    Next::Read | Next::Flush => self.abort(key, Closed::WriteTimeout),
                }
            }
        }
    }

    /// Ends a session for the protocol's reason; all replies are sent.
    fn end(&mut self, key: Key, ending: Ending, rest_bytes: usize) {
        let reason = Closed::from(ending);
        if needs_farewell(ending, rest_bytes) {
            self.say_farewell(key, Some(reason));
        } else {
            self.close(key, reason);
        }
    }

    /// Tells the client that nothing more comes, and waits a moment until it has closed, too.
    #[cold]
    pub(super) fn say_farewell(&mut self, key: Key, reason: Option<Closed>) {
        let Some(session) = self.table.get_mut(key) else { return };
        if rustix::net::shutdown(&session.socket, Shutdown::Write).is_err() {
            return self.drop_session(key, reason);
        }
        session.rest = Vec::new();
        session.state = State::Farewell { bytes_left: FAREWELL_BYTES_MAX, reason };
        self.deadlines.set(key.slot, self.clock.now() + FAREWELL);
        self.discard(key);
    }

    /// Throws away what a client sends after its last reply.
    #[cold]
    fn discard(&mut self, key: Key) {
        loop {
            let Some(session) = self.table.get_mut(key) else { return };
            let State::Farewell { bytes_left, reason } = &mut session.state else { return };
            let reason = *reason;
            match rustix::net::recv(&session.socket, &mut self.input[..], RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Ok((bytes, _)) if bytes > 0 && bytes <= *bytes_left => {
                    *bytes_left -= bytes;
                    self.counters.bytes_in(bytes as u64);
                }
                // The end of the stream, more than anybody throws away, or a reset.
                Ok(_) | Err(_) => return self.drop_session(key, reason),
            }
        }
    }

    /// Closes with a reset, which frees what the kernel holds for a client that does not read.
    #[cold]
    pub(super) fn abort(&mut self, key: Key, reason: Closed) {
        if let Some(session) = self.table.get_mut(key) {
            // A refusal only means that the kernel goes on trying for a while.
            let _ = rustix::net::sockopt::set_socket_linger(&session.socket, Some(Duration::ZERO));
        }
        self.close(key, reason);
    }

    /// Closes a session's socket and counts why.
    #[inline]
    pub(super) fn close(&mut self, key: Key, reason: Closed) {
        self.drop_session(key, Some(reason));
    }

    /// Closes a session's socket; `None` for one that was counted when it was shed.
    #[inline]
    pub(super) fn drop_session(&mut self, key: Key, reason: Option<Closed>) {
        let Some(session) = self.table.remove(key) else { return };
        self.deadlines.clear(key.slot);
        match session.source {
            Some(source) => self.sources.leave(source),
            None => self.shed_farewells -= 1,
        }
        if let Some(reason) = reason {
            self.counters.closed(reason);
        }
    }

    /// Reports `key` when its socket is ready, at once if it is already.
    pub(super) fn watch(&mut self, key: Key, interest: Interest) {
        let Some(session) = self.table.get_mut(key) else { return };
        let (socket, number) = (session.socket.as_fd(), key.to_bits());
        let result = if std::mem::replace(&mut session.watched, true) {
            self.ready.rearm(socket, number, interest)
        } else {
            self.ready.add(socket, number, interest)
        };
        if result.is_err() {
            // The kernel is out of memory for watches (fs.epoll.max_user_watches).
            let reason = session.source.map(|_| Closed::SocketError);
            self.drop_session(key, reason);
        }
    }
}

/// Writes what the socket takes without waiting, which may be nothing.
#[inline]
pub(super) fn send(socket: &std::os::fd::OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
    loop {
        match rustix::net::send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN) => return Ok(0),
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
