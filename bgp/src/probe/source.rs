//! Where probes start: this network namespace, or another one, from which they enter by the interface that the guard protects.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::TcpSocket;
use tokio::sync::{mpsc, oneshot};

/// Makes the sockets of probes.
#[derive(Clone, Debug)]
pub enum Source {
    /// In the own namespace.
    Here,
    /// In another one: by a thread that lives there, because a socket stays where it was made.
    There(mpsc::UnboundedSender<(bool, oneshot::Sender<io::Result<TcpSocket>>)>),
}

impl Source {
    /// Enters the namespace of that name below `/run/netns`.
    ///
    /// # Errors
    ///
    /// It is not there, or may not be entered.
    pub fn within(name: &str) -> io::Result<Self> {
        let entered = File::open(Path::new("/run/netns").join(name))?;
        let (asks, mut asked) = mpsc::unbounded_channel::<(bool, oneshot::Sender<io::Result<TcpSocket>>)>();
        let (ready, started) = std::sync::mpsc::channel();
        thread::Builder::new().name("probe-sockets".into()).spawn(move || {
            let moved = move_into_link_name_space(entered.as_fd(), Some(LinkNameSpaceType::Network));
            let usable = moved.is_ok();
            let _ = ready.send(moved);
            if usable {
                while let Some((v4, reply)) = asked.blocking_recv() {
                    let _ = reply.send(new_socket(v4));
                }
            }
        })?;
        let told = started.recv().map_err(|_| io::Error::other("the thread of the namespace ended"))?;
        told?;
        Ok(Self::There(asks))
    }

    /// A socket for a connection to `address`.
    ///
    /// # Errors
    ///
    /// The system has none to give.
    pub async fn socket(&self, address: SocketAddr) -> io::Result<TcpSocket> {
        let asks = match self {
            Self::Here => return new_socket(address.is_ipv4()),
            Self::There(asks) => asks,
        };
        let gone = || io::Error::other("the thread of the namespace is gone");
        let (reply, answer) = oneshot::channel();
        asks.send((address.is_ipv4(), reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Made by std's types, so that the thread needs no reactor; tokio registers the socket when it connects.
fn new_socket(v4: bool) -> io::Result<TcpSocket> {
    if v4 { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
}
