//! The redirect node: one core, one shard, nothing shared.
//!
//! Modules in reading order: what bounds a node, what it is told, what it knows, how it answers, how it runs.
#![forbid(unsafe_code)]

pub mod build_info;

pub mod limits;

pub mod failpoints;

pub mod config;

pub mod snapshot;

pub mod http;

pub mod http2;

pub mod protocol;

pub mod proxies;

pub mod redirect;

pub mod tls;

pub mod metrics;

pub mod access_log;

pub mod clicks;

pub mod scanners;

pub mod shard;

pub mod guard;

pub mod control;

pub mod handover;

pub mod boot;

pub mod cli;
