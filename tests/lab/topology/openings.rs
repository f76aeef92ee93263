//! Connections that somebody begins inside a namespace, with the moment of their first packet: what a prober asked, and when.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, eth, recv, socket_with};

use crate::network::Namespace;
use crate::wait::eventually;

const TCP: u8 = 6;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const IPV6_HEADER_BYTES: usize = 40;

/// Openings that are kept; a namespace of the lab sees far fewer while anybody watches.
const KEPT_MAX: usize = 100_000;

/// A connection was begun.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// When its SYN was seen.
    pub at: Instant,
    /// Towards whom.
    pub to: IpAddr,
}

/// Watches one namespace from its making on.
#[derive(Debug)]
pub struct Openings {
    seen: Arc<Mutex<Vec<Opening>>>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Openings {
    /// Opens a packet socket inside `space` and reads it from now on.
    pub fn watch(space: &Namespace) -> Self {
        let socket = space.within(|| {
            let kind = (AddressFamily::PACKET, SocketType::DGRAM);
            let socket = socket_with(kind.0, kind.1, SocketFlags::CLOEXEC, Some(eth::ALL)).unwrap();
            set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_millis(100))).unwrap();
            socket
        });
        let (seen, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (into, until) = (Arc::clone(&seen), Arc::clone(&stop));
        let reader = thread::spawn(move || read(&socket, &into, &until));
        Self { seen, stop, reader: Some(reader) }
    }

    /// Waits for the first one towards `to` after `since`.
    #[track_caller]
    pub fn first(&self, to: &str, since: Instant, within: Duration) -> Opening {
        let to: IpAddr = to.parse().expect("an address");
        eventually(within, &format!("somebody connects to {to}"), || {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.iter().find(|opening| opening.to == to && opening.at >= since).copied()
        })
    }
}

impl Drop for Openings {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn read(socket: &OwnedFd, seen: &Mutex<Vec<Opening>>, stop: &AtomicBool) {
    let mut buffer = [0_u8; 256];
    while !stop.load(Ordering::Relaxed) {
        let Ok((bytes, _)) = recv(socket, buffer.as_mut_slice(), RecvFlags::TRUNC) else { continue };
        let at = Instant::now();
        let Some(to) = opens(&buffer[..bytes.min(buffer.len())]) else { continue };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < KEPT_MAX {
            seen.push(Opening { at, to });
        }
    }
}

/// Towards whom a packet opens a connection, if it does.
fn opens(packet: &[u8]) -> Option<IpAddr> {
    let (to, protocol, segment): (IpAddr, u8, &[u8]) = match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet[0] & 0x0f) * 4;
            let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            (Ipv4Addr::from(to).into(), *packet.get(9)?, packet.get(header..)?)
        }
        6 => {
            let to: [u8; 16] = packet.get(24..IPV6_HEADER_BYTES)?.try_into().ok()?;
            (Ipv6Addr::from(to).into(), *packet.get(6)?, packet.get(IPV6_HEADER_BYTES..)?)
        }
        _ => return None,
    };
    let flags = segment.get(13)? & (SYN | ACK);
    (protocol == TCP && flags == SYN).then_some(to)
}
