//! HTTP/2 without sockets: bytes in, bytes and deadlines out, and no buffer for what a redirect does not need.
//!
//! Modules in reading order: header compression, what frames look like, what clients do wrong, how often they may do what is
//! allowed, what a request says, which streams are open, and the connection that puts them together.
#![forbid(unsafe_code)]

pub mod hpack;

pub mod frame;

pub mod offence;

mod budgets;

mod request;

mod streams;

pub mod connection;

pub use connection::{AnswerStream, Connection, PREFACE};
pub use offence::Offence;
pub use request::Scratch;
