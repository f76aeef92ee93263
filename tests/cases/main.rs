//! The promises of docs/specification.md, each kept by a case that plays it with real processes and sockets.

mod instruments;
