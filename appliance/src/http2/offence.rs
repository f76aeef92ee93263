//! What HTTP/2 clients do wrong as connections, beyond a request that is refused.

use crate::metrics::reason::reasons;

use super::frame::ErrorCode;

reasons! {
    /// Something that an HTTP/2 client must not do, or does too often. Except where it says so, the connection ends.
    pub enum Offence {
        /// The connection did not begin as HTTP/2 does, although TLS had agreed on it.
        Preface => "preface",
        /// Preface and settings did not come within `http.header_timeout_ms`.
        PrefaceSlow => "preface_slow",
        /// A frame has a size that its type does not allow, or is longer than 16,384 bytes.
        FrameSize => "frame_size",
        /// A frame came where it may not be, or says what it may not say.
        Frame => "frame",
        /// Something came on a stream that had ended; where it may have been on its way, only the stream is reset.
        StreamClosed => "stream_closed",
        /// More than 100 streams were open: the stream was refused, and the connection goes on.
        StreamsTooMany => "streams_too_many",
        /// A header block could not be unpacked.
        Compression => "compression",
        /// The client sent more than it was allowed to, or made a window larger than 2^31-1.
        FlowControl => "flow_control",
        /// A header block was larger than twice `http.head_bytes_max`, or four times as large when unpacked: a header bomb.
        HeaderBomb => "header_bomb",
        /// A header block did not end after eight CONTINUATION frames.
        ContinuationFlood => "continuation_flood",
        /// Requests were cancelled as fast as they were made: rapid reset.
        ResetFlood => "reset_flood",
        /// Settings changed again and again.
        SettingsFlood => "settings_flood",
        /// Pings came without requests between them.
        PingFlood => "ping_flood",
        /// Priorities changed again and again.
        PriorityFlood => "priority_flood",
        /// Windows grew in many small steps.
        WindowUpdateFlood => "window_update_flood",
        /// Many frames of a body carried nothing or almost nothing.
        EmptyFlood => "empty_flood",
        /// Many frames had types that nobody knows.
        UnknownFlood => "unknown_flood",
        /// Many requests of one connection were refused, so that we would reset them: another way to rapid reset.
        RefusalFlood => "refusal_flood",
        /// A window stayed closed for `http.write_timeout_ms` over the last bytes of a reply: the stream was reset, and the
        /// connection goes on.
        WindowHeld => "window_held",
    }
}

impl Offence {
    /// What the client is told.
    pub const fn error_code(self) -> ErrorCode {
        match self {
            Self::Preface | Self::PrefaceSlow | Self::Frame => ErrorCode::Protocol,
            Self::FrameSize => ErrorCode::FrameSize,
            Self::StreamClosed => ErrorCode::StreamClosed,
            Self::StreamsTooMany => ErrorCode::RefusedStream,
            Self::Compression => ErrorCode::Compression,
            Self::FlowControl => ErrorCode::FlowControl,
            Self::WindowHeld => ErrorCode::Cancel,
            Self::HeaderBomb
            | Self::ContinuationFlood
            | Self::ResetFlood
            | Self::SettingsFlood
            | Self::PingFlood
            | Self::PriorityFlood
            | Self::WindowUpdateFlood
            | Self::EmptyFlood
            | Self::UnknownFlood
            | Self::RefusalFlood => ErrorCode::EnhanceYourCalm,
        }
    }
}
