//! Keeps the guard's cookies acceptable: a listener takes a cookie only if it has made one itself within two minutes.
//!
//! The programs let one SYN per second and listener pass for that, but its sender is the attacker's choice: a SYN whose
//! source the kernel finds impossible makes no cookie, and every client that is challenged then is reset. So the node
//! calls each of its listeners itself, and the kernel makes the cookie (`tcp_synq_overflow`, Linux 6.18).

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Instant;

use crate::limits::{STAMP_EVERY, STAMP_TIMEOUT};

/// The listeners, and when they were called.
pub(super) struct Stamps {
    listeners: Vec<SocketAddr>,
    called_at: Option<Instant>,
}

impl Stamps {
    pub(super) fn new(listeners: &[SocketAddr]) -> Self {
        Self { listeners: listeners.iter().copied().map(reachable).collect(), called_at: None }
    }

    /// Calls each listener, if it is time, and soon again one that does not listen yet. One that does not answer at all is
    /// draining, and challenges nobody who could be served.
    pub(super) fn renew(&mut self, now: Instant) {
        let fresh = |called_at: Instant| now.saturating_duration_since(called_at) < STAMP_EVERY;
        if self.called_at.is_some_and(fresh) {
            return;
        }
        self.called_at = Some(now);
        for listener in &self.listeners {
            if let Err(error) = TcpStream::connect_timeout(listener, STAMP_TIMEOUT) {
                tracing::debug!(%listener, %error, "cannot call the node's own listener");
                if error.kind() == ErrorKind::ConnectionRefused {
                    self.called_at = None;
                }
            }
        }
    }
}

/// Where a listener is reached from this machine: the unspecified address is none to call.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let address = match listener.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listener.port())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn each_listener_is_called_at_once_and_again_when_its_cookies_age() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut stamps = Stamps::new(&[listener.local_addr().unwrap()]);
        let began = Instant::now();
        stamps.renew(began);
        stamps.renew(began + STAMP_EVERY / 2);
        assert!(listener.accept().is_ok());
        assert!(listener.accept().is_err(), "called again too early");
        stamps.renew(began + STAMP_EVERY);
        assert!(listener.accept().is_ok());
    }

    #[test]
    fn a_listener_that_is_not_ready_is_called_again_at_the_next_turn() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut stamps = Stamps::new(&[address]);
        let began = Instant::now();
        stamps.renew(began);
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        stamps.renew(began);
        assert!(listener.accept().is_ok());
    }

    #[test]
    fn a_listener_on_all_addresses_is_called_over_loopback() {
        for (listener, called) in
            [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:443", "[::1]:443"), ("192.0.2.1:80", "192.0.2.1:80")]
        {
            assert_eq!(reachable(listener.parse().unwrap()), called.parse().unwrap());
        }
    }
}
