//! A PROXY header gets the same verdict however it is cut, and the Forwarded fields never name a proxy while they name a stranger
//! behind it.
#![no_main]

use std::net::IpAddr;

use carom::limits::PROXY_HEADER_BYTES_MAX;
use carom::proxies::ForwardedField;
use carom::proxies::forwarded::{Via, sender};
use carom::proxies::header::{Header, parse};
use libfuzzer_sys::fuzz_target;

fn is_proxy(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.octets()[0] == 10)
}

fuzz_target!(|input: &[u8]| {
    let verdict = parse(input);
    for end in 0..input.len().min(PROXY_HEADER_BYTES_MAX) {
        let early = parse(&input[..end]);
        assert!(
            early == Header::Partial || early == verdict,
            "{early:?} after {end} bytes, then {verdict:?}"
        );
    }
    if let Header::Whole(announced, bytes) = verdict {
        assert!(bytes <= input.len().min(PROXY_HEADER_BYTES_MAX));
        assert!(announced.client.is_none_or(|client| client.ip() == client.ip().to_canonical()));
    }
    for field in [ForwardedField::XForwardedFor, ForwardedField::Forwarded] {
        let via = Via { forwarded_for: Some(input), forwarded_proto: Some(input), forwarded: Some(input) };
        let everybody = sender(&via, field, |_| true).address;
        let nobody = sender(&via, field, |_| false).address;
        let found = sender(&via, field, is_proxy).address;
        assert!(everybody.is_some() == nobody.is_some() && found.is_some() == nobody.is_some());
        // The nearest hop decides if it is a stranger.
        if let Some(nearest) = nobody.filter(|nearest| !is_proxy(*nearest)) {
            assert_eq!(found, Some(nearest));
        }
    }
});
