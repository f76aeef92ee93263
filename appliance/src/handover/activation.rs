//! Sockets that the service manager bound before it started this process: `LISTEN_FDS`, `LISTEN_PID`, `LISTEN_FDNAMES`.

use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;
use socket2::Socket;

use super::Inherited;

/// What the service manager gave.
#[derive(Debug, Default)]
pub struct Activated {
    /// Listeners, whatever they are meant for: an address of the configuration says which.
    pub listeners: Vec<Inherited>,
    /// The one that is called `admin` (`FileDescriptorName=admin`).
    pub admin: Option<TcpListener>,
}

/// The name of the admin listener.
const ADMIN_NAME: &str = "admin";

impl Activated {
    /// Takes the sockets that are meant for this process; none if it was started in another way.
    ///
    /// # Errors
    ///
    /// A descriptor is no listening TCP socket.
    pub fn take() -> io::Result<Self> {
        // The variables may be those of a parent process.
        if sd_notify::listen_fds()?.len() == 0 {
            return Ok(Self::default());
        }
        // Names come in the order of descriptors; this call also keeps them from programs that are started later.
        let names: Vec<String> = sd_notify::listen_fds_with_names()?.map(|(_, name)| name).collect();
        let mut given = ListenFd::from_env();
        let mut activated = Self::default();
        for (index, name) in names.iter().enumerate() {
            let listener = given.take_tcp_listener(index).map_err(|error| {
                let text = format!(
                    "socket {index} ({name}) of the service manager is no listening TCP socket: {error}; correct the \
                     ListenStream= of its socket unit"
                );
                io::Error::new(error.kind(), text)
            })?;
            match listener {
                Some(listener) if name == ADMIN_NAME => activated.admin = Some(listener),
                Some(listener) => {
                    let bound = listener.local_addr()?;
                    let socket = Socket::from(listener);
                    socket.set_nonblocking(true)?;
                    activated.listeners.push(Inherited { configured: bound, bound, socket });
                }
                None => {}
            }
        }
        Ok(activated)
    }
}
