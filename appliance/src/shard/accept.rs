//! Takes connections from the listeners of a shard, or turns them away with a reason that is counted.

use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{SendFlags, SocketFlags};
use socket2::Socket;

use crate::limits::ACCEPTS_PER_TURN_MAX;
use crate::metrics::{Closed, Shed};
use crate::redirect::{Stamp, reply};

use super::Shard;
use super::listen::ignore_new_handshakes;
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

/// A listening socket of a shard.
pub(super) struct Listener {
    socket: Socket,
    /// Reports nothing until the next tick, because `accept` failed.
    paused: bool,
}

/// When the log last said that `accept` failed.
pub(super) type AcceptComplained = Option<Instant>;

/// One such line per shard in this time.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

impl Shard {
    /// Begins to accept connections from `sockets`.
    pub(super) fn open(&mut self, sockets: Vec<Socket>) -> Result<(), Errno> {
        for socket in sockets {
            let number = LISTENER_NUMBERS | self.listeners.len() as u64;
            self.ready.add_listener(socket.as_fd(), number)?;
            self.listeners.push(Listener { socket, paused: false });
        }
        Ok(())
    }

    /// Takes connections that wait on a listener, at most [`ACCEPTS_PER_TURN_MAX`]; what is left is reported again.
    pub(super) fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            let Some(listener) = self.listeners.get(index) else { return };
            match rustix::net::acceptfrom_with(&listener.socket, SocketFlags::CLOEXEC) {
                Ok((socket, peer)) => {
                    self.counters.accepted();
                    match peer.and_then(|peer| SocketAddr::try_from(peer).ok()) {
                        Some(peer) => self.admit(socket, peer),
                        // The kernel always names the peer of a TCP connection.
                        None => self.counters.closed(Closed::SocketError),
                    }
                }
                Err(Errno::AGAIN) => return,
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
                Err(error) => return self.pause(index, error),
            }
        }
    }

    /// Listeners that were paused try again.
    pub(super) fn resume_listeners(&mut self) {
        for (index, listener) in self.listeners.iter_mut().enumerate().filter(|(_, listener)| listener.paused)
        {
            let number = LISTENER_NUMBERS | index as u64;
            listener.paused = self.ready.resume_listener(listener.socket.as_fd(), number).is_err();
        }
    }

    /// Lets handshakes under way complete, and ignores new ones.
    pub(super) fn ignore_new_clients(&mut self) {
        for listener in &self.listeners {
            if let Err(error) = ignore_new_handshakes(&listener.socket) {
                tracing::warn!(%error, "cannot filter handshakes: connections may be reset when the listeners close");
            }
        }
    }

    /// Takes what waits in the queues, and closes the listeners.
    pub(super) fn close_listeners(&mut self) {
        for index in 0..self.listeners.len() {
            self.accept(index);
        }
        self.listeners.clear();
    }

    /// Finds a place for a connection, or sheds it.
    fn admit(&mut self, socket: OwnedFd, peer: SocketAddr) {
        let source = Source::from(peer.ip());
        if self.table.len() - self.shed_farewells >= self.connections_max {
            return self.shed(socket, peer, Shed::ShardFull);
        }
        if !self.sources.enter(source) {
            return self.shed(socket, peer, Shed::SourceFull);
        }
        let session = Session::new(socket, peer, Some(source), &self.limits, self.clock.now());
        let deadline = session.connection.deadline();
        let key = self.table.insert(session);
        self.deadlines.set(key.slot, deadline);
        self.begin(key);
    }

    /// Answers 503 with one write that does not wait, and lets the client go.
    #[cold]
    fn shed(&mut self, socket: OwnedFd, peer: SocketAddr, reason: Shed) {
        self.counters.shed(reason);
        if self.shed_farewells >= self.shed_farewells_max {
            return; // Closed without a reply.
        }
        self.output.clear();
        let stamp = Stamp { date: self.clock.date(), server: &self.server };
        reply::render_shed(&stamp, &mut self.output);
        match rustix::net::send(&socket, &self.output, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(bytes) => self.counters.bytes_out(bytes as u64),
            Err(_) => return,
        }
        let session = Session::new(socket, peer, None, &self.limits, self.clock.now());
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
        let listener = &mut self.listeners[index];
        listener.paused = true;
        let number = LISTENER_NUMBERS | index as u64;
        // If even this fails, the listener is reported again at once, and a turn is spent on it: nothing is lost.
        let _ = self.ready.pause_listener(listener.socket.as_fd(), number);
    }
}
