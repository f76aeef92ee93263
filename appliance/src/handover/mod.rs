//! The binary is replaced without a refused or reset connection: the listening sockets themselves go from one process to the next.
//!
//! Modules in reading order: what is said and how descriptors travel, the side of the node that serves, the side of its successor, how a
//! successor is started, and sockets that the service manager made.
//!
//! 1. The successor connects to the socket in the state directory and gets descriptors of the listeners, of the admin listener and of the
//!    lock on the state directory. The old process goes on serving, but leaves snapshots alone.
//! 2. The successor does what every start does: certificates, guard, snapshot, shards. Then its shards accept, beside the old ones, from the
//!    same queues.
//! 3. It says that it is ready. The old process takes its hands off the listeners and drains; what waits in the queues is the successor's.
//!
//! If the successor ends or gives up before that, the old process goes on as if nothing had been.

pub mod wire;

pub mod offer;

pub mod take;

pub mod launch;

pub mod activation;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use socket2::Socket;

/// Name of the socket in the state directory.
const SOCKET_NAME: &str = "handover.sock";

/// Where a node with this state directory waits for its successor.
pub fn socket_path(state_dir: &Path) -> PathBuf {
    state_dir.join(SOCKET_NAME)
}

/// A listening socket that another process has bound.
#[derive(Debug)]
pub struct Inherited {
    /// What the configuration of that process called it; port 0 stays port 0. For sockets of a service manager the same as `bound`.
    pub configured: SocketAddr,
    /// Where it listens.
    pub bound: SocketAddr,
    /// The socket.
    pub socket: Socket,
}
