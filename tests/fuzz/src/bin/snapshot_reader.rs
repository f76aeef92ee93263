//! Any bytes are refused or can be read without panic, also when their checksums are right.
#![no_main]

use libfuzzer_sys::fuzz_target;
use snapshot_format::Snapshot;

fuzz_target!(|bytes: &[u8]| {
    let _ = Snapshot::open(bytes);
    let mut forged = bytes.to_vec();
    snapshot_format::layout::repair_checksums(&mut forged);
    let Ok(snapshot) = Snapshot::open(forged.as_slice()) else { return };
    let key = bytes.get(..3).unwrap_or(b"abc");
    for domain in snapshot.iter_domains().take(64) {
        let _ = snapshot.link(&domain, key);
        for link in snapshot.iter_links().take(64) {
            if let Some(found) = snapshot.link(&domain, link.code) {
                assert_eq!((found.domain, found.code), (domain.id, link.code));
            }
        }
    }
    for host in [&b"go.example"[..], b"x.y.brand.example", key] {
        if let Some(domain) = snapshot.domain(host) {
            assert!(host.ends_with(domain.name));
        }
    }
    if let Ok(census) = snapshot.verify(|_| ()) {
        assert_eq!(census.links, snapshot.links());
    }
});
