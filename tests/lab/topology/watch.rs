//! When routes come and go in a router's kernel: a netlink socket inside its namespace, read by a thread of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_recv_buffer_size, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, netlink, recv, socket_with};

use crate::network::Namespace;
use crate::wait::eventually;

/// Multicast groups of rtnetlink: routes of either family.
const GROUPS: u32 = 0x40 | 0x400;

const NEW_ROUTE: u16 = 24;
const DEL_ROUTE: u16 = 25;
const MESSAGE_HEADER_BYTES: usize = 16;
const ROUTE_HEADER_BYTES: usize = 12;
const ATTRIBUTE_DESTINATION: u16 = 1;
const ATTRIBUTE_GATEWAY: u16 = 5;
const ATTRIBUTE_MULTIPATH: u16 = 9;

/// A route of one destination changed.
#[derive(Clone, Debug)]
pub struct RouteEvent {
    /// When the message was read.
    pub at: Instant,
    /// Which destination.
    pub destination: IpAddr,
    /// Whether it is gone; otherwise it was added or replaced.
    pub gone: bool,
    /// Next hops that the message names.
    pub gateways: Vec<IpAddr>,
}

/// Watches one namespace from its making on.
#[derive(Debug)]
pub struct RouteWatch {
    events: Arc<Mutex<Vec<RouteEvent>>>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl RouteWatch {
    /// Opens the socket inside `space` and reads it from now on.
    pub fn open(space: &Namespace) -> Self {
        let socket = space.within(|| {
            let kind = SocketType::RAW;
            let socket = socket_with(AddressFamily::NETLINK, kind, SocketFlags::CLOEXEC, None).unwrap();
            bind(&socket, &netlink::SocketAddrNetlink::new(0, GROUPS)).unwrap();
            set_socket_recv_buffer_size(&socket, 1 << 20).unwrap();
            set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_millis(100))).unwrap();
            socket
        });
        let (events, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (into, until) = (Arc::clone(&events), Arc::clone(&stop));
        let reader = thread::spawn(move || read(&socket, &into, &until));
        Self { events, stop, reader: Some(reader) }
    }

    /// Everything seen so far for `vip`.
    pub fn events(&self, vip: &str) -> Vec<RouteEvent> {
        let vip: IpAddr = vip.parse().expect("an address");
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().filter(|event| event.destination == vip).cloned().collect()
    }

    /// Forgets everything seen so far.
    pub fn clear(&self) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits for the first event of `vip` after `since` that `wanted` accepts.
    #[track_caller]
    pub fn first(
        &self,
        vip: &str,
        since: Instant,
        within: Duration,
        what: &str,
        wanted: impl Fn(&RouteEvent) -> bool,
    ) -> RouteEvent {
        eventually(within, what, || {
            self.events(vip).into_iter().find(|event| event.at >= since && wanted(event))
        })
    }
}

impl Drop for RouteWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn read(socket: &OwnedFd, events: &Mutex<Vec<RouteEvent>>, stop: &AtomicBool) {
    let mut buffer = vec![0_u8; 1 << 16];
    while !stop.load(Ordering::Relaxed) {
        let Ok((bytes, _)) = recv(socket, buffer.as_mut_slice(), RecvFlags::empty()) else { continue };
        let at = Instant::now();
        let found = parse(&buffer[..bytes], at);
        events.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
    }
}

fn parse(mut rest: &[u8], at: Instant) -> Vec<RouteEvent> {
    let mut events = Vec::new();
    while let Some(header) = rest.get(..MESSAGE_HEADER_BYTES) {
        let length = u32::from_ne_bytes(header[..4].try_into().expect("four bytes")) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let Some(message) = rest.get(MESSAGE_HEADER_BYTES..length) else { break };
        if [NEW_ROUTE, DEL_ROUTE].contains(&kind) {
            events.extend(route(message, kind == DEL_ROUTE, at));
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    events
}

fn route(message: &[u8], gone: bool, at: Instant) -> Option<RouteEvent> {
    let mut destination = None;
    let mut gateways = Vec::new();
    for (kind, value) in attributes(message.get(ROUTE_HEADER_BYTES..)?) {
        match kind {
            ATTRIBUTE_DESTINATION => destination = address(value),
            ATTRIBUTE_GATEWAY => gateways.extend(address(value)),
            ATTRIBUTE_MULTIPATH => gateways.extend(multipath(value)),
            _ => {}
        }
    }
    Some(RouteEvent { at, destination: destination?, gone, gateways })
}

/// Next hops behind one another: length, flags, hops, interface, then attributes.
fn multipath(mut rest: &[u8]) -> Vec<IpAddr> {
    let mut gateways = Vec::new();
    while let Some(header) = rest.get(..8) {
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let Some(hop) = rest.get(8..length) else { break };
        let of_hop = attributes(hop).into_iter().filter(|(kind, _)| *kind == ATTRIBUTE_GATEWAY);
        gateways.extend(of_hop.filter_map(|(_, value)| address(value)));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    gateways
}

fn attributes(mut rest: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let Some(header) = rest.get(..4) {
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & 0x3fff;
        let Some(value) = rest.get(4..length) else { break };
        found.push((kind, value));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    found
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}
