//! How handshakes end, by what an operator would do about it.

use rustls::{Error, HandshakeKind, InvalidMessage, PeerIncompatible, ProtocolVersion};

use crate::metrics::reason::reasons;

reasons! {
    /// A handshake that was completed.
    pub enum Handshake {
        /// TLS 1.3 with a new key exchange and a signature.
        Full13 => "tls13_full",
        /// TLS 1.3, resumed by a ticket of this node or of another one with the same secret.
        Resumed13 => "tls13_resumed",
        /// TLS 1.2 with a new key exchange and a signature.
        Full12 => "tls12_full",
        /// TLS 1.2, resumed by a ticket: the cheapest of all.
        Resumed12 => "tls12_resumed",
    }
}

impl Handshake {
    /// What a completed handshake was.
    pub fn of(version: Option<ProtocolVersion>, kind: Option<HandshakeKind>) -> Self {
        let resumed = kind == Some(HandshakeKind::Resumed);
        match (version, resumed) {
            (Some(ProtocolVersion::TLSv1_2), false) => Self::Full12,
            (Some(ProtocolVersion::TLSv1_2), true) => Self::Resumed12,
            (_, false) => Self::Full13,
            (_, true) => Self::Resumed13,
        }
    }
}

reasons! {
    /// Why a connection to an HTTPS address ended before a request could be read.
    pub enum HandshakeFailure {
        /// The client spoke plain HTTP; it got a 400 that says so.
        PlainHttp => "plain_http",
        /// The first bytes are of no TLS record: a scanner or another protocol.
        NotTls => "not_tls",
        /// The client named a host that no certificate covers, or none, and there is no default certificate.
        UnknownName => "unknown_name",
        /// The client offers no version of TLS that `tls.min_version` allows: an old client, or a scanner.
        Version => "version",
        /// Client and node have no cipher suite, group or signature scheme in common, or the name has only an RSA
        /// certificate and the client wants ECDSA.
        NothingInCommon => "nothing_in_common",
        /// The client ended the handshake with an alert: it does not trust the certificate, or does not like it.
        ClientAlert => "client_alert",
        /// The client broke the protocol.
        Protocol => "protocol",
        /// The handshake was longer than any client's.
        TooLong => "too_long",
        /// The client went away in the middle of the handshake.
        Truncated => "truncated",
        /// The handshake was not completed within `tls.handshake_timeout_ms`.
        Timeout => "timeout",
        /// The node could not do its part: no randomness, a key that cannot sign. Report it.
        Node => "node",
    }
}

impl HandshakeFailure {
    /// What an error of rustls says. `named` is false if no certificate was found for the client.
    pub fn of(error: &Error, named: bool) -> Self {
        match error {
            _ if !named => Self::UnknownName,
            Error::AlertReceived(_) => Self::ClientAlert,
            Error::PeerIncompatible(
                PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::Tls13RequiredForQuic
                | PeerIncompatible::SupportedVersionsExtensionRequired,
            ) => Self::Version,
            Error::PeerIncompatible(_) => Self::NothingInCommon,
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => Self::NotTls,
            Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge) => Self::TooLong,
            Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::InvalidMessage(_)
            | Error::PeerMisbehaved(_)
            | Error::DecryptError
            | Error::InvalidEncryptedClientHello(_)
            | Error::PeerSentOversizedRecord
            | Error::NoApplicationProtocol => Self::Protocol,
            // Failures of ours; what a later version adds is looked at when it is seen.
            _ => Self::Node,
        }
    }
}
