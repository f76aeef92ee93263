//! Certificates: from files in a directory to a look-up by name.
//!
//! Modules in reading order: the names of one certificate, one checked pair of chain and key, the look-up over many pairs,
//! and the directory that they are read from.

pub mod names;

pub mod pair;

pub mod store;

pub mod directory;

pub use directory::{Directory, Flaw, Loaded};
pub use names::Names;
pub use pair::{Algorithm, Caution, Defect, Pair};
pub use store::{Expiry, Store};
