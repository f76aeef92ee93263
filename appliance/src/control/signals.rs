//! What the service manager and operators say: reload, end, end at once.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::pipe;
use tokio::net::UnixStream;

/// The status of a process that a second SIGTERM or SIGINT ended.
const IMPATIENT_STATUS: i32 = 1;

/// Signals that have arrived, as readable sockets: no code of ours runs in a signal handler.
pub struct Signals {
    reload: UnixStream,
    end: UnixStream,
}

/// SIGHUP from the start of the process on: by itself it would end a node that still copies its first snapshot.
pub struct Hangups(StdUnixStream);

impl Hangups {
    /// Keeps what arrives until [`Signals::new`] takes it over. Needs no runtime.
    ///
    /// # Errors
    ///
    /// The handler or its socket cannot be made.
    pub fn hold() -> io::Result<Self> {
        let (read, write) = StdUnixStream::pair()?;
        read.set_nonblocking(true)?;
        pipe::register(SIGHUP, write)?;
        Ok(Self(read))
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SIGHUP: look at the snapshot now, open the access log again.
    Reload,
    /// SIGTERM or SIGINT: drain and end.
    End,
}

impl Signals {
    /// Takes over the signals of the process. From the second SIGTERM or SIGINT on, the process ends at once, in the handler
    /// itself, so that it ends even if the control thread hangs.
    ///
    /// # Errors
    ///
    /// The handlers or their sockets cannot be made. Must be called within a tokio runtime.
    pub fn new(Hangups(hangups): Hangups) -> io::Result<Self> {
        let reload = UnixStream::from_std(hangups)?;
        let (end, terminate) = socket_pair()?;
        let interrupt = terminate.try_clone()?;
        let impatient = Arc::new(AtomicBool::new(false));
        for (signal, writer) in [(SIGTERM, terminate), (SIGINT, interrupt)] {
            // In this order: the first signal finds the flag down, and raises it for the next.
            flag::register_conditional_shutdown(signal, IMPATIENT_STATUS, Arc::clone(&impatient))?;
            flag::register(signal, Arc::clone(&impatient))?;
            pipe::register(signal, writer)?;
        }
        Ok(Self { reload, end })
    }

    /// Waits for the next signal. Signals that arrive together may be one.
    pub async fn next(&self) -> Asked {
        tokio::select! {
            biased;
            () = arrival(&self.end) => Asked::End,
            () = arrival(&self.reload) => Asked::Reload,
        }
    }
}

/// The end that a runtime reads, and the end that a handler writes to.
fn socket_pair() -> io::Result<(UnixStream, StdUnixStream)> {
    let (read, write) = StdUnixStream::pair()?;
    read.set_nonblocking(true)?;
    Ok((UnixStream::from_std(read)?, write))
}

async fn arrival(socket: &UnixStream) {
    // The write end lives as long as the process: errors and the end of the stream cannot come. What is read are the
    // signals that came so far; reading them empties the socket.
    loop {
        if socket.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
        if socket.try_read(&mut [0; 64]).is_ok() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hangup_during_the_start_is_a_reload_after_it() {
        let hangups = Hangups::hold().unwrap();
        signal_hook::low_level::raise(SIGHUP).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let asked = runtime.block_on(async { Signals::new(hangups).unwrap().next().await });
        assert_eq!(asked, Asked::Reload);
    }
}
