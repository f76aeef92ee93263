//! The loaded program against the kernel: verdicts equal to the logic's, verifier bounds, attaching, swapping.
//!
//! Needs root and the guard object. Without them every test says so loudly and passes, unless `CAROM_REQUIRE_LAB=1`.

mod attaching;
mod bounds;
mod cost;
mod differential;
mod golden;
mod lab;
mod swapping;
mod tables;
