//! The parser of request heads agrees with its slow twin and with httparse, on every prefix of any bytes.
#![no_main]
#![allow(dead_code, reason = "the modules below serve the property tests too")]

#[path = "../../../../appliance/tests/protocol/invariants.rs"]
mod invariants;
#[path = "../../../../appliance/tests/protocol/reference_head.rs"]
mod reference_head;
#[path = "../../../../appliance/tests/protocol/support.rs"]
mod support;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // Every bound is reached within 256 bytes; what is longer only costs time.
    invariants::check_head(&input[..input.len().min(320)], &support::small_limits());
});
