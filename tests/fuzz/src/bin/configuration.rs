//! Any text is settled within its bounds, or refused with problems that name a line of it.
#![no_main]

use std::path::Path;

use carom::config::parse;
use carom::limits::{FIELDS, HEAD_BYTES, PROBLEMS_MAX};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw: &[u8]| {
    let Ok(text) = std::str::from_utf8(raw) else { return };
    match parse(Path::new("carom.toml"), text, "node") {
        Ok(settings) => {
            assert!(!settings.listen.http.is_empty() && !settings.node.name.is_empty());
            assert!(settings.http.target_bytes_max <= settings.http.head_bytes_max);
            assert!(HEAD_BYTES.contain(settings.http.head_bytes_max as u64));
            assert!(FIELDS.contain(settings.http.fields_max as u64));
        }
        Err(problems) => {
            assert!((1..=PROBLEMS_MAX).contains(&problems.problems.len()));
            let lines = text.lines().count().max(1) + 1;
            for problem in &problems.problems {
                assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{problem:?}");
                assert!(!problem.found.is_empty() && !problem.expected.is_empty() && !problem.fix.is_empty());
            }
        }
    }
});
