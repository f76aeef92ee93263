//! BIRD's control socket: what it says byte by byte, what its replies mean, and a connection with deadlines.
//!
//! Modules in reading order: the protocol without sockets, the contents of replies, and the connection.

pub mod protocol;

pub mod contents;

pub mod client;

pub use client::{BirdError, Client};
pub use protocol::{Command, Decoder, Line, ProtocolError, Received, Reply};
