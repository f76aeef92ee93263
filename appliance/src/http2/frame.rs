//! HOT: what frames look like on the wire (RFC 9113, 4.1 and 6).

/// Bytes in front of the payload of every frame.
pub const HEAD_BYTES: usize = 9;
/// The longest payload that is accepted, and that is ever sent: every implementation takes this much.
pub const PAYLOAD_BYTES_MAX: usize = 16_384;
/// The largest window (RFC 9113, 6.9.1).
pub const WINDOW_MAX: i64 = (1 << 31) - 1;
/// The window of every stream and connection until somebody says otherwise.
pub const WINDOW_DEFAULT: u32 = 65_535;

/// Types of frames.
pub mod kind {
    /// A piece of a body.
    pub const DATA: u8 = 0;
    /// A request, or its trailers.
    pub const HEADERS: u8 = 1;
    /// Deprecated, and ignored.
    pub const PRIORITY: u8 = 2;
    /// A stream ends at once.
    pub const RST_STREAM: u8 = 3;
    /// What one side accepts.
    pub const SETTINGS: u8 = 4;
    /// Only servers may send it, and we do not.
    pub const PUSH_PROMISE: u8 = 5;
    /// Something to send back.
    pub const PING: u8 = 6;
    /// No more streams.
    pub const GOAWAY: u8 = 7;
    /// More may be sent.
    pub const WINDOW_UPDATE: u8 = 8;
    /// More of a header block.
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub mod flag {
    /// Nothing more comes on the stream.
    pub const END_STREAM: u8 = 0x1;
    /// Of SETTINGS and PING: an answer.
    pub const ACK: u8 = 0x1;
    /// The header block is whole.
    pub const END_HEADERS: u8 = 0x4;
    /// The payload begins with the number of bytes that it ends with in vain.
    pub const PADDED: u8 = 0x8;
    /// Of HEADERS: five bytes of priority stand before the block.
    pub const PRIORITY: u8 = 0x20;
}

/// Names of settings.
pub mod setting {
    /// Bytes of the table of the other side's encoder.
    pub const HEADER_TABLE_SIZE: u16 = 1;
    /// Whether servers may push.
    pub const ENABLE_PUSH: u16 = 2;
    /// Streams that may be open at once.
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    /// Bytes that may be sent on a new stream.
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    /// Bytes of the longest payload.
    pub const MAX_FRAME_SIZE: u16 = 5;
    /// Bytes of the largest header list, unpacked.
    pub const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// Why a stream or a connection ends (RFC 9113, 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ErrorCode {
    /// Nothing is wrong.
    No = 0,
    /// NO other code fits.
    Protocol = 1,
    /// More came than was allowed.
    FlowControl = 3,
    /// Something came on a stream that had ended.
    StreamClosed = 5,
    /// A frame has a wrong size.
    FrameSize = 6,
    /// Nothing was done; the request may be repeated.
    RefusedStream = 7,
    /// The stream is no longer wanted.
    Cancel = 8,
    /// A header block could not be unpacked.
    Compression = 9,
    /// The client does too much.
    EnhanceYourCalm = 11,
}

/// The nine bytes in front of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Bytes of the payload.
    pub length: usize,
    /// One of [`kind`], or unknown.
    pub kind: u8,
    /// Some of [`flag`].
    pub flags: u8,
    /// The stream; 0 for the connection.
    pub stream: u32,
}

impl FrameHead {
    /// Reads nine bytes. The reserved bit is ignored.
    #[inline]
    pub fn read(bytes: &[u8; HEAD_BYTES]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = *bytes;
        Self {
            length: usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c),
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
        }
    }

    /// The nine bytes.
    #[inline]
    pub fn to_bytes(self) -> [u8; HEAD_BYTES] {
        let [_, a, b, c] = (self.length as u32).to_be_bytes();
        let [d, e, f, g] = self.stream.to_be_bytes();
        [a, b, c, self.kind, self.flags, d, e, f, g]
    }

    /// Whether it has this flag.
    #[inline]
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Appends a frame.
#[inline]
pub fn append(kind: u8, flags: u8, stream: u32, payload: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(&FrameHead { length: payload.len(), kind, flags, stream }.to_bytes());
    output.extend_from_slice(payload);
}

/// Appends RST_STREAM.
pub fn append_reset(stream: u32, code: ErrorCode, output: &mut Vec<u8>) {
    append(kind::RST_STREAM, 0, stream, &(code as u32).to_be_bytes(), output);
}

/// Appends WINDOW_UPDATE; stream 0 is the connection.
pub fn append_window_update(stream: u32, bytes: u32, output: &mut Vec<u8>) {
    append(kind::WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes(), output);
}

/// Appends GOAWAY. `words` are for whoever looks into the connection.
pub fn append_goaway(last_stream: u32, code: ErrorCode, words: &str, output: &mut Vec<u8>) {
    let length = 8 + words.len();
    output.extend_from_slice(&FrameHead { length, kind: kind::GOAWAY, flags: 0, stream: 0 }.to_bytes());
    output.extend_from_slice(&last_stream.to_be_bytes());
    output.extend_from_slice(&(code as u32).to_be_bytes());
    output.extend_from_slice(words.as_bytes());
}

/// Appends SETTINGS.
pub fn append_settings(settings: &[(u16, u32)], output: &mut Vec<u8>) {
    let length = settings.len() * 6;
    output.extend_from_slice(&FrameHead { length, kind: kind::SETTINGS, flags: 0, stream: 0 }.to_bytes());
    for (name, value) in settings {
        output.extend_from_slice(&name.to_be_bytes());
        output.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends the header block that `write` appends, in HEADERS and as many CONTINUATION as it takes. Returns what `write` does.
#[inline]
pub fn append_headers<T>(
    stream: u32,
    output: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> (T, u8),
) -> T {
    let start = output.len();
    output.extend_from_slice(&[0; HEAD_BYTES]);
    let (result, flags) = write(output);
    let length = output.len() - start - HEAD_BYTES;
    let mut head = FrameHead { length, kind: kind::HEADERS, flags: flags | flag::END_HEADERS, stream };
    if length > PAYLOAD_BYTES_MAX {
        head.length = PAYLOAD_BYTES_MAX;
        head.flags = flags;
        split(start + HEAD_BYTES + PAYLOAD_BYTES_MAX, stream, output);
    }
    output[start..start + HEAD_BYTES].copy_from_slice(&head.to_bytes());
    result
}

/// Puts the rest of a header block, from `at` on, into CONTINUATION frames. Destinations are rarely this long.
#[cold]
fn split(at: usize, stream: u32, output: &mut Vec<u8>) {
    let rest = output.split_off(at);
    let mut pieces = rest.chunks(PAYLOAD_BYTES_MAX).peekable();
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() { flag::END_HEADERS } else { 0 };
        append(kind::CONTINUATION, flags, stream, piece, output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let head = FrameHead { length: 0x01_0203, kind: 9, flags: 0x25, stream: 0x7fff_fffe };
        assert_eq!(FrameHead::read(&head.to_bytes()), head);
        let mut reserved = head.to_bytes();
        reserved[5] |= 0x80;
        assert_eq!(FrameHead::read(&reserved), head);
    }

    #[test]
    fn a_long_block_is_split_and_only_its_last_frame_ends_it() {
        for bytes in [0, 1, PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX + 1, 3 * PAYLOAD_BYTES_MAX] {
            let mut output = vec![7];
            append_headers(5, &mut output, |block| {
                block.resize(block.len() + bytes, b'x');
                ((), flag::END_STREAM)
            });
            let (mut rest, mut block_bytes, mut first) = (&output[1..], 0, true);
            while let Some((head, behind)) = rest.split_first_chunk::<HEAD_BYTES>() {
                let head = FrameHead::read(head);
                assert_eq!(head.stream, 5);
                assert_eq!(head.kind, if first { kind::HEADERS } else { kind::CONTINUATION });
                assert_eq!(head.has(flag::END_STREAM), first);
                assert!(head.length <= PAYLOAD_BYTES_MAX);
                block_bytes += head.length;
                rest = &behind[head.length..];
                assert_eq!(head.has(flag::END_HEADERS), rest.is_empty());
                first = false;
            }
            assert_eq!(block_bytes, bytes);
        }
    }
}
