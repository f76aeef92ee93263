//! Builds, proves and inspects snapshots of all links.
//!
//! Modules in reading order: the words of inputs and reports, what values mean, how rows are found and checked.
#![forbid(unsafe_code)]

pub mod column;
pub mod limits;
pub mod nearest;
pub mod refusal;

pub mod destination;
pub mod domain_name;
pub mod moment;

pub mod domains_file;
pub mod settings;

pub mod source;
pub mod terms;

pub mod check;
pub mod digest;
pub mod pipeline;
