//! HOT: one TLS connection as a state machine: records in, plain bytes and records out, no socket and no clock.
//!
//! rustls decides; this keeps the only bytes that must outlive a turn, the beginning of a record that is not whole. An idle
//! connection holds none.

use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus};
use rustls::{Error, NamedGroup, ProtocolVersion, ServerConfig};

use crate::limits::TLS_REST_BYTES_MAX;

use super::Names;
use super::handshake::{Handshake, HandshakeFailure};
use super::resolver::Choice;

/// What the client and the node agreed to speak inside of TLS (ALPN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Application {
    /// HTTP/1.1, also of clients that did not say.
    Http1,
    /// HTTP/2.
    Http2,
}

/// The ALPN name of HTTP/1.1 (RFC 7301).
pub const ALPN_HTTP1: &[u8] = b"http/1.1";
/// The ALPN name of HTTP/2 (RFC 9113, 3.2).
pub const ALPN_HTTP2: &[u8] = b"h2";

/// One connection. It is boxed by its session: plain ones pay a pointer for it.
pub struct Stream {
    connection: UnbufferedServerConnection,
    /// The beginning of a record.
    rest: Vec<u8>,
    /// The names of the certificate; `None` until one was chosen.
    names: Option<Arc<Names>>,
    open: bool,
}

/// What came out of a batch of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Plain bytes.
    pub plain: usize,
    /// Bytes of the input that are done with; the rest is the beginning of a record.
    pub consumed: usize,
    /// Whether the client said that nothing more comes (`close_notify`).
    pub closed: bool,
}

/// Why a stream ends. An alert for the client may have been appended to the output.
#[derive(Debug, PartialEq, Eq)]
pub enum Broken {
    /// In the handshake.
    Handshake(HandshakeFailure),
    /// Behind it: the records do not make sense, or the client ended it with an alert.
    Records,
}

impl Stream {
    /// A connection whose handshake is to begin.
    ///
    /// # Errors
    ///
    /// rustls does not accept the configuration, which is found when the node starts.
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Self { connection, rest: Vec::new(), names: None, open: false })
    }

    /// Whether the handshake is completed and its end was taken with [`Stream::opened`].
    #[inline]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether the next bytes of the client cost no public-key operation: the handshake is completed, or TLS 1.3 waits for
    /// the client's `Finished`.
    pub fn is_cheap(&self) -> bool {
        self.open || self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// True once, when the handshake was completed.
    pub fn opened(&mut self) -> bool {
        let opens = !self.open && !self.connection.is_handshaking();
        self.open |= opens;
        opens
    }

    /// The beginning of a record that was kept.
    #[inline]
    pub fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// Keeps the beginning of a record, or gives the memory back if there is nothing to keep.
    ///
    /// # Errors
    ///
    /// No client sends a record, or a handshake message, of such a length.
    #[inline]
    pub fn keep_rest(&mut self, rest: &[u8]) -> Result<(), Broken> {
        if rest.len() > TLS_REST_BYTES_MAX {
            return Err(if self.open {
                Broken::Records
            } else {
                Broken::Handshake(HandshakeFailure::TooLong)
            });
        }
        if !rest.is_empty() {
            self.rest.clear();
            self.rest.extend_from_slice(rest);
        } else if self.rest.capacity() > 0 {
            self.rest = Vec::new();
        }
        Ok(())
    }

    /// Whether anything has come of a handshake that is not completed.
    pub fn has_begun(&self) -> bool {
        !self.rest.is_empty() || self.connection.protocol_version().is_some()
    }

    /// What was agreed to speak, once the handshake is completed.
    pub fn application(&self) -> Application {
        match self.connection.alpn_protocol() {
            Some(ALPN_HTTP2) => Application::Http2,
            _ => Application::Http1,
        }
    }

    /// What kind of handshake was completed.
    pub fn handshake(&self) -> Handshake {
        Handshake::of(self.connection.protocol_version(), self.connection.handshake_kind())
    }

    /// Whether the key exchange withstands quantum computers.
    pub fn is_post_quantum(&self) -> bool {
        let group = self.connection.negotiated_key_exchange_group();
        group.is_some_and(|group| group.name() == NamedGroup::X25519MLKEM768)
    }

    /// Which hosts the certificate of this connection covers.
    #[inline]
    pub fn names(&self) -> Option<&Arc<Names>> {
        self.names.as_ref()
    }

    /// Takes the records in `cipher` apart: plain bytes go to the start of `plain`, what has to be sent is appended to
    /// `sealed`. `plain` must be as long as `cipher`. `choice` is that of the resolver in the stream's configuration.
    ///
    /// # Errors
    ///
    /// The connection has to end, after `sealed` was sent.
    pub fn receive(
        &mut self,
        cipher: &mut [u8],
        plain: &mut [u8],
        sealed: &mut Vec<u8>,
        choice: &Choice,
    ) -> Result<Received, Broken> {
        let mut received = Received::default();
        choice.reset();
        loop {
            let UnbufferedStatus { mut discard, state, .. } =
                self.connection.process_tls_records(&mut cipher[received.consumed..]);
            let (mut done, mut failed) = (false, None);
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => {
                                let end = received.plain + record.payload.len();
                                plain[received.plain..end].copy_from_slice(record.payload);
                                received.plain = end;
                                discard += record.discard;
                            }
                            Err(error) => failed = Some(error),
                        }
                    }
                }
                Ok(ConnectionState::EncodeTlsData(data)) => {
                    if encode(data, sealed).is_err() {
                        failed = Some(Error::EncryptError);
                    }
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => received.closed = true,
                Ok(
                    ConnectionState::Closed
                    | ConnectionState::BlockedHandshake
                    | ConnectionState::WriteTraffic(_),
                ) => done = true,
                // Early data is off, and rustls has no other states.
                Ok(_) => failed = Some(Error::HandshakeNotComplete),
                Err(error) => failed = Some(error),
            }
            received.consumed += discard;
            if let Some(error) = failed {
                self.append_alert(sealed);
                return Err(self.broken(&error, choice));
            }
            if done {
                if let Some(names) = choice.take_names() {
                    self.names = Some(names);
                }
                return Ok(received);
            }
        }
    }

    /// Appends `plain` to `sealed` as records; with `closing` also the notice that nothing more comes.
    ///
    /// # Errors
    ///
    /// The handshake is not completed, or the keys are spent after 2^24 records and more: the connection has to end.
    #[inline]
    pub fn seal(&mut self, plain: &[u8], closing: bool, sealed: &mut Vec<u8>) -> Result<(), Broken> {
        loop {
            match self.connection.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, sealed)?,
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => {}
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let size = |error: EncryptError| match error {
                        EncryptError::InsufficientSize(size) => Some(size.required_size),
                        EncryptError::EncryptExhausted => None,
                    };
                    if !plain.is_empty() {
                        append(sealed, |room| traffic.encrypt(plain, room).map_err(size))?;
                    }
                    if closing {
                        append(sealed, |room| traffic.queue_close_notify(room).map_err(size))?;
                    }
                    return Ok(());
                }
                _ => return Err(Broken::Records),
            }
        }
    }

    /// What rustls wants the client to know about a failure.
    #[cold]
    fn append_alert(&mut self, sealed: &mut Vec<u8>) {
        loop {
            match self.connection.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(data)) => {
                    if encode(data, sealed).is_err() {
                        return;
                    }
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                _ => return,
            }
        }
    }

    #[cold]
    fn broken(&self, error: &Error, choice: &Choice) -> Broken {
        if self.open {
            Broken::Records
        } else {
            Broken::Handshake(HandshakeFailure::of(error, !choice.was_refused()))
        }
    }
}

/// Room that is made for a record before its length is known: a reply and its seal.
const RECORD_ROOM: usize = 1_024;

/// Appends a record that rustls has ready.
fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, sealed: &mut Vec<u8>) -> Result<(), Broken> {
    append(sealed, |room| {
        data.encode(room).map_err(|error| match error {
            EncodeError::InsufficientSize(size) => Some(size.required_size),
            EncodeError::AlreadyEncoded => None,
        })
    })
}

/// Appends what `write` puts into the room it is given; it says how much it needs if that is too little.
#[inline]
fn append(
    sealed: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> Result<(), Broken> {
    let start = sealed.len();
    let mut room = RECORD_ROOM;
    loop {
        sealed.resize(start + room, 0);
        match write(&mut sealed[start..]) {
            Ok(written) => {
                sealed.truncate(start + written);
                return Ok(());
            }
            Err(Some(needed)) if needed > room => room = needed,
            Err(_) => {
                sealed.truncate(start);
                return Err(Broken::Records);
            }
        }
    }
}
