//! Connections from a balancer: the PROXY header is taken off before TLS and before HTTP, and says whose connection it is.

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::RecvFlags;

use crate::limits::PROXY_HEADER_BYTES_MAX;
use crate::metrics::{Closed, Shed};
use crate::proxies::header::{Header, parse};
use crate::proxies::{Announced, HeaderFault};

use super::Shard;
use super::readiness::Interest;
use super::sources::Source;
use super::table::Key;

/// How often a balancer that speaks otherwise than agreed is complained about.
const COMPLAINT_INTERVAL: std::time::Duration = std::time::Duration::from_secs(60);

impl Shard {
    /// Takes the header off a connection, if it is there. What stands behind it stays in the socket for who reads next.
    pub(super) fn read_header(&mut self, key: Key, flags: EventFlags) {
        let Some(session) = self.table.get_mut(key) else { return };
        let mut start = [0; PROXY_HEADER_BYTES_MAX];
        let seen = loop {
            match rustix::net::recv(&session.socket, &mut start, RecvFlags::DONTWAIT | RecvFlags::PEEK) {
                Ok((0, _)) => return self.close(key, Closed::ByClient),
                Ok((bytes, _)) => break bytes,
                Err(Errno::AGAIN) => return self.wait_for_header(key),
                Err(Errno::INTR) => {}
                Err(_) => return self.close(key, Closed::SocketError),
            }
        };
        match parse(&start[..seen]) {
            // The end of the stream would be told again with every look.
            Header::Partial if flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) => {
                self.close(key, Closed::Truncated);
            }
            Header::Partial => self.wait_for_header(key),
            Header::Whole(announced, bytes) => {
                // These bytes were seen there, and nobody else reads.
                if rustix::net::recv(&session.socket, &mut start[..bytes], RecvFlags::DONTWAIT)
                    != Ok((bytes, bytes))
                {
                    return self.close(key, Closed::SocketError);
                }
                self.counters.bytes_in(bytes as u64);
                if self.introduce(key, announced) {
                    self.serve(key, flags);
                    self.wait_for_header(key);
                }
            }
            Header::Fault(fault) => self.refuse_header(key, fault),
        }
    }

    /// Whose connection it is from now on; false if it was shed, because its client has too many.
    fn introduce(&mut self, key: Key, announced: Announced) -> bool {
        let Announced { client, secure } = announced;
        let Some(session) = self.table.get_mut(key) else { return false };
        session.awaits_header = false;
        session.outer_secure = secure;
        let Some(client) = client else { return true };
        let source = Source::from(client.ip());
        let is_forwarding = self.proxies.forward(client.ip());
        if is_forwarding {
            self.sources.enter_without_bound(source);
        } else if !self.sources.enter(source) {
            self.counters.shed(Shed::SourceFull);
            self.drop_session(key, None);
            return false;
        }
        session.peer = client;
        (session.is_forwarding, session.is_proxy) = (is_forwarding, is_forwarding);
        if let Some(balancer) = session.source.replace(source) {
            self.sources.leave(balancer);
        }
        true
    }

    /// Sees to it that the next bytes are told of.
    fn wait_for_header(&mut self, key: Key) {
        if self.table.get_mut(key).is_some_and(|session| !session.watched) {
            self.watch(key, Interest::Read);
        }
    }

    #[cold]
    fn refuse_header(&mut self, key: Key, fault: HeaderFault) {
        let now = self.clock.now();
        if self.header_complained.is_none_or(|at| now.saturating_duration_since(at) > COMPLAINT_INTERVAL)
            && let Some(session) = self.table.get_mut(key)
        {
            self.header_complained = Some(now);
            tracing::warn!(
                balancer = %session.peer.ip(),
                fault = ?fault,
                "a connection from a network of proxies.announcing does not begin with a PROXY header (said once a minute)"
            );
        }
        self.abort(key, Closed::ProxyHeader);
    }
}
