#![no_std]
#![forbid(unsafe_code)]
//! Parsing and decisions of the guard, for host and kernel alike.
//!
//! [`judge`] is the whole of it: a packet, the tables and the time go in, a [`Verdict`] comes out, and the packet has
//! become its answer if the verdict says [`Action::Transmit`](ebpf_abi::Action). In reading order:

#[cfg(any(test, feature = "twin"))]
extern crate std;

pub mod packet;
pub mod tables;
mod verdict;

mod challenge;
mod checksum;
mod flow;
mod ipv4;
mod ipv6;
mod judge;
pub mod rate;
mod transport;

#[cfg(any(test, feature = "twin"))]
pub mod twin;

pub use flow::{Flow, Transport};
pub use judge::{is_impossible, judge};
pub use packet::{Header, HeaderMut, Packet};
pub use tables::{Level, Tables};
pub use verdict::{NOT_MONITORED, Verdict};
