//! The node's admin listener: `/vitals` over one connection that is kept, whose end is the first news of a dead node.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use vitals::Vitals;

use super::http;
use crate::config::settings::Address;
use crate::limits::VITALS_BYTES_MAX;

/// Both kinds of connection.
trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// A connection to the admin listener.
pub struct Admin {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Admin {
    /// Connects.
    ///
    /// # Errors
    ///
    /// Nobody listens.
    pub async fn connect(address: &Address, within: Duration) -> io::Result<Self> {
        let connecting = async {
            let stream: Box<dyn Stream> = match address {
                Address::Tcp(address) => Box::new(TcpStream::connect(address).await?),
                Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
            };
            Ok(Self { stream, buffer: Vec::new() })
        };
        timeout(within, connecting).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Asks for the vitals.
    ///
    /// # Errors
    ///
    /// Why they cannot be had, in words for operators. The connection is of no use afterwards.
    pub async fn vitals(&mut self, within: Duration) -> Result<Vitals, String> {
        timeout(within, self.exchange())
            .await
            .map_err(|_| format!("no vitals within {}", http::shown(within)))?
    }

    async fn exchange(&mut self) -> Result<Vitals, String> {
        http::send(&mut self.stream, "localhost", "/vitals", true)
            .await
            .map_err(|error| error.to_string())?;
        let answer =
            http::receive(&mut self.stream, &mut self.buffer).await.map_err(|error| error.to_string())?;
        let length = answer.length.ok_or("vitals without Content-Length")?;
        if length > VITALS_BYTES_MAX {
            return Err(format!("vitals of {length} bytes, expected at most {VITALS_BYTES_MAX}"));
        }
        while self.buffer.len() < length {
            let read = self.stream.read_buf(&mut self.buffer).await.map_err(|error| error.to_string())?;
            if read == 0 {
                return Err("closed in the middle of the vitals".into());
            }
        }
        let body: Vec<u8> = self.buffer.drain(..length).collect();
        if answer.status != 200 {
            return Err(format!("status {} instead of vitals", answer.status));
        }
        serde_json::from_slice(&body).map_err(|error| format!("vitals that are none: {error}"))
    }

    /// Waits until the other side ends the connection. Cancel-safe, for use between two questions.
    pub async fn ended(&mut self) {
        // Whatever comes without a question is no answer either.
        let mut byte = [0; 1];
        let _ = self.stream.read(&mut byte).await;
    }
}
