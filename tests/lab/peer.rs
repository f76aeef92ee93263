//! A client that sends exactly the bytes it is told to, and reads replies strictly.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::reply::Reply;

/// After so long without a byte, a node that should answer is taken for dead.
const SILENCE_MAX: Duration = Duration::from_secs(40);

/// One TCP connection.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    received: Vec<u8>,
}

/// Why no reply came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The other side closed in order, after so many bytes of a reply.
    Closed(usize),
    /// The connection was reset.
    Reset,
    /// Nothing came for a long time.
    Silence,
    /// What came is no reply.
    Malformed(String),
    /// Something else.
    Other(ErrorKind),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{self:?}")
    }
}

impl Trouble {
    fn of(error: &std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Self::Reset,
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::Silence,
            other => Self::Other(other),
        }
    }
}

impl Peer {
    /// Connects.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    /// Connects, or says why not.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        let any = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        Self::connect_with(address, any, |_| Ok(()))
    }

    /// Connects from a source address of its own: every 127.x.y.z is one.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> std::io::Result<Self> {
        Self::connect_with(address, source, |_| Ok(()))
    }

    /// Connects with a receive buffer as small as the kernel allows, set before the handshake offers a window.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn connect_narrow(address: SocketAddr) -> std::io::Result<Self> {
        let any = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        Self::connect_with(address, any, |socket| socket.set_recv_buffer_size(2048))
    }

    fn connect_with(
        address: SocketAddr,
        source: IpAddr,
        prepare: impl FnOnce(&Socket) -> std::io::Result<()>,
    ) -> std::io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        prepare(&socket)?;
        if !source.is_unspecified() {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        socket.connect_timeout(&address.into(), SILENCE_MAX)?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap_or_else(|trouble| panic!("cannot send: {trouble}"));
    }

    /// Sends bytes as they are, to a node that may have closed.
    ///
    /// # Errors
    /// Says what became of the connection.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Trouble> {
        self.stream.write_all(bytes.as_ref()).map_err(|error| Trouble::of(&error))
    }

    /// Sends a GET and reads its reply.
    #[track_caller]
    pub fn get(&mut self, host: &str, path: &str) -> Reply {
        self.ask(get(host, path))
    }

    /// Sends a request and reads its reply.
    #[track_caller]
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Reply {
        let request = request.as_ref();
        self.send(request);
        if request.starts_with(b"HEAD ") { self.reply_to_head() } else { self.reply() }
    }

    /// Reads one reply.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        self.try_reply().unwrap_or_else(|trouble| panic!("no reply: {trouble}"))
    }

    /// Reads one reply to a HEAD.
    #[track_caller]
    pub fn reply_to_head(&mut self) -> Reply {
        self.take_reply(true).unwrap_or_else(|trouble| panic!("no reply: {trouble}"))
    }

    /// Reads one reply.
    ///
    /// # Errors
    /// Says what came instead.
    pub fn try_reply(&mut self) -> Result<Reply, Trouble> {
        self.take_reply(false)
    }

    fn take_reply(&mut self, to_head: bool) -> Result<Reply, Trouble> {
        loop {
            if let Some(reply) = Reply::take(&mut self.received, to_head).map_err(Trouble::Malformed)? {
                return Ok(reply);
            }
            if self.read_more()? == 0 {
                return Err(Trouble::Closed(self.received.len()));
            }
        }
    }

    /// Reads what comes next into the buffer; 0 at the end.
    fn read_more(&mut self) -> Result<usize, Trouble> {
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(bytes) => {
                    self.received.extend_from_slice(&chunk[..bytes]);
                    return Ok(bytes);
                }
                // A socket with a timeout is interrupted when the process is stopped and continued.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Trouble::of(&error)),
            }
        }
    }

    /// Waits until the other side has closed, by FIN or reset, and returns what it said before and was not yet read.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        loop {
            match self.read_more() {
                Ok(0) | Err(Trouble::Reset) => return std::mem::take(&mut self.received),
                Ok(_) => {}
                Err(trouble) => panic!("the other side neither speaks nor closes: {trouble}"),
            }
        }
    }

    /// Waits until the other side has closed; panics if it says anything more.
    #[track_caller]
    pub fn closed(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "before the close came {:?}", String::from_utf8_lossy(&rest));
    }

    /// Waits until the other side has closed in order; panics if it says anything more, or resets the connection: a reset
    /// may overtake the last reply and destroy it (RFC 9112, 9.6).
    #[track_caller]
    pub fn closed_in_order(&mut self) {
        match self.read_more() {
            Ok(0) => assert!(self.received.is_empty(), "half a reply came before the close"),
            Ok(_) => panic!("before the close came {:?}", String::from_utf8_lossy(&self.received)),
            Err(trouble) => panic!("the connection did not end in order: {trouble}"),
        }
    }

    /// Whether the other side has closed already, without waiting.
    pub fn is_closed(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let closed = loop {
            match self.read_more() {
                Ok(0) => break true,
                Ok(_) => {}
                Err(Trouble::Silence) => break false,
                Err(_) => break true,
            }
        };
        self.stream.set_nonblocking(false).unwrap();
        closed
    }

    /// Whether anything has come, be it bytes or the end, without waiting.
    pub fn has_received(&mut self) -> bool {
        self.is_closed() || !self.received.is_empty()
    }

    /// A second handle, to send with while this one reads.
    pub fn sender(&self) -> Self {
        Self { stream: self.stream.try_clone().unwrap(), received: Vec::new() }
    }

    /// Says that nothing more will be sent, and keeps reading.
    pub fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Breaks the connection off with a reset.
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Sends until the kernel takes no more, without waiting; says how many bytes it took.
    pub fn stuff(&mut self, bytes: &[u8]) -> Result<usize, Trouble> {
        self.stream.set_nonblocking(true).unwrap();
        let sent = self.stream.write(bytes);
        self.stream.set_nonblocking(false).unwrap();
        match sent {
            Ok(sent) => Ok(sent),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
            Err(error) => Err(Trouble::of(&error)),
        }
    }
}

/// The bytes of a plain GET.
pub fn get(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}
