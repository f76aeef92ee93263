//! The sockets that connections arrive on: one per address and shard, bound together and opened together, or bound by another process.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use crate::handover::Inherited;
use crate::limits::{RECEIVE_BUFFER_BYTES, SEND_BUFFER_BYTES};

/// Bound sockets that do not accept connections yet.
pub struct Bound {
    addresses: Vec<SocketAddr>,
    shards: Vec<Vec<Listening>>,
    inherited: usize,
}

/// A socket that one shard accepts from; shards share one where a service manager bound fewer than there are shards.
#[derive(Clone, Debug)]
pub struct Listening {
    /// Index of its address.
    pub address: usize,
    /// The socket.
    pub socket: Arc<Socket>,
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
        Self::with(addresses, shards, Vec::new()).map(|(bound, _)| bound)
    }

    /// Takes the sockets of `inherited` for the addresses that they have, and binds the others. All of an address are taken, also
    /// if there are more than shards: each has a queue, and a client may wait in any. Gives back those that no address wants.
    ///
    /// # Errors
    ///
    /// As [`Bound::new`].
    pub fn with(
        addresses: &[SocketAddr],
        shards: usize,
        mut inherited: Vec<Inherited>,
    ) -> Result<(Self, Vec<Inherited>), ListenError> {
        let shards = (0..shards).map(|_| Vec::new()).collect();
        let mut bound = Self { addresses: Vec::new(), shards, inherited: 0 };
        for &address in addresses {
            let failed = |error: io::Error| ListenError { address, fix: fix(&error, address), error };
            // Two configured addresses with port 0 got two ports, and keep them.
            let first = inherited.iter().find(|one| one.bound == address || one.configured == address);
            match first.map(|one| one.bound) {
                Some(at) => {
                    let (own, others) = inherited.into_iter().partition(|one| one.bound == at);
                    inherited = others;
                    bound.adopt(at, own).map_err(failed)?;
                }
                None => bound.add(address).map_err(failed)?,
            }
        }
        Ok((bound, inherited))
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
    pub fn listen(self, backlog: u32) -> Result<Vec<Vec<Listening>>, ListenError> {
        for Listening { address, socket } in self.shards.iter().flatten() {
            let address = self.addresses[*address];
            socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX)).map_err(|error| ListenError {
                address,
                fix: fix(&error, address),
                error,
            })?;
        }
        Ok(self.shards)
    }

    /// Every socket, once, with the index of its address.
    pub fn sockets(&self) -> Vec<Listening> {
        let mut sockets: Vec<Listening> = Vec::new();
        for listening in self.shards.iter().flatten() {
            if !sockets.iter().any(|one| Arc::ptr_eq(&one.socket, &listening.socket)) {
                sockets.push(listening.clone());
            }
        }
        sockets
    }

    /// How many sockets another process has bound.
    pub fn inherited(&self) -> usize {
        self.inherited
    }

    /// Divides the sockets of one address between the shards.
    fn adopt(&mut self, at: SocketAddr, own: Vec<Inherited>) -> io::Result<()> {
        let mut sockets = Vec::with_capacity(own.len());
        let mut shares = true;
        for Inherited { configured: _, bound: _, socket } in own {
            socket.set_nonblocking(true)?;
            settle(&socket)?;
            shares &= socket.reuse_port()?;
            sockets.push(Arc::new(socket));
        }
        self.inherited += sockets.len();
        // With more shards than sockets, each further shard gets one of its own, if the port may be shared by whom it belongs to.
        while shares && sockets.len() < self.shards.len() {
            let socket = new_socket(at)?;
            socket.set_reuse_port(true)?;
            settle(&socket)?;
            match socket.bind(&at.into()) {
                Ok(()) => sockets.push(Arc::new(socket)),
                Err(_) => shares = false,
            }
        }
        let address = self.addresses.len();
        let shards = self.shards.len();
        for index in 0..sockets.len().max(shards) {
            let socket = Arc::clone(&sockets[index % sockets.len()]);
            self.shards[index % shards].push(Listening { address, socket });
        }
        self.addresses.push(at);
        Ok(())
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
            settle(&socket)?;
            socket.bind(&address.into())?;
            sockets.push(Listening { address: self.addresses.len(), socket: Arc::new(socket) });
        }
        self.addresses.push(address);
        Ok(())
    }
}

/// What accepted sockets inherit.
fn settle(socket: &Socket) -> io::Result<()> {
    // A reply is one packet that should leave at once.
    socket.set_tcp_nodelay(true)?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)
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
            let own: Vec<_> = sockets
                .iter()
                .map(|listening| listening.socket.local_addr().unwrap().as_socket().unwrap())
                .collect();
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
        let listener = bound.listen(16).unwrap().remove(0).remove(0).socket;
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
