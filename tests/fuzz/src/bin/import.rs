//! An import of any origin ends with links and losses, or says that the text is none of this origin.
#![no_main]

use libfuzzer_sys::fuzz_target;
use snapshot_tool::import::{Origin, rehearse};

const ORIGINS: [(u8, Origin); 11] = [
    (b's', Origin::Shlink),
    (b'y', Origin::Yourls),
    (b'k', Origin::Kutt),
    (b'd', Origin::Dub),
    (b'b', Origin::Bitly),
    (b'f', Origin::Cloudflare),
    (b'n', Origin::Netlify),
    (b'x', Origin::Nginx),
    (b'h', Origin::Haproxy),
    (b'a', Origin::Apache),
    (b'c', Origin::Csv),
];

// The first byte tells the origin, the rest is the text.
fuzz_target!(|raw: &[u8]| {
    let Some((sign, text)) = raw.split_first() else { return };
    let Some((_, origin)) = ORIGINS.iter().find(|(known, _)| known == sign) else { return };
    if let Ok((links, losses)) = rehearse(*origin, text, Some("go.example")) {
        // No entry is shorter than two bytes; an entry is at most two links (below a host and at it) or three losses.
        let entries = text.len() as u64 / 2 + 1;
        assert!(
            links <= 2 * entries && losses <= 3 * entries,
            "{links} links and {losses} losses of {} bytes",
            text.len()
        );
    }
});
