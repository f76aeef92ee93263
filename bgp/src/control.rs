//! The Unix socket for operators: one line of JSON asks, one line of JSON answers.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use crate::core::command::Change;
use crate::limits::{CLIENTS_MAX, COMMAND_BYTES_MAX, COMMAND_TIMEOUT};
use crate::status::Status;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What to do.
    pub action: Action,
    /// Why, in the words of whoever asks.
    #[serde(default)]
    pub reason: String,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Say everything that is known.
    Status,
    /// Change something.
    Change(Change),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Everything that is known.
    Status(Box<Status>),
    /// It was taken, and BIRD has done its part.
    Done {
        /// The announcements that it is about.
        announcements: Vec<String>,
        /// From the decision to BIRD's last reply, in microseconds; `None`: BIRD had nothing to do.
        bird_us: Option<u64>,
        /// What is known afterwards.
        status: Box<Status>,
    },
    /// It was refused, or BIRD did not do it; with what to do instead.
    Refused(String),
}

/// What an operator asks, with who it is and where the answer goes.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub request: Request,
    /// Who it is, by the kernel's word.
    pub actor: String,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Answer>,
}

/// Opens the socket. One that nobody listens on any more is replaced.
///
/// # Errors
///
/// Somebody listens on it, or the system refuses.
pub fn open(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        let text = format!("another carom-bgp serves {}", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::other(format!("{} is no socket; remove it", path.display()))),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Answers operators until the process ends.
pub async fn serve(listener: UnixListener, asked: mpsc::Sender<Asked>) {
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // No descriptor is left; there will be one when a probe has ended.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let asked = asked.clone();
        tokio::task::spawn_local(async move {
            let _ = converse(stream, asked).await;
            drop(place);
        });
    }
}

async fn converse(mut stream: UnixStream, asked: mpsc::Sender<Asked>) -> io::Result<()> {
    let actor = actor(&stream);
    let mut buffer = Vec::new();
    loop {
        let Some(line) = timeout(COMMAND_TIMEOUT, read_line(&mut stream, &mut buffer)).await?? else {
            return Ok(());
        };
        let answer = match serde_json::from_slice::<Request>(&line) {
            Err(error) => Answer::Refused(format!("no command: {error}")),
            Ok(request) => {
                let (reply, answer) = oneshot::channel();
                let sent = asked.send(Asked { request, actor: actor.clone(), reply }).await.is_ok();
                match answer.await {
                    Ok(answer) if sent => answer,
                    _ => Answer::Refused("the sidecar is ending".into()),
                }
            }
        };
        let mut text = serde_json::to_vec(&answer).expect("strings and numbers are JSON");
        text.push(b'\n');
        timeout(COMMAND_TIMEOUT, stream.write_all(&text)).await??;
    }
}

/// One line without its end; nothing when the client is done.
async fn read_line(stream: &mut UnixStream, buffer: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let mut line: Vec<u8> = buffer.drain(..=end).collect();
            line.pop();
            return Ok(Some(line));
        }
        if buffer.len() > COMMAND_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a command without end"));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// Who is at the other end, as the kernel knows it.
fn actor(stream: &UnixStream) -> String {
    match stream.peer_cred() {
        Ok(cred) => {
            let pid = cred.pid().map(|pid| format!(" pid {pid}")).unwrap_or_default();
            format!("uid {}{pid}", cred.uid())
        }
        Err(_) => "somebody".into(),
    }
}

/// Asks a running sidecar, from a process of its own.
///
/// # Errors
///
/// Nobody listens, or what answers is no sidecar.
pub fn ask(path: &Path, request: &Request, within: Duration) -> io::Result<Answer> {
    let mut stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    let mut text = serde_json::to_vec(request).expect("strings and numbers are JSON");
    text.push(b'\n');
    stream.write_all(&text)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    serde_json::from_str(&line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
