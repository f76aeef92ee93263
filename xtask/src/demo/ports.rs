//! Chooses ports on loopback: the usual ones, or free ones where they are taken.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use anyhow::{Context, Result, bail};

/// Where the node of the demo listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) http: u16,
    pub(super) admin: u16,
    /// A machine without IPv6 is served by IPv4 alone.
    pub(super) ipv6: bool,
}

impl Ports {
    /// The wanted ports where they are free, otherwise others.
    ///
    /// Somebody may take a port between this look and the node's start; the node then says so.
    pub(super) fn choose(http: u16, admin: u16) -> Result<Self> {
        let ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        let http = free(http, ipv6)?;
        let admin = free_but(admin, http)?;
        Ok(Self { http, admin, ipv6 })
    }

    pub(super) fn explain(&self, http: u16, admin: u16) {
        for (wanted, chosen, what) in [(http, self.http, "links"), (admin, self.admin, "health and metrics")]
        {
            if wanted != chosen {
                println!("port {wanted} is taken: {chosen} serves {what} instead");
            }
        }
        if !self.ipv6 {
            println!("left out IPv6: this machine has no [::1]");
        }
    }

    /// The traffic addresses as the configuration wants them.
    pub(super) fn http_addresses(&self) -> Vec<SocketAddr> {
        let mut addresses = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, self.http))];
        if self.ipv6 {
            addresses.push(SocketAddr::from((Ipv6Addr::LOCALHOST, self.http)));
        }
        addresses
    }

    pub(super) fn admin_address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.admin))
    }
}

/// How many free ports to look at before giving up: each is free for IPv4 and perhaps not for IPv6.
const TRIES_MAX: usize = 100;

fn free(wanted: u16, ipv6: bool) -> Result<u16> {
    if is_free(wanted, ipv6) {
        return Ok(wanted);
    }
    for _ in 0..TRIES_MAX {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
        let port = listener.local_addr().context("a bound socket has no address")?.port();
        if !ipv6 || TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port is free on both 127.0.0.1 and [::1]")
}

fn free_but(wanted: u16, taken: u16) -> Result<u16> {
    match free(wanted, false)? {
        port if port == taken => free(0, false),
        port => Ok(port),
    }
}

fn is_free(port: u16, ipv6: bool) -> bool {
    let v4 = || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let v6 = || TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok();
    port != 0 && v4() && (!ipv6 || v6())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_replaced_by_a_free_one() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = holder.local_addr().unwrap().port();
        let ports = Ports::choose(taken, taken).unwrap();
        assert_ne!(ports.http, taken);
        assert_ne!(ports.admin, taken);
        assert_ne!(ports.http, ports.admin);
    }

    #[test]
    fn links_and_metrics_never_share_a_port() {
        let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        let ports = Ports::choose(port, port).unwrap();
        assert_ne!(ports.http, ports.admin);
    }
}
