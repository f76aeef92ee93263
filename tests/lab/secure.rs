//! A TLS client that says what was agreed, and reads replies strictly.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, version};

use crate::authority::Authority;
use crate::peer::get;
use crate::reply::Reply;
use crate::streams::StreamPeer;

/// After so long without a byte, a node that should answer is taken for dead.
const SILENCE_MAX: Duration = Duration::from_secs(40);

/// What a client trusts and remembers: sessions are resumed by whoever shares it.
#[derive(Clone, Debug)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// A client that speaks TLS 1.2 and 1.3 and remembers nothing yet.
    pub fn new(authority: &Authority) -> Self {
        Self::with_versions(authority, &[&version::TLS13, &version::TLS12])
    }

    /// A client that speaks TLS 1.2 alone.
    pub fn old(authority: &Authority) -> Self {
        Self::with_versions(authority, &[&version::TLS12])
    }

    fn with_versions(authority: &Authority, versions: &[&'static rustls::SupportedProtocolVersion]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.root()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(Arc::new(config))
    }

    /// The same client, which offers HTTP/2 besides, and prefers it.
    pub fn with_streams(&self) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self(Arc::new(config))
    }

    /// The client's side of a handshake with `host` that nobody has begun.
    pub fn handshake(&self, host: &str) -> ClientConnection {
        let name = ServerName::try_from(host.to_owned()).expect("cases use valid names");
        ClientConnection::new(Arc::clone(&self.0), name).expect("the configuration is complete")
    }

    /// Connects to `address` as to `host` and completes the handshake.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub fn try_connect(&self, address: SocketAddr, host: &str) -> Result<SecurePeer, String> {
        let text = |error: std::io::Error| format!("{:?}: {error}", error.kind());
        self.try_connect_on(TcpStream::connect_timeout(&address, SILENCE_MAX).map_err(text)?, host)
    }

    /// Completes a handshake as with `host` on a connection on which something else may have been said.
    #[track_caller]
    pub fn connect_on(&self, stream: TcpStream, host: &str) -> SecurePeer {
        self.try_connect_on(stream, host).unwrap_or_else(|error| panic!("no handshake: {error}"))
    }

    fn try_connect_on(&self, stream: TcpStream, host: &str) -> Result<SecurePeer, String> {
        let text = |error: std::io::Error| format!("{:?}: {error}", error.kind());
        stream.set_nodelay(true).map_err(text)?;
        stream.set_read_timeout(Some(SILENCE_MAX)).map_err(text)?;
        stream.set_write_timeout(Some(SILENCE_MAX)).map_err(text)?;
        let mut connection = self.handshake(host);
        let mut stream_ref = &stream;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream_ref).map_err(text)?;
        }
        Ok(SecurePeer { stream: StreamOwned::new(connection, stream), received: Vec::new() })
    }

    /// Connects to `address` as to `host` and completes the handshake.
    #[track_caller]
    pub fn connect(&self, address: SocketAddr, host: &str) -> SecurePeer {
        self.try_connect(address, host).unwrap_or_else(|error| panic!("no handshake with {address}: {error}"))
    }
}

/// One TLS connection.
#[derive(Debug)]
pub struct SecurePeer {
    stream: StreamOwned<ClientConnection, TcpStream>,
    received: Vec<u8>,
}

impl SecurePeer {
    /// Sends a GET and reads its reply, and with it the tickets that came before.
    #[track_caller]
    pub fn get(&mut self, host: &str, path: &str) -> Reply {
        self.try_get(host, path).unwrap_or_else(|error| panic!("no reply: {error}"))
    }

    /// Sends a GET and reads its reply.
    ///
    /// # Errors
    /// What came instead.
    pub fn try_get(&mut self, host: &str, path: &str) -> Result<Reply, String> {
        self.stream.write_all(get(host, path).as_bytes()).map_err(|error| error.to_string())?;
        loop {
            if let Some(reply) = Reply::take(&mut self.received, false)? {
                return Ok(reply);
            }
            let mut chunk = [0; 4_096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(format!("the other side closed after {} bytes", self.received.len())),
                Ok(bytes) => self.received.extend_from_slice(&chunk[..bytes]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Waits until the other side has said by TLS that nothing more comes.
    #[track_caller]
    pub fn closed_in_order(&mut self) {
        match self.stream.read(&mut [0; 16]) {
            Ok(0) => {}
            other => panic!("the connection did not end in order: {other:?}"),
        }
    }

    /// Speaks HTTP/2 from now on, which must have been agreed upon; preface and empty settings are sent.
    #[track_caller]
    pub fn into_streams(self) -> StreamPeer {
        assert_eq!(self.application().as_deref(), Some("h2"));
        assert!(self.received.is_empty(), "nothing was said yet");
        StreamPeer::on(Box::new(self.stream)).greeted()
    }

    /// What was agreed to speak, if anything was.
    pub fn application(&self) -> Option<String> {
        self.stream.conn.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned())
    }

    /// How the handshake went.
    pub fn is_resumed(&self) -> bool {
        self.stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The version of TLS, as `TLSv1_3`.
    pub fn version(&self) -> String {
        format!("{:?}", self.stream.conn.protocol_version().unwrap())
    }

    /// The key exchange, as `X25519MLKEM768`.
    pub fn key_exchange(&self) -> String {
        format!("{:?}", self.stream.conn.negotiated_key_exchange_group().unwrap().name())
    }

    /// The certificate of the other side.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
    }
}
