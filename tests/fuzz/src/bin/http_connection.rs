//! A conversation does not depend on how its bytes arrive, and every reply in it is one.
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
    // The first three bytes say where the rest is cut.
    let Some((cuts, input)) = input.split_first_chunk::<3>() else { return };
    let input = &input[..input.len().min(1_024)];
    invariants::check_connection(input, &cuts.map(usize::from), &support::small_limits());
});
