//! HOT: TLS between sockets and protocols: handshakes under a budget, records in and out.
//!
//! A handshake costs as much as ten requests. Those that need public-key operations wait in a queue, and a turn works on it
//! for a bounded time, after everything else was served: a flood of handshakes delays other handshakes, not requests.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use rustix::event::epoll::EventFlags;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use rustix::net::RecvFlags;

use crate::limits::{HANDSHAKES_PER_TURN, READ_BYTES_MAX, READS_PER_TURN_MAX};
use crate::metrics::Closed;
use crate::protocol::{Protocol, Speech};
use crate::redirect::{Stamp, reply};
use crate::scanners::Deed;
use crate::tls::stream::{Broken, Stream};
use crate::tls::{Acceptor, Application, HandshakeFailure};

use super::Shard;
use super::readiness::{Interest, ReadySet};
use super::serve::{Exchanged, send};
use super::session::{State, Then, Unsent};
use super::table::Key;

/// The event that no socket has: handshakes wait for the next turn.
pub(super) const DOORBELL_NUMBER: u64 = u64::MAX;

/// The first byte of a record that begins a handshake (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// What a shard needs for TLS.
pub(super) struct Secure {
    acceptor: Acceptor,
    /// Connections whose next bytes need public-key operations, oldest first.
    waiting: VecDeque<Key>,
    /// Readable while anybody waits, so that the next turn comes at once.
    doorbell: OwnedFd,
    rings: bool,
    /// Records as they come, behind the beginning of one that came before.
    cipher: Box<[u8]>,
    /// Records as they go.
    pub(super) sealed: Vec<u8>,
}

impl Secure {
    /// Handshakes by `acceptor`, for the connections that `ready` watches.
    pub(super) fn new(acceptor: Acceptor, ready: &ReadySet) -> Result<Self, Errno> {
        let doorbell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        ready.add_listener(doorbell.as_fd(), DOORBELL_NUMBER)?;
        Ok(Self {
            acceptor,
            waiting: VecDeque::new(),
            doorbell,
            rings: false,
            cipher: vec![0; READ_BYTES_MAX].into_boxed_slice(),
            sealed: Vec::new(),
        })
    }

    /// Makes streams.
    pub(super) fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }

    /// Makes the next turn come at once, or not.
    fn ring(&mut self, rings: bool) {
        if rings == self.rings {
            return;
        }
        // Neither can fail: the counter is 0 or 1, and nothing blocks.
        let done = if rings {
            rustix::io::write(&self.doorbell, &1_u64.to_ne_bytes())
        } else {
            rustix::io::read(&self.doorbell, &mut [0_u8; 8])
        };
        debug_assert!(done.is_ok(), "an event counter takes one and gives it back");
        self.rings = rings;
    }
}

impl Shard {
    /// The socket of a secure connection is readable.
    #[inline]
    pub(super) fn serve_secure(&mut self, key: Key, flags: EventFlags) {
        let Some(session) = self.table.get_mut(key) else { return };
        let Some(stream) = &session.tls else { return };
        if stream.is_cheap() {
            return self.read_secure(key, flags);
        }
        // An edge is told once: what it said is kept until the turn comes.
        let was_waiting = session.deferred.is_some();
        let before = session.deferred.unwrap_or(EventFlags::empty());
        session.deferred = Some(before | flags);
        if !was_waiting && let Some(secure) = &mut self.secure {
            secure.waiting.push_back(key);
        }
    }

    /// Works on handshakes that wait, for a bounded time.
    pub(super) fn shake_hands(&mut self) {
        let Some(secure) = &self.secure else { return };
        if secure.waiting.is_empty() {
            return;
        }
        let began = Instant::now();
        while let Some(key) = self.secure.as_mut().and_then(|secure| secure.waiting.pop_front()) {
            let Some(session) = self.table.get_mut(key) else { continue };
            let flags = session.deferred.take().unwrap_or(EventFlags::IN);
            self.read_secure(key, flags);
            if self.table.get_mut(key).is_some_and(|session| !session.watched) {
                self.watch(key, Interest::Read);
            }
            if began.elapsed() >= HANDSHAKES_PER_TURN {
                break;
            }
        }
        if let Some(secure) = &mut self.secure {
            self.counters.handshakes_waiting(secure.waiting.len() as u64);
            secure.ring(!secure.waiting.is_empty());
        }
    }

    /// Reads records, at most [`READS_PER_TURN_MAX`] times, and answers what is in them.
    fn read_secure(&mut self, key: Key, flags: EventFlags) {
        // An edge that tells of the end of the stream is not repeated: read until it is seen.
        let has_end = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        for _ in 0..READS_PER_TURN_MAX {
            let Some(session) = self.table.get_mut(key) else { return };
            let (Some(stream), Some(secure)) = (&session.tls, &mut self.secure) else { return };
            let kept = stream.rest().len();
            let room = &mut secure.cipher[kept..];
            let room_bytes = room.len();
            match rustix::net::recv(&session.socket, room, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return self.end_of_stream(key),
                Ok((bytes, _)) => {
                    self.counters.bytes_in(bytes as u64);
                    secure.cipher[..kept].copy_from_slice(stream.rest());
                    if self.unseal(key, kept + bytes, has_end) == Exchanged::Parked {
                        return;
                    }
                    if bytes < room_bytes && !has_end {
                        return; // The socket is empty, and the next byte is a new edge.
                    }
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(_) => {
                    if stream.has_begun() && !stream.is_open() {
                        self.counters.handshake_failed(HandshakeFailure::Truncated);
                    }
                    return self.close(key, Closed::SocketError);
                }
            }
        }
        // There is more: the others come first. The rearmed socket reports at once.
        self.watch(key, Interest::Read);
    }

    /// Takes the first `filled` bytes of records apart, and lets the protocol answer what is in them. With `has_end` the
    /// client has sent all that it will.
    fn unseal(&mut self, key: Key, filled: usize, has_end: bool) -> Exchanged {
        let Some(session) = self.table.get_mut(key) else { return Exchanged::Parked };
        let (Some(stream), Some(secure)) = (&mut session.tls, &mut self.secure) else {
            return Exchanged::Parked;
        };
        let Secure { acceptor, cipher, sealed, .. } = secure;
        sealed.clear();
        let cipher = &mut cipher[..filled];
        if cipher[0] != HANDSHAKE_RECORD && !stream.has_begun() {
            return self.refuse_cleartext(key, cipher_is_http(self.secure.as_ref(), filled));
        }
        if has_end && !stream.is_cheap() {
            // It will not complete the handshake: a flood that does not wait for answers gets no signatures either.
            self.counters.handshake_failed(HandshakeFailure::Truncated);
            self.close(key, Closed::Handshake);
            return Exchanged::Parked;
        }
        let kept = session.rest.len();
        self.input[..kept].copy_from_slice(&session.rest);
        let plain = &mut self.input[kept..kept + filled];
        let received =
            catch_unwind(AssertUnwindSafe(|| stream.receive(cipher, plain, sealed, acceptor.choice())));
        // Records that make us panic cost their sender the connection, and nobody else anything.
        let Ok(received) = received else {
            self.close(key, Closed::Defect);
            return Exchanged::Parked;
        };
        let received = received.and_then(|received| {
            stream.keep_rest(&cipher[received.consumed..])?;
            Ok(received)
        });
        let received = match received {
            Ok(received) => received,
            Err(broken) => {
                self.give_up(key, &broken);
                return Exchanged::Parked;
            }
        };
        if stream.opened() {
            self.counters.handshake_done(stream.handshake(), stream.is_post_quantum());
            let speech = match stream.application() {
                Application::Http1 => Speech::Http1,
                Application::Http2 => Speech::Http2,
            };
            session.protocol = Protocol::new(speech, &self.limits, self.clock.now());
            self.deadlines.set(key.slot, session.protocol.deadline());
        }
        // Without input, too: the tickets go out, and with them what HTTP/2 has to say first.
        let exchanged =
            if stream.is_open() { self.exchange(key, kept + received.plain) } else { self.send_sealed(key) };
        if received.closed && exchanged == Exchanged::Reading {
            self.end_of_stream(key);
            return Exchanged::Parked;
        }
        exchanged
    }

    /// Sends the node's part of a handshake.
    fn send_sealed(&mut self, key: Key) -> Exchanged {
        let Some(session) = self.table.get_mut(key) else { return Exchanged::Parked };
        let Some(Secure { sealed, .. }) = &mut self.secure else { return Exchanged::Parked };
        if sealed.is_empty() {
            return Exchanged::Reading;
        }
        let Ok(sent) = send(&session.socket, sealed) else {
            self.counters.handshake_failed(HandshakeFailure::Truncated);
            self.close(key, Closed::SocketError);
            return Exchanged::Parked;
        };
        self.counters.bytes_out(sent as u64);
        if sent == sealed.len() {
            return Exchanged::Reading;
        }
        // Allocates: a chain is longer than what the kernel takes at once only if its buffers are full. The deadline stays.
        let bytes = sealed[sent..].to_vec();
        session.state = State::Writing(Unsent { bytes, sent: 0, then: Then::Continue });
        self.watch(key, Interest::Write);
        Exchanged::Parked
    }

    /// The client has closed, with or without saying so.
    #[cold]
    pub(super) fn end_of_stream(&mut self, key: Key) {
        let Some(session) = self.table.get_mut(key) else { return };
        let reason = match &session.tls {
            Some(stream) if !stream.is_open() && stream.has_begun() => {
                self.counters.handshake_failed(HandshakeFailure::Truncated);
                Closed::Handshake
            }
            // Who connects and says nothing only looks whether somebody is there.
            Some(stream) if !stream.is_open() => Closed::ByClient,
            _ if session.is_idle() => Closed::ByClient,
            _ => Closed::Truncated,
        };
        self.close(key, reason);
    }

    /// The handshake was not completed in time.
    #[cold]
    pub(super) fn expire_handshake(&mut self, key: Key) {
        self.counters.handshake_failed(HandshakeFailure::Timeout);
        self.abort(key, Closed::Handshake);
    }

    /// Tells the client why, if there is anything to tell, and closes.
    #[cold]
    fn give_up(&mut self, key: Key, broken: &Broken) {
        let Some(session) = self.table.get_mut(key) else { return };
        if let Some(Secure { sealed, .. }) = &mut self.secure
            && !sealed.is_empty()
            && let Ok(sent) = send(&session.socket, sealed)
        {
            self.counters.bytes_out(sent as u64);
        }
        let (peer, is_proxy) = (session.peer, session.is_proxy);
        match broken {
            Broken::Handshake(failure) => {
                self.counters.handshake_failed(*failure);
                if let Some(deed) = Deed::of_handshake(*failure)
                    && !is_proxy
                {
                    self.note(peer, deed);
                }
                self.close(key, Closed::Handshake);
            }
            Broken::Records => self.close(key, Closed::TlsRecords),
        }
    }

    /// What came first is no TLS: HTTP gets an answer that a person understands.
    #[cold]
    fn refuse_cleartext(&mut self, key: Key, is_http: bool) -> Exchanged {
        if !is_http {
            self.give_up(key, &Broken::Handshake(HandshakeFailure::NotTls));
            return Exchanged::Parked;
        }
        self.counters.handshake_failed(HandshakeFailure::PlainHttp);
        let Some(session) = self.table.get_mut(key) else { return Exchanged::Parked };
        self.output.clear();
        let stamp = Stamp { date: self.clock.date(), server: &self.server };
        reply::render_plain_on_secure(&stamp, &mut self.output);
        if let Ok(sent) = send(&session.socket, &self.output) {
            self.counters.bytes_out(sent as u64);
        }
        self.say_farewell(key, Some(Closed::Handshake));
        Exchanged::Parked
    }

    /// Holds a deed against its sender, or for it.
    #[cold]
    fn note(&mut self, peer: std::net::SocketAddr, deed: Deed) {
        if let Some(scout) = &mut self.scout {
            self.counters.noted(scout.note(peer.ip(), deed, self.clock.now()));
        }
    }
}

/// What goes to the socket for `plain`: over TLS the records that hold it, with `closing` also the notice that nothing more
/// comes; else itself.
///
/// # Errors
///
/// The connection can send nothing more.
#[cold]
pub(super) fn seal<'a>(
    tls: &mut Option<Box<Stream>>,
    secure: &'a mut Option<Secure>,
    plain: &'a [u8],
    closing: bool,
) -> Result<&'a [u8], Broken> {
    let (Some(stream), Some(Secure { sealed, .. })) = (tls, secure) else { return Ok(plain) };
    sealed.clear();
    if closing || !plain.is_empty() {
        stream.seal(plain, closing, sealed)?;
    }
    Ok(sealed)
}

/// Whether the first bytes look like a request line: a method begins with capitals.
#[cold]
fn cipher_is_http(secure: Option<&Secure>, filled: usize) -> bool {
    let start = secure.map_or(&[][..], |secure| &secure.cipher[..filled.min(3)]);
    start.len() == 3 && start.iter().all(u8::is_ascii_uppercase)
}
