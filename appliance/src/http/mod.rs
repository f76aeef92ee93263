//! HTTP/1.0 and 1.1 without sockets: bytes in, bytes and deadlines out.
//!
//! Modules in reading order: which bytes may stand where, what a head says, how a body is skipped, why a client is
//! turned away, and the connection that puts them together.
#![forbid(unsafe_code)]

pub(crate) mod bytes;

pub mod head;

mod target;

mod fields;

pub mod body;

pub mod refusal;

pub mod connection;

pub(crate) use bytes::find_control;
pub use connection::{Advance, Answer, Connection, Ending, Next};
pub(crate) use fields::Fields;
pub use head::{Body, Head, Method, Parsed, Version, Wishes};
pub use refusal::Refusal;
pub(crate) use target::is_authority;
