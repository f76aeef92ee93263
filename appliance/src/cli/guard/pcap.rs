//! Frames out of a file that tcpdump wrote: the classic pcap format, nothing else.

use crate::limits::{PCAP_FRAME_BYTES_MAX, PCAP_FRAMES_MAX};

/// Why a file has no frames for us.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PcapError {
    /// Another format.
    #[error("this is no pcap file; if it is pcapng: tcpdump -r FILE -w FILE.pcap")]
    NoPcap,
    /// Another kind of link.
    #[error(
        "the frames are of link type {0}, not Ethernet (1); capture on the interface itself, not on `any`"
    )]
    LinkType(u32),
    /// It ends in the middle of a frame, or a frame claims to be longer than any.
    #[error("frame {0} is cut off or longer than {PCAP_FRAME_BYTES_MAX} bytes")]
    Frame(usize),
}

/// The frames of a file, at most [`PCAP_FRAMES_MAX`].
pub(super) fn frames(file: &[u8]) -> Result<Vec<&[u8]>, PcapError> {
    let (header, mut rest) = file.split_first_chunk::<24>().ok_or(PcapError::NoPcap)?;
    // The magic number tells the byte order, and whether times are in micro- or nanoseconds.
    let big = match header[..4] {
        [0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d] => true,
        [0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1] => false,
        _ => return Err(PcapError::NoPcap),
    };
    let number = |bytes: [u8; 4]| if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
    let link_type = number([header[20], header[21], header[22], header[23]]) & 0xffff;
    if link_type != 1 {
        return Err(PcapError::LinkType(link_type));
    }
    let mut frames = Vec::new();
    while !rest.is_empty() && frames.len() < PCAP_FRAMES_MAX {
        let broken = PcapError::Frame(frames.len() + 1);
        let Some((record, after)) = rest.split_first_chunk::<16>() else { return Err(broken) };
        let bytes = number([record[8], record[9], record[10], record[11]]) as usize;
        if bytes > PCAP_FRAME_BYTES_MAX || bytes > after.len() {
            return Err(broken);
        }
        let (frame, next) = after.split_at(bytes);
        frames.push(frame);
        rest = next;
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(big: bool, link_type: u32, frames: &[&[u8]]) -> Vec<u8> {
        let number = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
        let mut file = Vec::new();
        for value in [0xa1b2_c3d4, 0x0002_0004, 0, 0, 65_535, link_type] {
            file.extend(number(value));
        }
        for frame in frames {
            for value in [0, 0, frame.len() as u32, frame.len() as u32] {
                file.extend(number(value));
            }
            file.extend(*frame);
        }
        file
    }

    #[test]
    fn frames_come_out_as_they_went_in_in_either_byte_order() {
        for big in [true, false] {
            assert_eq!(frames(&file(big, 1, &[b"one", b"", b"three"])), Ok(vec![&b"one"[..], b"", b"three"]));
        }
    }

    #[test]
    fn what_is_no_capture_of_ethernet_is_told_what_to_do() {
        assert_eq!(frames(b"\x0a\x0d\x0d\x0a and more bytes than a header"), Err(PcapError::NoPcap));
        assert_eq!(frames(b""), Err(PcapError::NoPcap));
        assert_eq!(frames(&file(true, 113, &[])), Err(PcapError::LinkType(113)));
        let whole = file(false, 1, &[b"one", b"two"]);
        assert_eq!(frames(&whole[..whole.len() - 1]), Err(PcapError::Frame(2)));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = frames(&bytes);
            let mut headed = file(true, 1, &[]);
            headed.extend(bytes);
            let _ = frames(&headed);
        }
    }
}
