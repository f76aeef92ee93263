//! Real processes, real sockets, real files: what the cases are played with.
//!
//! Modules in reading order: how to wait and what cannot be run here, the programs under test, the links they serve, how a
//! node is started and asked, and the clients that ask it.
#![forbid(unsafe_code)]

pub mod wait;

pub mod here;

pub mod mount;

pub mod network;

pub mod packets;

pub mod binaries;

pub mod process;

pub mod links;

pub mod tool;

pub mod site;

pub mod node;

pub mod admin;

pub mod metrics;

pub mod reply;

pub mod peer;

pub mod authority;

pub mod secure;

pub mod streams;

pub mod load;

pub mod broker;

pub mod faults;

pub mod topology;

pub use authority::Authority;
pub use faults::Faults;
pub use links::{Domains, Row};
pub use metrics::Metrics;
pub use network::Namespace;
pub use node::Node;
pub use peer::Peer;
pub use reply::Reply;
pub use secure::{SecurePeer, Trust};
pub use site::Site;
pub use streams::StreamPeer;
pub use wait::{SOON, eventually};
