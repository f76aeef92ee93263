//! HOT: one connection as a shard remembers it, between two events: a socket, a protocol state, and no buffer unless it must.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::event::epoll::EventFlags;

use crate::http::Ending;
use crate::limits::HttpLimits;
use crate::metrics::Closed;
use crate::protocol::{Protocol, Speech};
use crate::tls::Stream;

use super::sources::Source;

/// A connection of a shard.
pub(super) struct Session {
    /// Closed when the session is dropped.
    pub(super) socket: OwnedFd,
    /// Who is at the other end, as far as a balancer has said so.
    pub(super) peer: SocketAddr,
    /// As whom the connection is counted; `None` for one that was shed.
    pub(super) source: Option<Source>,
    /// The connection begins with a PROXY header, which has not come yet.
    pub(super) awaits_header: bool,
    /// The client speaks TLS with the balancer.
    pub(super) outer_secure: bool,
    /// `peer` is a proxy: what it sends is not its own doing.
    pub(super) is_proxy: bool,
    /// `peer` says in a field of each request who sent it.
    pub(super) is_forwarding: bool,
    /// Whether the socket is in the ready set. One that is answered at once never gets there.
    pub(super) watched: bool,
    /// The TLS below the protocol; `None` for a connection in clear text.
    pub(super) tls: Option<Box<Stream>>,
    /// The events of a handshake that waits for its turn.
    pub(super) deferred: Option<EventFlags>,
    /// What the protocol says.
    pub(super) protocol: Protocol,
    /// Input that is not consumed yet: the start of a head; empty for an idle connection.
    pub(super) rest: Vec<u8>,
    /// What happens next.
    pub(super) state: State,
}

/// What a session does with the next event.
pub(super) enum State {
    /// It reads requests and answers them.
    Open,
    /// It waits until the socket takes the rest of a batch of replies.
    Writing(Unsent),
    /// Its last reply is sent; what still comes is thrown away until the client closes.
    Farewell {
        /// Bytes that may still be thrown away.
        bytes_left: usize,
        /// Why it ends; `None` for one that was shed.
        reason: Option<Closed>,
    },
}

/// Replies that the socket did not take at once.
pub(super) struct Unsent {
    /// All of it.
    pub(super) bytes: Vec<u8>,
    /// How much of it the socket has taken.
    pub(super) sent: usize,
    /// What follows when it is all taken.
    pub(super) then: Then,
}

/// What follows a batch of replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The rest of the input is looked at again, and then more is read.
    Continue,
    /// The connection ends.
    End(Ending),
}

// Tens of thousands of them may be idle: little more than 3 cache lines, and the kernel's socket.
const _: () = assert!(size_of::<Session>() <= 200);

impl Session {
    /// A session whose connection was accepted at `now`.
    pub(super) fn new(
        socket: OwnedFd,
        peer: SocketAddr,
        source: Option<Source>,
        speech: Speech,
        limits: &HttpLimits,
        now: Instant,
    ) -> Self {
        Self {
            socket,
            peer,
            source,
            awaits_header: false,
            outer_secure: false,
            is_proxy: false,
            is_forwarding: false,
            watched: false,
            tls: None,
            deferred: None,
            protocol: Protocol::new(speech, limits, now),
            rest: Vec::new(),
            state: State::Open,
        }
    }

    /// True if closing it takes nothing from the client: it is between two requests, and has all its replies.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Open)
            && self.protocol.is_idle()
            && self.rest.is_empty()
            && self.tls.as_ref().is_none_or(|stream| stream.is_open() && stream.rest().is_empty())
    }

    /// Keeps what was not consumed, or gives the memory back if there is nothing to keep.
    #[inline]
    pub(super) fn keep_rest(&mut self, rest: &[u8]) {
        if !rest.is_empty() {
            self.rest.clear();
            self.rest.extend_from_slice(rest);
        } else if self.rest.capacity() > 0 {
            self.rest = Vec::new();
        }
    }
}

/// Whether the client may still be sending when a connection ends so, after `rest_bytes` of unconsumed input: then closing
/// at once would reset the connection, and the reset would destroy the reply.
pub(super) fn needs_farewell(ending: Ending, rest_bytes: usize) -> bool {
    match ending {
        Ending::Finished => rest_bytes > 0,
        Ending::Idle => false,
        Ending::RequestsSpent
        | Ending::Drained
        | Ending::BodyUnread
        | Ending::Refused(_)
        | Ending::Offended(_) => true,
    }
}
