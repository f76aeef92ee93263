//! The sockets that connections arrive on: one per address and shard, bound together and opened together.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use crate::limits::{RECEIVE_BUFFER_BYTES, SEND_BUFFER_BYTES};

/// Bound sockets that do not accept connections yet.
pub struct Bound {
    addresses: Vec<SocketAddr>,
    /// For each shard, one socket per address.
    shards: Vec<Vec<Socket>>,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}; {fix}")]
pub struct ListenError {
    /// As configured.
    pub address: SocketAddr,
    /// What the kernel says.
    pub error: io::Error,
    /// What an operator can do about it.
    pub fix: String,
}

impl Bound {
    /// Binds every address once for every shard. Port 0 is replaced by a free port, the same for all shards.
    ///
    /// # Errors
    ///
    /// The first address that cannot be bound, and what to do about it.
    pub fn new(addresses: &[SocketAddr], shards: usize) -> Result<Self, ListenError> {
        let mut bound = Self { addresses: Vec::new(), shards: (0..shards).map(|_| Vec::new()).collect() };
        for &address in addresses {
            bound.add(address).map_err(|error| ListenError { address, fix: fix(&error, address), error })?;
        }
        Ok(bound)
    }

    /// The addresses, with their ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Opens all of them: from now on the kernel completes handshakes, and up to `backlog` connections per socket wait for
    /// their shard. Returns the sockets of each shard.
    ///
    /// # Errors
    ///
    /// The first address that cannot be listened on: another process took it since it was bound.
    pub fn listen(self, backlog: u32) -> Result<Vec<Vec<Socket>>, ListenError> {
        for sockets in &self.shards {
            for (socket, &address) in sockets.iter().zip(&self.addresses) {
                socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX)).map_err(|error| ListenError {
                    address,
                    fix: fix(&error, address),
                    error,
                })?;
            }
        }
        Ok(self.shards)
    }

    fn add(&mut self, configured: SocketAddr) -> io::Result<()> {
        // A first socket that does not share finds out whether another process is there already: two nodes that share
        // a port by SO_REUSEPORT would split its traffic in silence.
        let probe = new_socket(configured)?;
        probe.bind(&configured.into())?;
        let address = match configured.port() {
            0 => probe.local_addr()?.as_socket().expect("an internet socket has an internet address"),
            _ => configured,
        };
        drop(probe);
        for sockets in &mut self.shards {
            let socket = new_socket(address)?;
            socket.set_reuse_port(true)?;
            // Accepted sockets inherit these. A reply is one packet that should leave at once.
            socket.set_tcp_nodelay(true)?;
            socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
            socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
            socket.bind(&address.into())?;
            sockets.push(socket);
        }
        self.addresses.push(address);
        Ok(())
    }
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    // Non-blocking, so that `accept` says when the queue is empty; close-on-exec is socket2's default.
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    // Connections of the process before us that linger in TIME_WAIT do not keep us from binding.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Makes the kernel drop new handshakes on `listener` without a word, while those under way still complete.
///
/// A listener that is closed resets every connection in its accept queue. With this filter the queue runs dry first; the
/// client that was ignored repeats its SYN after a second, and reaches whoever then serves the address.
pub(super) fn ignore_new_handshakes(listener: &Socket) -> io::Result<()> {
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const TCP_FLAGS_OFFSET: u32 = 13;
    const SYN: u32 = 0x02;
    const SYN_ACK_RST: u32 = 0x16;
    listener.attach_filter(&[
        // A socket filter sees the segment from its TCP header on.
        SockFilter::new(LOAD_BYTE, 0, 0, TCP_FLAGS_OFFSET),
        SockFilter::new(AND, 0, 0, SYN_ACK_RST),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

/// What an operator can do about an error of `bind` or `listen`.
fn fix(error: &io::Error, address: SocketAddr) -> String {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("another process listens there: `ss -ltnp sport = :{port}` names it")
        }
        io::ErrorKind::PermissionDenied => format!(
            "ports below 1024 need CAP_NET_BIND_SERVICE (AmbientCapabilities= in the unit, or \
             `setcap cap_net_bind_service+ep` on the binary), or net.ipv4.ip_unprivileged_port_start={port}"
        ),
        io::ErrorKind::AddrNotAvailable => {
            "no interface has this address: add it (`ip addr add ... dev lo`) before starting".into()
        }
        _ => "see listen.http and listen.https in the configuration".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    fn loopback() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[test]
    fn port_0_becomes_one_port_for_all_shards() {
        let bound = Bound::new(&[loopback(), "[::1]:0".parse().unwrap()], 3).unwrap();
        let addresses = bound.addresses().to_vec();
        assert_eq!(addresses.len(), 2);
        for sockets in bound.listen(16).unwrap() {
            let own: Vec<_> =
                sockets.iter().map(|socket| socket.local_addr().unwrap().as_socket().unwrap()).collect();
            assert_eq!(own, addresses);
        }
    }

    #[test]
    fn a_port_in_use_is_named_with_a_way_to_find_its_owner() {
        let owner = TcpListener::bind(loopback()).unwrap();
        let address = owner.local_addr().unwrap();
        let error = Bound::new(&[address], 1).err().expect("the port is taken").to_string();
        assert!(error.contains(&address.to_string()) && error.contains("ss -ltnp"), "{error}");
    }

    #[test]
    fn a_second_node_does_not_share_the_port_in_silence() {
        let first = Bound::new(&[loopback()], 2).unwrap();
        let addresses = first.addresses().to_vec();
        let _listening = first.listen(16).unwrap();
        assert!(Bound::new(&addresses, 2).is_err());
    }

    #[test]
    fn an_address_that_no_interface_has_is_refused_with_a_fix() {
        // TEST-NET-1 is nobody's address.
        let error = Bound::new(&["192.0.2.1:0".parse().unwrap()], 1).err().unwrap().to_string();
        assert!(error.contains("no interface has this address"), "{error}");
    }

    #[test]
    fn a_filtered_listener_ignores_new_clients_and_keeps_those_it_has() {
        let bound = Bound::new(&[loopback()], 1).unwrap();
        let address = bound.addresses()[0];
        let listener = bound.listen(16).unwrap().remove(0).remove(0);
        let mut before = TcpStream::connect(address).unwrap();
        ignore_new_handshakes(&listener).unwrap();
        let after = TcpStream::connect_timeout(&address, Duration::from_millis(200));
        assert_eq!(after.err().map(|error| error.kind()), Some(io::ErrorKind::TimedOut));
        let (mut accepted, _) = listener.accept().unwrap();
        before.write_all(b"ping").unwrap();
        let mut received = [0; 4];
        accepted.set_nonblocking(false).unwrap();
        accepted.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"ping");
    }
}
