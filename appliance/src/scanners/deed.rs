//! HOT: what one request says about its sender.

use crate::config::settings::Scoring;
use crate::http::Refusal;
use crate::http2::Offence;
use crate::redirect::Outcome;
use crate::tls::HandshakeFailure;

/// What a request says about its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A link was found: people and their programs do that.
    Good,
    /// A code that no link has. People mistype, scanners guess.
    UnknownCode,
    /// A host that no domain has: a scan of addresses, or a name that points here by mistake.
    UnknownHost,
    /// Something that no browser sends.
    Junk,
}

impl Deed {
    /// What an answered request says; `None`: nothing about its sender.
    #[inline]
    pub const fn of(outcome: Outcome) -> Option<Self> {
        match outcome {
            Outcome::Redirected | Outcome::RootRedirected => Some(Self::Good),
            Outcome::NotFound | Outcome::MissRedirected | Outcome::UpgradedMiss | Outcome::ImpossibleCode => {
                Some(Self::UnknownCode)
            }
            Outcome::UnknownHost => Some(Self::UnknownHost),
            Outcome::NulInPath => Some(Self::Junk),
            // Whoever asks for these had a link in hand, follows a custom of the web, or met an illness of ours.
            Outcome::Canary
            | Outcome::Upgraded
            | Outcome::Challenge
            | Outcome::Document
            | Outcome::NoDocument
            | Outcome::NotYetActive
            | Outcome::Disabled
            | Outcome::Expired
            | Outcome::Deleted
            | Outcome::Misdirected
            | Outcome::Options
            | Outcome::MethodNotAllowed
            | Outcome::CorruptRecord
            | Outcome::NoSnapshot => None,
        }
    }

    /// What a refused request says; `None`: bad networks and large cookies happen to people.
    pub const fn of_refusal(refusal: Refusal) -> Option<Self> {
        match refusal {
            Refusal::BlankLines
            | Refusal::Method
            | Refusal::Target
            | Refusal::Version
            | Refusal::VersionUnsupported
            | Refusal::LineEnd
            | Refusal::FoldedField
            | Refusal::FieldName
            | Refusal::FieldValue
            | Refusal::HostMissing
            | Refusal::HostRepeated
            | Refusal::HostInvalid
            | Refusal::ContentLength
            | Refusal::TransferEncoding
            | Refusal::LengthAndEncoding
            | Refusal::BodyMalformed
            | Refusal::PseudoField
            | Refusal::ConnectionField
            | Refusal::HostDiffers => Some(Self::Junk),
            Refusal::TargetTooLong
            | Refusal::FieldsTooMany
            | Refusal::HeadTooLarge
            | Refusal::HeadSlow
            | Refusal::BodyTooLarge
            | Refusal::BodySlow => None,
        }
    }

    /// What a failed handshake says; `None`: old clients, bad networks and distrust happen to people.
    pub const fn of_handshake(failure: HandshakeFailure) -> Option<Self> {
        match failure {
            HandshakeFailure::UnknownName => Some(Self::UnknownHost),
            HandshakeFailure::NotTls | HandshakeFailure::Protocol | HandshakeFailure::TooLong => {
                Some(Self::Junk)
            }
            HandshakeFailure::PlainHttp
            | HandshakeFailure::Version
            | HandshakeFailure::NothingInCommon
            | HandshakeFailure::ClientAlert
            | HandshakeFailure::Truncated
            | HandshakeFailure::Timeout
            | HandshakeFailure::Node => None,
        }
    }

    /// What an HTTP/2 client did that no browser does; `None`: slow networks and full windows happen to people.
    pub const fn of_offence(offence: Offence) -> Option<Self> {
        match offence {
            Offence::Preface
            | Offence::FrameSize
            | Offence::Frame
            | Offence::Compression
            | Offence::FlowControl
            | Offence::HeaderBomb
            | Offence::ContinuationFlood
            | Offence::ResetFlood
            | Offence::SettingsFlood
            | Offence::PingFlood
            | Offence::PriorityFlood
            | Offence::WindowUpdateFlood
            | Offence::EmptyFlood
            | Offence::UnknownFlood
            | Offence::RefusalFlood => Some(Self::Junk),
            Offence::PrefaceSlow | Offence::StreamClosed | Offence::StreamsTooMany | Offence::WindowHeld => {
                None
            }
        }
    }

    /// Points against the sender, or for it.
    #[inline]
    pub const fn points(self, scoring: &Scoring) -> u32 {
        match self {
            Self::Good => scoring.good,
            Self::UnknownCode => scoring.unknown_code,
            Self::UnknownHost => scoring.unknown_host,
            Self::Junk => scoring.junk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Reason as _;

    #[test]
    fn only_a_found_link_speaks_for_its_sender() {
        let good: Vec<_> =
            Outcome::ALL.iter().filter(|outcome| Deed::of(**outcome) == Some(Deed::Good)).collect();
        assert_eq!(good, [&Outcome::Redirected, &Outcome::RootRedirected]);
    }

    #[test]
    fn an_illness_of_the_node_is_held_against_nobody() {
        for outcome in [Outcome::NoSnapshot, Outcome::CorruptRecord] {
            assert_eq!(Deed::of(outcome), None);
        }
        for refusal in [Refusal::HeadSlow, Refusal::HeadTooLarge] {
            assert_eq!(Deed::of_refusal(refusal), None);
        }
    }
}
