//! Header blocks are read or refused within bounds, and skipping a block leaves the same table as reading it.
#![no_main]

use carom::http2::hpack::{Decoder, Fault};
use libfuzzer_sys::fuzz_target;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn read(decoder: &mut Decoder, mut block: &[u8]) -> Result<Fields, Fault> {
    let mut memory = vec![0; 65_536];
    decoder.open(&mut block)?;
    let mut fields = Vec::new();
    while let Some(field) = decoder.field(&mut block, &mut &mut memory[..])? {
        fields.push((field.name.to_vec(), field.value.to_vec()));
    }
    Ok(fields)
}

fuzz_target!(|input: &[u8]| {
    // The first byte says how long the first of two blocks is.
    let Some((&first, input)) = input.split_first() else { return };
    let (first, second) = input.split_at(input.len().min(first.into()));
    let (mut reader, mut skipper) = (Decoder::default(), Decoder::default());
    let was_read = read(&mut reader, first);
    let mut rest = first;
    let was_skipped = skipper.open(&mut rest).and_then(|()| skipper.skip(rest, usize::MAX));
    assert_eq!(was_read.is_ok(), was_skipped.is_ok());
    let Ok(fields) = was_read else { return };
    let size: usize = fields.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
    assert_eq!(was_skipped, Ok(size));
    assert_eq!(read(&mut reader, second), read(&mut skipper, second));
    assert!(reader.held_bytes() <= 6_144);
});
