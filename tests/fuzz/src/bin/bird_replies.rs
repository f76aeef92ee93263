//! The control protocol of BIRD: any bytes in any portions end in the same replies or the same error, and no reply makes a reader panic.
#![no_main]

use carom_bgp::speaker::bird::{Decoder, ProtocolError, Received, contents};
use libfuzzer_sys::fuzz_target;

fn all(bytes: &[u8], portion: usize) -> (Vec<Received>, Option<ProtocolError>) {
    let (mut decoder, mut received) = (Decoder::default(), Vec::new());
    for bytes in bytes.chunks(portion.max(1)) {
        decoder.push(bytes);
        while let Some(next) = decoder.take() {
            match next {
                Ok(next) => received.push(next),
                Err(error) => return (received, Some(error)),
            }
        }
    }
    (received, None)
}

fuzz_target!(|input: &[u8]| {
    let [portion, bytes @ ..] = input else { return };
    let whole = all(bytes, usize::MAX);
    assert_eq!(all(bytes, usize::from(*portion)), whole);
    for received in &whole.0 {
        let Received::Reply(reply) = received else { continue };
        assert!(!reply.0.is_empty());
        let _ = (contents::protocols(reply), contents::status(reply));
        let _ = (contents::has_path(reply), contents::exported_rung(reply), reply.failure());
    }
});
