//! Asking the node: canaries through its addresses, and its own vitals; never mistaking the prober's trouble for the node's.
//!
//! Modules in reading order: one HTTP request, TLS below it, a canary, the node's vitals, where probes start, and how late our own timers are.

pub mod http;

pub mod secure;

pub mod canary;

pub mod admin;

pub mod source;

pub mod lateness;
