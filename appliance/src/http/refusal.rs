//! Why a client is turned away, and with which status.

use crate::metrics::reason::reasons;

reasons! {
    /// A reason to refuse a request. With HTTP/1 every refusal ends the connection, because what follows on it cannot be
    /// trusted or is not wanted; with HTTP/2 it ends the stream. Every one is counted on its own.
    pub enum Refusal {
        /// More empty lines came before a request line than a sloppy client sends.
        BlankLines => "blank_lines",
        /// The method is not a token, or longer than any method.
        Method => "method",
        /// The target holds a forbidden byte or a fragment, or has a form that its method does not allow.
        Target => "target",
        /// The target is longer than `http.target_bytes_max`.
        TargetTooLong => "target_too_long",
        /// The request line does not end in a well-formed HTTP version; HTTP/0.9 has none.
        Version => "version",
        /// The version is well-formed, but its major number is not 1.
        VersionUnsupported => "version_unsupported",
        /// A line feed came without a carriage return, or the reverse.
        LineEnd => "line_end",
        /// A field line starts with white space, which once continued the line before it.
        FoldedField => "folded_field",
        /// A field name is empty, not a token, or apart from its colon.
        FieldName => "field_name",
        /// A field value holds a control byte.
        FieldValue => "field_value",
        /// The head has more fields than `http.fields_max`.
        FieldsTooMany => "fields_too_many",
        /// The head is longer than `http.head_bytes_max`.
        HeadTooLarge => "head_too_large",
        /// An HTTP/1.1 request has no Host, an HTTP/2 request has neither :authority nor Host.
        HostMissing => "host_missing",
        /// A request has more than one Host.
        HostRepeated => "host_repeated",
        /// Host, or the authority of an absolute target, is not of the form `host` or `host:port`.
        HostInvalid => "host_invalid",
        /// Content-Length is not one number, does not fit, or is repeated.
        ContentLength => "content_length",
        /// Transfer-Encoding is other than a single `chunked`, or came with HTTP/1.0.
        TransferEncoding => "transfer_encoding",
        /// Content-Length and Transfer-Encoding came together: the classic of request smuggling.
        LengthAndEncoding => "length_and_encoding",
        /// A head was begun and not finished within `http.header_timeout_ms`.
        HeadSlow => "head_slow",
        /// A chunked body broke its grammar, or one of HTTP/2 differed from its Content-Length, after its request had been
        /// answered.
        BodyMalformed => "body_malformed",
        /// A body went beyond `http.body_discard_bytes_max`, after its request had been answered.
        BodyTooLarge => "body_too_large",
        /// A body did not end within `http.header_timeout_ms`, after its request had been answered.
        BodySlow => "body_slow",
        /// A pseudo-header field of an HTTP/2 request is missing, repeated, unknown, or stands behind an ordinary field.
        PseudoField => "pseudo_field",
        /// An HTTP/2 request has a field that speaks about the connection, as Connection or Transfer-Encoding do.
        ConnectionField => "connection_field",
        /// The :authority and the Host of an HTTP/2 request differ.
        HostDiffers => "host_differs",
    }
}

impl Refusal {
    /// The status code of the reply; `None` where the request has had its reply and only the close is left.
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::BlankLines
            | Self::Method
            | Self::Target
            | Self::Version
            | Self::LineEnd
            | Self::FoldedField
            | Self::FieldName
            | Self::FieldValue
            | Self::HostMissing
            | Self::HostRepeated
            | Self::HostInvalid
            | Self::ContentLength
            | Self::TransferEncoding
            | Self::LengthAndEncoding
            | Self::PseudoField
            | Self::ConnectionField
            | Self::HostDiffers => Some(400),
            Self::HeadSlow => Some(408),
            Self::TargetTooLong => Some(414),
            Self::FieldsTooMany | Self::HeadTooLarge => Some(431),
            Self::VersionUnsupported => Some(505),
            Self::BodyMalformed | Self::BodyTooLarge | Self::BodySlow => None,
        }
    }

    /// The status code of the reply on an HTTP/2 stream; `None` where the stream is reset instead: a malformed request gets
    /// no answer (RFC 9113, 8.1.1).
    pub const fn stream_status(self) -> Option<u16> {
        match self {
            Self::TargetTooLong | Self::FieldsTooMany | Self::HeadTooLarge => self.status(),
            _ => None,
        }
    }
}
