//! The socket of the admin listener: loopback TCP or a Unix socket, with a bound on connections and on their silence.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::serve::Listener;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::config::settings::AdminAddress;
use crate::limits::{ADMIN_BACKLOG, ADMIN_CONNECTION_LIFETIME, ADMIN_CONNECTIONS_MAX, ADMIN_IDLE_TIMEOUT};

/// A bound admin listener that does not accept yet. Needs no runtime.
pub enum AdminListener {
    /// Loopback, as a rule.
    Tcp(std::net::TcpListener),
    /// A socket in the file system, which goes when the listener goes.
    Unix(std::os::unix::net::UnixListener, Unlink),
}

/// Why the admin listener could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The system refused.
    #[error("cannot listen on admin.listen = {address:?}: {source}")]
    Refused {
        /// The address as configured.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Another process answers on the socket.
    #[error("another process listens on {}: end it or choose another admin.listen", .0.display())]
    Taken(PathBuf),
    /// The path is something else than a socket.
    #[error("{} exists and is no socket: remove it or choose another admin.listen", .0.display())]
    NoSocket(PathBuf),
}

impl AdminListener {
    /// Takes the listener that another process has bound for `address`. A name in the file system is that one's until it is said otherwise.
    ///
    /// # Errors
    ///
    /// It is none, or its name is gone.
    pub fn adopt(address: &AdminAddress, descriptor: OwnedFd) -> Result<Self, AdminError> {
        match address {
            AdminAddress::Tcp(_) => Ok(Self::Tcp(descriptor.into())),
            AdminAddress::Unix(path) => {
                let refused =
                    |source| AdminError::Refused { address: format!("unix:{}", path.display()), source };
                let unlink = Unlink::of(path).map_err(refused)?;
                unlink.stays.store(true, Ordering::Release);
                Ok(Self::Unix(descriptor.into(), unlink))
            }
        }
    }

    /// A descriptor of it, for a successor.
    ///
    /// # Errors
    ///
    /// No descriptor is left.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(tcp) => Ok(tcp.try_clone()?.into()),
            Self::Unix(unix, _) => Ok(unix.try_clone()?.into()),
        }
    }

    /// Raised when the name of a Unix socket is to stay, because the listener has become another process's.
    pub fn name_stays(&self) -> Arc<AtomicBool> {
        match self {
            Self::Tcp(_) => Arc::default(),
            Self::Unix(_, unlink) => Arc::clone(&unlink.stays),
        }
    }

    /// Binds `address`. A Unix socket gets mode 0660 before anybody can connect; one that a dead process left is replaced.
    ///
    /// # Errors
    ///
    /// The address is taken, not there, or not allowed.
    pub fn bind(address: &AdminAddress) -> Result<Self, AdminError> {
        match address {
            AdminAddress::Tcp(address) => {
                let refused = |source| AdminError::Refused { address: address.to_string(), source };
                bind_tcp(*address).map(Self::Tcp).map_err(refused)
            }
            AdminAddress::Unix(path) => {
                let refused =
                    |source| AdminError::Refused { address: format!("unix:{}", path.display()), source };
                remove_stale(path)?;
                let socket = bind_unix(path).map_err(refused)?;
                let unlink = Unlink::of(path).map_err(refused)?;
                Ok(Self::Unix(socket, unlink))
            }
        }
    }

    /// The address that was bound, as configuration and ready file write it.
    pub fn address(&self) -> String {
        match self {
            Self::Tcp(tcp) => tcp.local_addr().map(|address| address.to_string()).unwrap_or_default(),
            Self::Unix(_, unlink) => format!("unix:{}", unlink.path.display()),
        }
    }

    /// Hands the socket to the runtime that this is called on.
    pub(super) fn into_bounded(self) -> io::Result<Bounded> {
        let permits = Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX));
        Ok(match self {
            Self::Tcp(tcp) => {
                tcp.set_nonblocking(true)?;
                Bounded::Tcp(BoundedListener { inner: tokio::net::TcpListener::from_std(tcp)?, permits })
            }
            Self::Unix(unix, unlink) => {
                unix.set_nonblocking(true)?;
                let inner = tokio::net::UnixListener::from_std(unix)?;
                Bounded::Unix(BoundedListener { inner, permits }, unlink)
            }
        })
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restart must not wait for connections of the last run to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(ADMIN_BACKLOG)?;
    Ok(socket.into())
}

fn bind_unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // Nobody can connect before listen, so no mode but this one is ever in force.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    socket.listen(ADMIN_BACKLOG)?;
    Ok(OwnedFd::from(socket).into())
}

/// Removes a socket that nobody listens on.
fn remove_stale(path: &Path) -> Result<(), AdminError> {
    let refused = |source| AdminError::Refused { address: format!("unix:{}", path.display()), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(error)),
        Ok(there) if !there.file_type().is_socket() => return Err(AdminError::NoSocket(path.to_owned())),
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(refused)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(refused(error)),
        Ok(_) => Err(AdminError::Taken(path.to_owned())),
    }
}

/// Removes the socket's name when dropped, unless another process has taken the name meanwhile.
pub struct Unlink {
    path: PathBuf,
    inode: (u64, u64),
    stays: Arc<AtomicBool>,
}

impl Unlink {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), inode: inode(path)?, stays: Arc::default() })
    }
}

impl Drop for Unlink {
    fn drop(&mut self) {
        let stays = self.stays.load(Ordering::Acquire);
        if !stays && inode(&self.path).is_ok_and(|there| there == self.inode) {
            // A name that stays is replaced by the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|there| (there.dev(), there.ino()))
}

/// A listener on a runtime.
pub(super) enum Bounded {
    Tcp(BoundedListener<tokio::net::TcpListener>),
    Unix(BoundedListener<tokio::net::UnixListener>, Unlink),
}

/// Accepts [`ADMIN_CONNECTIONS_MAX`] connections at a time; the others wait in the kernel's queue.
pub(super) struct BoundedListener<L> {
    inner: L,
    permits: Arc<Semaphore>,
}

impl<L: Listener> Listener for BoundedListener<L> {
    type Io = BoundedStream<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        let (stream, address) = self.inner.accept().await;
        (BoundedStream::new(stream, permit), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}

/// A connection that ends after [`ADMIN_IDLE_TIMEOUT`] of silence or [`ADMIN_CONNECTION_LIFETIME`] in all.
pub(super) struct BoundedStream<S> {
    stream: S,
    deadline: Pin<Box<Sleep>>,
    ends_at: Instant,
    _permit: OwnedSemaphorePermit,
}

impl<S> BoundedStream<S> {
    fn new(stream: S, permit: OwnedSemaphorePermit) -> Self {
        let now = Instant::now();
        let deadline = Box::pin(sleep_until(now + ADMIN_IDLE_TIMEOUT));
        Self { stream, deadline, ends_at: now + ADMIN_CONNECTION_LIFETIME, _permit: permit }
    }

    /// `outcome`, unless it is pending and the deadline has passed. Progress moves the deadline.
    fn or_late<T>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_pending() {
            ready!(self.deadline.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.deadline.as_mut().reset(self.ends_at.min(Instant::now() + ADMIN_IDLE_TIMEOUT));
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for BoundedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.or_late(context, outcome)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for BoundedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.or_late(context, outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
