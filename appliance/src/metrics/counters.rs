//! The reasons that the shell counts: why connections close, what is shed, how swaps end.
//!
//! Outcomes of requests and refusals of the parser belong to `redirect` and `http`, which define them.

use crate::http::{Ending, Refusal};
use crate::http2::Offence;

use super::reason::reasons;

reasons! {
    /// The first digit of a status code.
    pub enum StatusClass {
        /// The request was answered without a redirect: only OPTIONS is.
        Success => "2xx",
        /// The client was sent elsewhere.
        Redirect => "3xx",
        /// The client asked for something that is not there or not allowed.
        ClientError => "4xx",
        /// The node could not answer.
        ServerError => "5xx",
    }
}

impl StatusClass {
    /// The class of a status code; codes below 200 are never final and count as successes.
    #[inline]
    pub const fn of(status: u16) -> Self {
        match status {
            0..300 => Self::Success,
            300..400 => Self::Redirect,
            400..500 => Self::ClientError,
            500.. => Self::ServerError,
        }
    }
}

reasons! {
    /// Why a connection of a shard ended.
    pub enum Closed {
        /// The client closed between two requests, as HTTP/1.1 clients do.
        ByClient => "by_client",
        /// The reply carried `Connection: close` because the client asked for it or speaks HTTP/1.0.
        Finished => "finished",
        /// The connection reached `http.requests_per_connection_max`.
        RequestsSpent => "requests_spent",
        /// The request was refused: ambiguous, malformed or over a bound; `carom_refusals_total` says which.
        Refused => "refused",
        /// The client broke the rules of HTTP/2; `carom_offences_total` says which.
        Offended => "offended",
        /// The request was answered, but its body was longer than `http.body_discard_bytes_max`.
        BodyUnread => "body_unread",
        /// No request came within `http.idle_timeout_ms`.
        IdleTimeout => "idle_timeout",
        /// A request head or body, or the start of HTTP/2, did not arrive within `http.header_timeout_ms`.
        HeaderTimeout => "header_timeout",
        /// The client did not take its replies within `http.write_timeout_ms`.
        WriteTimeout => "write_timeout",
        /// The client went away in the middle of a request head or body.
        Truncated => "truncated",
        /// The TLS handshake was not completed; `carom_tls_handshake_failures_total` says why.
        Handshake => "handshake",
        /// What came behind a handshake was no TLS, or the client ended it with an alert.
        TlsRecords => "tls_records",
        /// The connection came from a balancer of `proxies.announcing` and began without a PROXY header, or with a malformed one.
        ProxyHeader => "proxy_header",
        /// The socket failed, usually because the client or a middlebox reset the connection.
        SocketError => "socket_error",
        /// The node is draining and the connection ended in order.
        Drained => "drained",
        /// The node is draining and the connection was still open at `drain.deadline_ms`.
        DrainDeadline => "drain_deadline",
        /// The node's own code failed on this connection, and on this one alone; the log says where. Report it.
        Defect => "defect",
    }
}

impl From<Ending> for Closed {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Finished => Self::Finished,
            Ending::RequestsSpent => Self::RequestsSpent,
            Ending::Drained => Self::Drained,
            Ending::BodyUnread => Self::BodyUnread,
            Ending::Idle => Self::IdleTimeout,
            Ending::Refused(Refusal::HeadSlow | Refusal::BodySlow)
            | Ending::Offended(Offence::PrefaceSlow) => Self::HeaderTimeout,
            Ending::Refused(_) => Self::Refused,
            Ending::Offended(_) => Self::Offended,
        }
    }
}

reasons! {
    /// Why a connection was answered with 503 or closed before its first request was read.
    pub enum Shed {
        /// The shard holds `limits.connections_per_shard_max` connections.
        ShardFull => "shard_full",
        /// The source holds `limits.connections_per_source_max` connections of the shard.
        SourceFull => "source_full",
        /// The process has no descriptor left: raise its limit (`LimitNOFILE=`) or lower the connection limits.
        DescriptorsSpent => "descriptors_spent",
        /// `accept` failed for another reason; the log names it once a minute.
        AcceptFailed => "accept_failed",
    }
}

impl Shed {
    /// Whether `accept` had returned the connection before it was shed.
    pub const fn was_accepted(self) -> bool {
        match self {
            Self::ShardFull | Self::SourceFull => true,
            Self::DescriptorsSpent | Self::AcceptFailed => false,
        }
    }
}

reasons! {
    /// How an attempt to serve another snapshot ended.
    pub enum Swap {
        /// The new snapshot serves.
        Swapped => "swapped",
        /// The file under the configured name has the content that is served already.
        Unchanged => "unchanged",
        /// There is no file under the configured name.
        Missing => "missing",
        /// The file could not be read or copied; the log names the error.
        Unreadable => "unreadable",
        /// The file is truncated, corrupt, or of a format that this node does not understand.
        Invalid => "invalid",
        /// The file has an older generation than the one that is served.
        Older => "older",
        /// There is no room for the private copy, on disk or in memory.
        NoRoom => "no_room",
    }
}

impl Swap {
    /// Whether an operator should look: something was published and is not served.
    pub const fn failed(self) -> bool {
        match self {
            Self::Swapped | Self::Unchanged => false,
            Self::Missing | Self::Unreadable | Self::Invalid | Self::Older | Self::NoRoom => true,
        }
    }
}
