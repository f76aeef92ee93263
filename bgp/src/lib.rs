//! The sidecar that announces the node by BGP while it is well.
//!
//! Probe → judge → damp → speak → confirm. Modules in reading order: bounds, time, configuration, what is announced; then the deciding
//! part, which is pure (single results, penalties, the ladder, operators' intents, and all of it together); then the shells around it.

pub mod limits;

pub mod clock;

pub mod config;

pub mod announcement;

pub mod judge;

pub mod damper;

pub mod ladder;

pub mod intent;

pub mod core;

pub mod probe;

pub mod speaker;

pub mod audit;

pub mod status;

pub mod metrics;

pub mod control;

pub mod lease;

pub mod serve;

pub mod cli;
