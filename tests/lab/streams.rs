//! A client of HTTP/2 that sends exactly the frames it is told to, and reads what comes back frame by frame.
//!
//! It knows as much of header compression as a node of ours writes, and so notices if that becomes more.

use std::fmt::Debug;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// After so long without a byte, a node that should answer is taken for dead.
const SILENCE_MAX: Duration = Duration::from_secs(40);
/// What every client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// The reply on one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamReply {
    /// Status code.
    pub status: u16,
    /// Fields in order.
    pub fields: Vec<(String, String)>,
    /// Content.
    pub body: Vec<u8>,
}

impl StreamReply {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// What frames travel on: a socket, or TLS on one.
pub trait Wire: Read + Write + Debug + Send {}

impl<W: Read + Write + Debug + Send> Wire for W {}

/// One connection.
#[derive(Debug)]
pub struct StreamPeer {
    stream: Box<dyn Wire>,
    received: Vec<u8>,
    next_stream: u32,
}

impl StreamPeer {
    /// Connects, and says nothing.
    #[track_caller]
    pub fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(SILENCE_MAX)).unwrap();
        stream.set_write_timeout(Some(SILENCE_MAX)).unwrap();
        Self::on(Box::new(stream))
    }

    /// Speaks on a connection on which nothing was said.
    pub(crate) fn on(stream: Box<dyn Wire>) -> Self {
        Self { stream, received: Vec::new(), next_stream: 1 }
    }

    /// Connects with preface and empty settings.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::silent(address).greeted()
    }

    /// Sends preface and empty settings.
    #[track_caller]
    pub(crate) fn greeted(mut self) -> Self {
        self.send([PREFACE, &frame(4, 0, 0, b"")].concat());
        self
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends bytes to a node that may have closed; false if it has.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Reads the next frame; nothing once the other side has closed or reset the connection.
    #[track_caller]
    pub fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((head, rest)) = self.received.split_first_chunk::<9>() {
                let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
                if let Some(payload) = rest.get(..length) {
                    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                    let frame = Frame { kind: head[3], flags: head[4], stream, payload: payload.to_vec() };
                    self.received.drain(..9 + length);
                    return Some(frame);
                }
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    assert!(self.received.is_empty(), "the connection ends within a frame");
                    return None;
                }
                Ok(bytes) => self.received.extend_from_slice(&chunk[..bytes]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("the other side neither speaks nor closes: {error}"),
            }
        }
    }

    /// Reads until the other side has closed; returns the error code of the last GOAWAY, if one came.
    #[track_caller]
    pub fn goaway(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.frame() {
            if frame.kind == 7 {
                code = Some(u32::from_be_bytes(frame.payload[4..8].try_into().unwrap()));
            }
        }
        code
    }

    /// Sends a request without a body on the next stream, and reads its reply.
    #[track_caller]
    pub fn ask(&mut self, method: &str, host: &str, path: &str) -> StreamReply {
        let stream = self.next_stream;
        self.next_stream += 2;
        self.send(request(stream, method, host, path));
        self.reply(stream)
    }

    /// Reads the reply on a stream; frames of other streams are thrown away.
    #[track_caller]
    pub fn reply(&mut self, stream: u32) -> StreamReply {
        let mut reply = StreamReply::default();
        loop {
            let frame = self.frame().expect("a reply before the end");
            if frame.stream != stream {
                continue;
            }
            match frame.kind {
                1 => {
                    assert_eq!(frame.flags & 4, 4, "the block is whole");
                    (reply.status, reply.fields) = read_block(&frame.payload);
                }
                0 => reply.body.extend_from_slice(&frame.payload),
                3 => panic!("the stream was reset: {:?}", frame.payload),
                _ => continue,
            }
            if frame.flags & 1 == 1 {
                return reply;
            }
        }
    }
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    [&[a, b, c, kind, flags][..], &stream.to_be_bytes(), payload].concat()
}

/// A header block of literals that nobody remembers.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127, "one byte holds the length");
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// The bytes of a request without a body.
pub fn request(stream: u32, method: &str, host: &str, path: &str) -> Vec<u8> {
    let fields = [(":method", method), (":scheme", "http"), (":authority", host), (":path", path)];
    frame(1, 5, stream, &block(&fields))
}

/// Reads a header block of a reply.
#[track_caller]
fn read_block(block: &[u8]) -> (u16, Vec<(String, String)>) {
    let mut at = 0;
    let (mut status, mut fields) = (0, Vec::new());
    let integer = |at: &mut usize, bits: u32| -> usize {
        let mask = (1 << bits) - 1;
        let mut value = usize::from(block[*at]) & mask;
        *at += 1;
        if value == mask {
            let mut shift = 0;
            loop {
                let byte = block[*at];
                *at += 1;
                value += usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
        }
        value
    };
    while at < block.len() {
        match block[at] {
            0x20 => at += 1,
            0x80.. => {
                let statuses = [200, 204, 206, 304, 400, 404, 500];
                status = statuses[usize::from(block[at] & 0x7f) - 8];
                at += 1;
            }
            0x00..=0x0f => {
                let name = match integer(&mut at, 4) {
                    8 => ":status",
                    22 => "allow",
                    24 => "cache-control",
                    28 => "content-length",
                    31 => "content-type",
                    33 => "date",
                    46 => "location",
                    53 => "retry-after",
                    54 => "server",
                    56 => "strict-transport-security",
                    other => panic!("an unexpected name: entry {other}"),
                };
                let bytes = integer(&mut at, 7);
                let value = String::from_utf8(block[at..at + bytes].to_vec()).unwrap();
                at += bytes;
                match name {
                    ":status" => status = value.parse().unwrap(),
                    name => fields.push((name.to_owned(), value)),
                }
            }
            other => panic!("an unexpected form of a field: {other:#x}"),
        }
    }
    (status, fields)
}
