//! What the service manager and operators say: reload, upgrade, end, end at once.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use signal_hook::flag;
use signal_hook::low_level::pipe;
use tokio::net::UnixStream;

/// The status of a process that a second SIGTERM or SIGINT ended.
const IMPATIENT_STATUS: i32 = 1;

/// Signals that have arrived, as readable sockets: no code of ours runs in a signal handler.
pub struct Signals {
    reload: UnixStream,
    upgrade: UnixStream,
    end: UnixStream,
}

/// SIGHUP and SIGUSR2 from the start of the process on: by themselves they would end a node that still copies its first snapshot.
pub struct Hangups {
    reload: StdUnixStream,
    upgrade: StdUnixStream,
}

impl Hangups {
    /// Keeps what arrives until [`Signals::new`] takes it over. Needs no runtime.
    ///
    /// # Errors
    ///
    /// The handler or its socket cannot be made.
    pub fn hold() -> io::Result<Self> {
        let held = |signal| {
            let (read, write) = StdUnixStream::pair()?;
            read.set_nonblocking(true)?;
            pipe::register(signal, write)?;
            io::Result::Ok(read)
        };
        Ok(Self { reload: held(SIGHUP)?, upgrade: held(SIGUSR2)? })
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SIGHUP: look at the snapshot now, open the access log again.
    Reload,
    /// SIGUSR2: start a successor, and hand over to it when it is ready.
    Upgrade,
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
    pub fn new(Hangups { reload, upgrade }: Hangups) -> io::Result<Self> {
        let (reload, upgrade) = (UnixStream::from_std(reload)?, UnixStream::from_std(upgrade)?);
        let (end, terminate) = socket_pair()?;
        let interrupt = terminate.try_clone()?;
        let impatient = Arc::new(AtomicBool::new(false));
        for (signal, writer) in [(SIGTERM, terminate), (SIGINT, interrupt)] {
            // In this order: the first signal finds the flag down, and raises it for the next.
            flag::register_conditional_shutdown(signal, IMPATIENT_STATUS, Arc::clone(&impatient))?;
            flag::register(signal, Arc::clone(&impatient))?;
            pipe::register(signal, writer)?;
        }
        Ok(Self { reload, upgrade, end })
    }

    /// Waits for the next signal. Signals that arrive together may be one.
    pub async fn next(&self) -> Asked {
        tokio::select! {
            biased;
            () = arrival(&self.end) => Asked::End,
            () = arrival(&self.reload) => Asked::Reload,
            () = arrival(&self.upgrade) => Asked::Upgrade,
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
