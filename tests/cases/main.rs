//! The promises of docs/specification.md, each kept by a case that plays it with real processes and sockets.
//!
//! Every reply that any case reads is also held to the rules of `lab::reply`: Date, lengths, no cache for what is no
//! redirect, and so on.

mod fixture;
mod instruments;

mod redirects;

mod canaries;

mod protocol;

mod caching;

mod malformed;

mod http2;

mod http2_attacks;

mod slow_clients;

mod crowds;

mod swap;

mod bad_snapshots;

mod private_copy;

mod drain;

mod admin;

mod configuration;

mod soak;

mod guard;

mod anycast;

mod clicks;

mod clicks_receivers;

mod clicks_people;

mod clicks_faults;

mod tls;

mod tls_certificates;

mod tls_tickets;

mod clients;

mod upgrade;

mod upgrade_failures;

mod upgrade_sockets;

mod http2_tls;

mod sites;

mod proxies;

mod anycast_lab;

mod anycast_faults;

mod anycast_silence;

mod anycast_operators;

mod anycast_rules;

mod anycast_probes;

mod anycast_neighbours;

mod tool;
