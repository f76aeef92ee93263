//! Why a document is not believed, as an operator should read it and as it is counted.

use crate::document::Kind;

/// Why something from a channel is refused. The old state serves on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Bytes that are no such document.
    #[error("the {} is malformed: {what}", kind.name())]
    Malformed {
        /// What it should have been.
        kind: Kind,
        /// What is wrong.
        what: String,
    },
    /// More bytes than such a document may have.
    #[error("more than {bytes_max} bytes")]
    TooLarge {
        /// The bound.
        bytes_max: u64,
    },
    /// Too few signatures of keys that may sign this.
    #[error(
        "the {} has {found} good signatures of trusted keys and needs {threshold}: it was signed by another key, or changed \
         on its way",
        kind.name()
    )]
    NotSigned {
        /// What was signed.
        kind: Kind,
        /// Good signatures.
        found: usize,
        /// Signatures needed.
        threshold: usize,
    },
    /// A document of another channel.
    #[error("the {} is of channel {found:?}, and this is {expected:?}", kind.name())]
    OtherChannel {
        /// What it is.
        kind: Kind,
        /// The channel in it.
        found: String,
        /// The channel that is followed.
        expected: String,
    },
    /// It needs abilities that this reader lacks.
    #[error("the {} requires {what:?}, which this version does not know: upgrade first", kind.name())]
    TooNew {
        /// What it is.
        kind: Kind,
        /// The ability.
        what: String,
    },
    /// Its time is over.
    #[error("the {} expired {ago_s} s ago: the publisher is down or cut off, or somebody replays", kind.name())]
    Expired {
        /// What it is.
        kind: Kind,
        /// Since when.
        ago_s: u64,
    },
    /// A sequence that goes back.
    #[error("the {} has sequence {found} and {seen} has been seen: an old one is replayed", kind.name())]
    Replayed {
        /// What it is.
        kind: Kind,
        /// Its sequence.
        found: u64,
        /// The highest seen.
        seen: u64,
    },
    /// Two documents with one sequence.
    #[error("there are two {}s with sequence {sequence} and different content: two publishers, or a stolen key", kind.name())]
    Equivocation {
        /// What they are.
        kind: Kind,
        /// Their sequence.
        sequence: u64,
    },
    /// A root that does not follow the trusted one.
    #[error("root {found} does not follow root {trusted}")]
    RootSkipped {
        /// Its version.
        found: u64,
        /// The version that is trusted.
        trusted: u64,
    },
    /// A pointer made under a root that is not known here yet.
    #[error(
        "the pointer was made under root {needed}, and root {trusted} is the newest that the channel has shown"
    )]
    RootBehind {
        /// The root that it names.
        needed: u64,
        /// The version that is trusted.
        trusted: u64,
    },
    /// Nothing was ever published to this wave.
    #[error("nothing has been published to wave {wave}")]
    NothingYet {
        /// The name of the wave.
        wave: &'static str,
    },
    /// Bytes that are not what their name says.
    #[error("the content is not {expected}: it was corrupted or exchanged on its way")]
    WrongContent {
        /// The hash that was expected.
        expected: String,
    },
    /// A file of another length.
    #[error("{found} bytes instead of {expected}")]
    WrongSize {
        /// Bytes that came.
        found: u64,
        /// Bytes that the manifest states.
        expected: u64,
    },
}

impl Refusal {
    /// The label under which it is counted: a bounded set.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::TooLarge { .. } => "too_large",
            Self::NotSigned { .. } => "wrong_key",
            Self::OtherChannel { .. } => "other_channel",
            Self::TooNew { .. } => "too_new",
            Self::Expired { .. } => "expired",
            Self::Replayed { .. } => "replayed",
            Self::Equivocation { .. } => "equivocation",
            Self::RootSkipped { .. } | Self::RootBehind { .. } => "root",
            Self::NothingYet { .. } => "nothing_yet",
            Self::WrongContent { .. } => "wrong_content",
            Self::WrongSize { .. } => "wrong_size",
        }
    }
}
