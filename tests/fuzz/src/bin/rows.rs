//! Every row of an input is accepted or refused, once and with its line, and what is accepted is fit for a snapshot.
#![no_main]

use std::fs::File;
use std::io::{Seek, Write};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Mutex;

use libfuzzer_sys::fuzz_target;
use snapshot_format::{CODE_BYTES_MAX, DESTINATION_BYTES_MAX};
use snapshot_tool::check::{Rules, check};
use snapshot_tool::source::{Batch, Format, Input, read_inputs};

/// The input lies in memory, and inputs are opened by name.
static FILE: Mutex<Option<File>> = Mutex::new(None);

// The first byte tells how the input is read, the rest is the input.
fuzz_target!(|raw: &[u8]| {
    let Some((format, text)) = raw.split_first() else { return };
    let format = match format {
        b'c' => Some(Format::Csv),
        b'j' => Some(Format::Jsonl),
        _ => None,
    };
    let input = Input::File(stored(text));
    let rules = Rules::default();
    // An input that is no text of rows is an error as a whole, and that is an answer too.
    let _ = read_inputs(&[input], format, &[], |batch| {
        examine(batch, &rules);
        ControlFlow::Continue(())
    });
});

fn stored(text: &[u8]) -> PathBuf {
    let mut slot = FILE.lock().expect("one thread fuzzes");
    let file = slot.get_or_insert_with(|| {
        let descriptor = rustix::fs::memfd_create("rows", rustix::fs::MemfdFlags::empty());
        File::from(descriptor.expect("Linux makes files in memory"))
    });
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(text))
        .expect("memory takes bytes");
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn examine(batch: Batch, rules: &Rules) {
    let rows = batch.rows.len() as u64;
    let lines: Vec<u64> = batch.rows.iter().map(|row| row.line).collect();
    assert!(lines.is_sorted_by(|before, after| before < after));
    for row in &batch.rows {
        assert!(row.start <= row.end && row.end <= batch.bytes.len());
    }
    let checked = check(batch, rules);
    assert_eq!(checked.accepted() + checked.refused.len() as u64, rows);
    for (line, link) in checked.links() {
        assert!(lines.contains(&line));
        assert!((link.domain as usize) < checked.domains.len());
        assert!((1..=CODE_BYTES_MAX).contains(&link.code.len()));
        assert!((1..=DESTINATION_BYTES_MAX).contains(&link.destination.len()));
        // A redirect is one header line: nothing in it may end it.
        assert!(link.destination.iter().all(|byte| (0x21..0x7f).contains(byte)));
    }
}
