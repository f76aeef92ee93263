//! TLS between the sockets of a shard and its protocols: certificates, tickets, handshakes, records.
//!
//! Modules in reading order: what a certificate is and how a directory of them becomes a look-up by name, which one a client
//! gets, how sessions are resumed on other nodes, how rustls is told, one connection as a state machine, what is counted,
//! and the thread that keeps files fresh.
#![forbid(unsafe_code)]

pub mod certificates;

pub mod resolver;

pub mod tickets;

pub mod acceptor;

pub mod stream;

pub mod handshake;

pub mod keeper;

pub use acceptor::Acceptor;
pub use certificates::{Names, Store};
pub use handshake::{Handshake, HandshakeFailure};
pub use stream::{Application, Received, Stream};
