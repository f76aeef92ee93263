//! What a click is, on disk and on the wire: the record, what privacy leaves of it, who is a bot, and the spool.
//!
//! Modules in reading order: bounds, the closed sets, the record, what is kept of a referrer and of an address, what a user
//! agent and an address say, the spool, what receivers get, the books, and heavy hitters.
#![forbid(unsafe_code)]

pub mod limits;

pub mod kinds;

pub mod record;

pub mod referrer;

pub mod policy;

pub mod agents;

pub mod countries;

pub mod spool;

pub mod wire;

pub mod ledger;

pub mod top;

pub use kinds::{AddressKind, BotClass, DeviceClass, Outcome, Protocol};
pub use record::{Address, Click};
