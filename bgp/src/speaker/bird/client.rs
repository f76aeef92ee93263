//! One connection to BIRD's control socket: commands out, replies in, each with a deadline.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

use super::protocol::{Command, Decoder, Line, ProtocolError, Received, Reply};
use crate::limits::{BIRD_ASIDES_MAX, BIRD_COMMAND_BYTES_MAX};

/// Why BIRD did not do or say what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BirdError {
    /// The socket is not there, refuses, or broke.
    #[error("BIRD cannot be reached at {}: {source}", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// BIRD closed the connection.
    #[error("BIRD closed the connection")]
    Closed,
    /// No whole reply within the time allowed.
    #[error("BIRD did not answer `{command}` within {timeout:?}")]
    Silent {
        /// What was asked.
        command: String,
        /// How long it had.
        timeout: Duration,
    },
    /// Whoever answers is not BIRD.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// BIRD refused.
    #[error("BIRD refused `{command}`: {} {}", line.code, line.text)]
    Refused {
        /// What was asked.
        command: String,
        /// What it said.
        line: Line,
    },
}

impl BirdError {
    /// Whether the connection can be used again: BIRD answered, and only refused.
    pub fn leaves_connection(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    path: PathBuf,
    decoder: Decoder,
    asides: VecDeque<String>,
    timeout: Duration,
    greeting: String,
}

/// Bytes of one read.
const READ_BYTES: usize = 8192;

impl Client {
    /// Connects and waits for the greeting.
    ///
    /// # Errors
    ///
    /// Nobody listens, or it is not BIRD, or it is silent.
    pub async fn connect(path: &Path, timeout: Duration) -> Result<Self, BirdError> {
        let deadline = Instant::now() + timeout;
        let silent = || BirdError::Silent { command: "connect".into(), timeout };
        let stream = timeout_at(deadline, UnixStream::connect(path))
            .await
            .map_err(|_| silent())?
            .map_err(|source| BirdError::Unreachable { path: path.to_owned(), source })?;
        let (decoder, asides, greeting) = Default::default();
        let mut client = Self { stream, path: path.to_owned(), decoder, asides, timeout, greeting };
        let reply = timeout_at(deadline, client.receive_reply()).await.map_err(|_| silent())??;
        match &reply.0[..] {
            [Line { code: 1, text }] => client.greeting.clone_from(text),
            _ => return Err(ProtocolError::NoCode(format!("{reply:?} instead of a greeting")).into()),
        }
        Ok(client)
    }

    /// What BIRD said at first: its version.
    pub fn greeting(&self) -> &str {
        &self.greeting
    }

    /// Asks one thing.
    ///
    /// # Errors
    ///
    /// No reply, or a refusal.
    pub async fn ask(&mut self, command: &Command) -> Result<Reply, BirdError> {
        let mut replies = self.ask_all(std::slice::from_ref(command)).await?;
        let reply = replies.pop().expect("one reply for one command");
        match reply.failure() {
            Some(line) => Err(BirdError::Refused { command: command.to_string(), line: line.clone() }),
            None => Ok(reply),
        }
    }

    /// Asks several things at once: all are written before the first reply is read. Refusals are in the replies.
    ///
    /// # Errors
    ///
    /// Not all replies came in time; then the connection is of no more use.
    pub async fn ask_all(&mut self, commands: &[Command]) -> Result<Vec<Reply>, BirdError> {
        let mut replies = Vec::with_capacity(commands.len());
        let mut left = commands;
        while !left.is_empty() {
            let (burst, text) = self::burst(left);
            let deadline = Instant::now() + self.timeout;
            let silent = BirdError::Silent { command: burst[0].to_string(), timeout: self.timeout };
            let written =
                timeout_at(deadline, self.stream.write_all(text.as_bytes())).await.map_err(|_| silent)?;
            written.map_err(|source| BirdError::Unreachable { path: self.path.clone(), source })?;
            for command in burst {
                let silent = BirdError::Silent { command: command.to_string(), timeout: self.timeout };
                replies.push(timeout_at(deadline, self.receive_reply()).await.map_err(|_| silent)??);
            }
            left = &left[burst.len()..];
        }
        Ok(replies)
    }

    /// Waits, without end, for a line that belongs to no reply.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub async fn aside(&mut self) -> Result<String, BirdError> {
        loop {
            if let Some(aside) = self.asides.pop_front() {
                return Ok(aside);
            }
            match self.receive().await? {
                Received::Aside(aside) => return Ok(aside),
                // Nobody asked; a reply to nothing is nothing to us.
                Received::Reply(_) => {}
            }
        }
    }

    async fn receive_reply(&mut self) -> Result<Reply, BirdError> {
        loop {
            match self.receive().await? {
                Received::Reply(reply) => return Ok(reply),
                Received::Aside(aside) => {
                    if self.asides.len() == BIRD_ASIDES_MAX {
                        self.asides.pop_front();
                    }
                    self.asides.push_back(aside);
                }
            }
        }
    }

    /// Cancel-safe: bytes that were read are in the decoder.
    async fn receive(&mut self) -> Result<Received, BirdError> {
        loop {
            if let Some(received) = self.decoder.take() {
                return Ok(received?);
            }
            let mut bytes = [0; READ_BYTES];
            let read = self.stream.read(&mut bytes).await;
            match read.map_err(|source| BirdError::Unreachable { path: self.path.clone(), source })? {
                0 => return Err(BirdError::Closed),
                length => self.decoder.push(&bytes[..length]),
            }
        }
    }
}

/// The first commands that BIRD's buffer of one longest command holds at once, and their text.
fn burst(commands: &[Command]) -> (&[Command], String) {
    let (mut text, mut count) = (String::new(), 0);
    for command in commands {
        let line = format!("{command}\n");
        if count > 0 && text.len() + line.len() > BIRD_COMMAND_BYTES_MAX / 2 {
            break;
        }
        text.push_str(&line);
        count += 1;
    }
    (&commands[..count], text)
}
