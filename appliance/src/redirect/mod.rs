//! What a request deserves: head, snapshot and time in, reply out.
//!
//! Modules in reading order: what can come out, where a redirect points, the decision, what comes before links, the bytes.
#![forbid(unsafe_code)]

pub mod outcome;

pub mod location;

pub mod decide;

pub mod site;

pub mod reply;

pub use decide::{Asked, CacheControl, Decision, decide};
pub use location::Location;
pub use outcome::Outcome;
pub use reply::Stamp;
pub use site::{Acme, Arrival, Content, Surroundings};
