//! Canonical forms of hosts and codes are fixed points, and hold only what they promise.
#![no_main]

use libfuzzer_sys::fuzz_target;
use snapshot_format::{
    CODE_BYTES_MAX, CaseMode, HOST_BYTES_MAX, TrailingSlash, canonical_code, canonical_host,
};

fuzz_target!(|raw: &[u8]| {
    let (mut once, mut twice) = ([0; HOST_BYTES_MAX], [0; HOST_BYTES_MAX]);
    if let Ok(host) = canonical_host(raw, &mut once) {
        assert_eq!(canonical_host(host, &mut twice), Ok(host));
        let allowed = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        assert!(!host.is_empty() && host.iter().all(allowed));
    }
    for case in CaseMode::ALL {
        for slash in TrailingSlash::ALL {
            let (mut once, mut twice) = ([0; CODE_BYTES_MAX], [0; CODE_BYTES_MAX]);
            if let Ok(code) = canonical_code(raw, *case, *slash, &mut once) {
                assert_eq!(canonical_code(code, *case, *slash, &mut twice), Ok(code));
                assert!(!code.is_empty() && code.iter().all(|&byte| byte > b' ' && byte != 0x7f));
            }
        }
    }
});
