//! An HTTP/2 exchange does not depend on how its bytes arrive, says only whole frames, and holds little memory.
#![no_main]
#![allow(dead_code, reason = "the modules below serve the property tests too")]

#[path = "../../../../appliance/tests/protocol/http2_support.rs"]
mod http2_support;
#[path = "../../../../appliance/tests/protocol/support.rs"]
mod support;

use std::time::Duration;

use carom::limits::HttpLimits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // The first three bytes say where the rest is cut.
    let Some((cuts, input)) = input.split_first_chunk::<3>() else { return };
    let input = &input[..input.len().min(2_048)];
    let limits = HttpLimits {
        header_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(15),
        write_timeout: Duration::from_secs(7),
        head_bytes_max: 512,
        target_bytes_max: 64,
        fields_max: 8,
        requests_per_connection_max: 8,
        body_discard_bytes_max: 64,
    };
    http2_support::check_http2(input, &cuts.map(usize::from), &limits);
});
