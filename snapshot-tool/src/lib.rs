//! Builds, proves and inspects snapshots of all links.
//!
//! Modules in reading order: the words of inputs and reports, what values mean, how rows are found and
//! checked, what commands share, and one module for each command.
#![forbid(unsafe_code)]

pub mod column;
pub mod limits;
pub mod nearest;
pub mod refusal;

pub mod destination;
pub mod domain_name;
pub mod moment;

pub mod documents;
pub mod domains_file;
pub mod hsts_text;
pub mod settings;

pub mod source;
pub mod terms;

pub mod check;
pub mod digest;
pub mod pipeline;
pub mod place;

pub mod exit;
pub mod input_arguments;
pub mod interrupt;
pub mod memory;
pub mod output;
pub mod progress;

pub mod spelling;

pub mod build;
pub mod diff;
pub mod export;
pub mod generate;
pub mod import;
pub mod inspect;
pub mod lookup;
pub mod verify;

pub mod channel;

pub mod cli;
