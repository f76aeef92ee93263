//! The admin listener, asked through a client that others wrote where it is TCP.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// No admin request takes longer, or the node hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where a node answers about itself.
#[derive(Clone, Debug)]
pub enum Admin {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// What it answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Status code.
    pub status: u16,
    /// Content.
    pub body: String,
}

impl Admin {
    /// The listener at an address as the ready file writes it.
    pub fn at(address: &str) -> Self {
        match address.strip_prefix("unix:") {
            Some(path) => Self::Unix(path.into()),
            None => Self::Tcp(address.parse().unwrap()),
        }
    }

    /// Asks for a path.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answered {
        self.try_get(path).unwrap_or_else(|error| panic!("{self:?} {path}: {error}"))
    }

    /// Asks for a path of a listener that may be gone.
    ///
    /// # Errors
    /// Says how the attempt ended.
    pub fn try_get(&self, path: &str) -> Result<Answered, String> {
        match self {
            Self::Tcp(address) => over_tcp(*address, path),
            Self::Unix(socket) => over_unix(socket.clone(), path),
        }
    }
}

fn over_tcp(address: SocketAddr, path: &str) -> Result<Answered, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .build()
        .into();
    let mut response =
        agent.get(format!("http://{address}{path}")).call().map_err(|error| format!("{error}"))?;
    let body = response.body_mut().read_to_string().map_err(|error| format!("{error}"))?;
    Ok(Answered { status: response.status().as_u16(), body })
}

/// HTTP/1.0 on a Unix socket needs no client: the end of the reply is the end of the stream.
fn over_unix(socket: PathBuf, path: &str) -> Result<Answered, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut stream = UnixStream::connect(socket).map_err(text)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").map_err(text)?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).map_err(text)?;
    let (head, body) = reply.split_once("\r\n\r\n").ok_or("no end of the head")?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("no status")?;
    Ok(Answered { status, body: body.to_owned() })
}
