//! Header compression (RFC 7541): a whole decoder, because clients choose how they encode, and as little of an encoder as
//! replies need.
//!
//! Modules in reading order: integers, the Huffman code, the two tables, reading a header block, writing one.

mod integer;

mod huffman;

mod table;

mod decoder;

mod encode;

pub use decoder::{Decoder, Fault, Field};
pub(crate) use encode::{Name, append_field, append_size_update, append_status};
