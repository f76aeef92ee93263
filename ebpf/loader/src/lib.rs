//! Loads, attaches, replaces and pins the programs of the guard, and hands out typed handles to their tables.
//!
//! [`Guard`] is the loaded program with its tables, [`Tables`] the pinned tables alone (what a command line needs), and
//! [`Twin`] the same decisions without XDP. Nothing here starts a thread or keeps a clock: callers beat, drain and poll.

mod attach;
mod bans;
mod batch;
mod cidr;
mod clock;
mod counters;
mod error;
mod ethtool;
mod explain;
mod filter;
mod guard;
mod inherit;
mod lists;
mod object;
mod pins;
mod plain;
mod preflight;
mod selftest;
mod settings;
mod swap;
mod tables;
mod twin;
mod vips;

pub use attach::{AttachError, Attached, XdpPath};
pub use bans::{BanEntry, BanError, key as ban_key};
pub use cidr::{Cidr, CidrError};
pub use clock::now_ns;
pub use counters::Counters;
pub use ebpf_abi as abi;
pub use ebpf_logic::twin::frames;
pub use error::GuardError;
pub use explain::{Explanation, Question};
pub use guard::{Guard, GuardOptions, ProgramFacts};
pub use lists::{BadLine, List, ListKind, Lists};
pub use object::{Object, ObjectError};
pub use pins::Pins;
pub use preflight::{Finding, preflight};
pub use selftest::{SelfTest, SelfTestFailure};
pub use settings::{Limit, Modes, Settings, SettingsError, VipSettings};
pub use swap::Candidate;
pub use tables::{Events, Tables};
pub use twin::Twin;
