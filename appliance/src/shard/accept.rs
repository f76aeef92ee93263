//! Takes connections from the listeners of a shard, or turns them away with a reason that is counted.

use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::limits::{ACCEPTS_PER_TURN_MAX, BACKLOG};
use crate::metrics::{Closed, Shed};
use crate::protocol::Speech;
use crate::redirect::{Stamp, reply};
use crate::tls::HandshakeFailure;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{SendFlags, SocketFlags};

use super::Shard;
use super::listen::{Listening, ignore_new_handshakes};
use super::readiness::Interest;
use super::session::Session;
use super::sources::Source;

/// Event numbers that begin with the generation that no connection has name listeners.
const LISTENER_NUMBERS: u64 = (u32::MAX as u64) << 32;

/// The index of the listener that an event number names, if it names one.
#[inline]
pub(super) fn listener_index(number: u64) -> Option<usize> {
    (number >= LISTENER_NUMBERS).then_some((number & u64::from(u32::MAX)) as usize)
}

/// The listening sockets of a shard. Whoever runs the shard has a weak handle of them, to make them deaf if the shard dies.
#[derive(Default)]
pub(super) struct Listeners {
    sockets: Rc<Vec<Listening>>,
    /// How many of the addresses, the first ones, speak clear text; the others speak TLS.
    plain: usize,
    /// Which of them report nothing until the next tick, because `accept` failed.
    paused: Vec<bool>,
}

/// When the log last said that `accept` failed.
pub(super) type AcceptComplained = Option<Instant>;

/// One such line per shard in this time.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

impl Shard {
    /// Begins to accept connections from `sockets`.
    pub(super) fn open(&mut self, sockets: Rc<Vec<Listening>>) -> Result<(), Errno> {
        for (index, listening) in sockets.iter().enumerate() {
            self.ready.add_listener(listening.socket.as_fd(), LISTENER_NUMBERS | index as u64)?;
        }
        let plain = self.plain_listeners;
        self.listeners = Listeners { plain, paused: vec![false; sockets.len()], sockets };
        Ok(())
    }

    /// Takes connections that wait on a listener, at most [`ACCEPTS_PER_TURN_MAX`]; what is left is reported again. True if
    /// there may be more.
    pub(super) fn accept(&mut self, index: usize) -> bool {
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            let Some(listener) = self.listeners.sockets.get(index) else { return false };
            let is_secure = listener.address >= self.listeners.plain;
            match rustix::net::acceptfrom_with(&listener.socket, SocketFlags::CLOEXEC) {
                Ok((socket, peer)) => {
                    self.counters.accepted();
                    match peer.and_then(|peer| SocketAddr::try_from(peer).ok()) {
                        Some(peer) => self.admit(socket, peer, is_secure),
                        // The kernel always names the peer of a TCP connection.
                        None => self.counters.closed(Closed::SocketError),
                    }
                }
                Err(Errno::AGAIN) => return false,
                // The client gave up in the queue, or the network failed for it (accept(2), "Error handling").
                Err(
                    Errno::INTR
                    | Errno::CONNABORTED
                    | Errno::PROTO
                    | Errno::NETDOWN
                    | Errno::NETUNREACH
                    | Errno::HOSTDOWN
                    | Errno::HOSTUNREACH
                    | Errno::NOPROTOOPT
                    | Errno::NONET
                    | Errno::OPNOTSUPP
                    | Errno::PERM,
                ) => {}
                Err(error) => {
                    self.pause(index, error);
                    return false;
                }
            }
        }
        true
    }

    /// Listeners that were paused try again.
    pub(super) fn resume_listeners(&mut self) {
        let Listeners { sockets, plain: _, paused } = &mut self.listeners;
        for (index, (listening, paused)) in
            sockets.iter().zip(paused).enumerate().filter(|(_, (_, paused))| **paused)
        {
            let number = LISTENER_NUMBERS | index as u64;
            *paused = self.ready.resume_listener(listening.socket.as_fd(), number).is_err();
        }
    }

    /// Lets handshakes under way complete, and ignores new ones.
    pub(super) fn ignore_new_clients(&self) {
        for listener in self.listeners.sockets.iter() {
            if let Err(error) = ignore_new_handshakes(&listener.socket) {
                tracing::warn!(%error, "cannot filter handshakes: connections may be reset when the listeners close");
            }
        }
    }

    /// Takes its hands off the listeners that another process has taken over: what waits in their queues is that one's.
    pub(super) fn leave_listeners(&mut self) {
        let own: Vec<Listening> = self
            .listeners
            .sockets
            .iter()
            .filter(|one| !self.stage.is_handed_over(one.address))
            .cloned()
            .collect();
        if own.len() == self.listeners.sockets.len() {
            return;
        }
        for listening in self.listeners.sockets.iter() {
            // As long as the other process has the socket, closing it here would not take it out of the set.
            if let Err(error) = self.ready.remove_listener(listening.socket.as_fd()) {
                tracing::error!(shard = self.index, %error, "cannot let go of a listener");
            }
        }
        self.listeners = Listeners::default();
        if let Err(error) = self.open(Rc::new(own)) {
            tracing::error!(shard = self.index, %error, "cannot watch the listeners that are left");
        }
    }

    /// Takes what waits in the queues, which no longer grow, and closes the listeners.
    pub(super) fn close_listeners(&mut self) {
        for index in 0..self.listeners.sockets.len() {
            let mut rounds_left = BACKLOG.max / ACCEPTS_PER_TURN_MAX as u64;
            while self.accept(index) && rounds_left > 0 {
                rounds_left -= 1;
            }
        }
        self.listeners = Listeners::default();
    }

    /// Finds a place for a connection, or sheds it.
    fn admit(&mut self, socket: OwnedFd, peer: SocketAddr, is_secure: bool) {
        let source = Source::from(peer.ip());
        if self.table.len() - self.shed_farewells >= self.connections_max {
            return self.shed(socket, peer, is_secure, Shed::ShardFull);
        }
        let awaits_header = self.proxies.announce(peer.ip());
        let is_forwarding = self.proxies.forward(peer.ip());
        let is_proxy = awaits_header || is_forwarding;
        if is_proxy {
            self.sources.enter_without_bound(source);
        } else if !self.sources.enter(source) {
            return self.shed(socket, peer, is_secure, Shed::SourceFull);
        }
        let now = self.clock.now();
        // What is spoken inside of TLS is agreed upon in the handshake.
        let speech = if is_secure { Speech::Http1 } else { self.speech };
        let mut session = Session::new(socket, peer, Some(source), speech, &self.limits, now);
        (session.awaits_header, session.is_forwarding, session.is_proxy) =
            (awaits_header, is_forwarding, is_proxy);
        let mut deadline = session.protocol.deadline();
        if is_secure {
            let stream = self.secure.as_ref().map(|secure| secure.acceptor().stream());
            let Some(Ok(stream)) = stream else {
                self.sources.leave(source);
                self.counters.handshake_failed(HandshakeFailure::Node);
                return self.counters.closed(Closed::Handshake);
            };
            session.tls = Some(Box::new(stream));
            deadline = now + self.handshake_timeout;
        }
        let key = self.table.insert(session);
        self.deadlines.set(key.slot, deadline);
        if awaits_header {
            self.read_header(key, EventFlags::IN);
        } else if is_secure {
            self.serve_secure(key, EventFlags::IN);
        } else {
            self.begin(key);
        }
    }

    /// Answers 503 with one write that does not wait, and lets the client go. Over TLS that would cost a handshake, which is
    /// what there is no room for.
    #[cold]
    fn shed(&mut self, socket: OwnedFd, peer: SocketAddr, is_secure: bool, reason: Shed) {
        self.counters.shed(reason);
        if is_secure || self.shed_farewells >= self.shed_farewells_max {
            return; // Closed without a reply.
        }
        self.output.clear();
        let stamp = Stamp { date: self.clock.date(), server: &self.server };
        reply::render_shed(&stamp, &mut self.output);
        match rustix::net::send(&socket, &self.output, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(bytes) => self.counters.bytes_out(bytes as u64),
            Err(_) => return,
        }
        let session = Session::new(socket, peer, None, Speech::Http1, &self.limits, self.clock.now());
        let key = self.table.insert(session);
        self.shed_farewells += 1;
        self.say_farewell(key, None);
        self.watch(key, Interest::Read);
    }

    /// `accept` failed in a way that would fail again at once: the connection stays in the queue until the next tick.
    #[cold]
    fn pause(&mut self, index: usize, error: Errno) {
        let reason = match error {
            Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => Shed::DescriptorsSpent,
            _ => Shed::AcceptFailed,
        };
        self.counters.shed(reason);
        let now = self.clock.now();
        if self.accept_complained.is_none_or(|at| now.saturating_duration_since(at) > COMPLAINT_INTERVAL) {
            self.accept_complained = Some(now);
            tracing::warn!(
                shard = self.index,
                %error,
                open = self.table.len(),
                "cannot accept connections; they wait in the queue (said once a minute)"
            );
        }
        let number = LISTENER_NUMBERS | index as u64;
        let paused = self.ready.pause_listener(self.listeners.sockets[index].socket.as_fd(), number);
        // If even this fails, the listener is reported again at once, and a turn is spent on it: nothing is lost.
        self.listeners.paused[index] = paused.is_ok();
    }
}
