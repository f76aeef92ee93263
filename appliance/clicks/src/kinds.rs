//! The closed sets of a record: numbers on disk that never change their meaning, and the names that receivers see.

/// Declares an enum whose variants have a number on disk and a name on the wire.
macro_rules! kinds {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident {
            $( $(#[doc = $doc:literal])+ $variant:ident = $byte:literal => $label:literal, )+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name {
            $( $(#[doc = $doc])+ $variant = $byte, )+
        }

        impl $name {
            /// Every variant.
            pub const ALL: &'static [Self] = &[$( Self::$variant ),+];

            /// The variant with this number; `None`: this version knows none.
            #[inline]
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $( $byte => Some(Self::$variant), )+
                    _ => None,
                }
            }

            /// Its name on the wire.
            pub const fn label(self) -> &'static str {
                match self {
                    $( Self::$variant => $label, )+
                }
            }
        }
    };
}

kinds! {
    /// Why a click got its answer. The names are those of the metric `carom_requests_total`.
    pub enum Outcome {
        /// The link was found and active.
        Redirected = 1 => "redirected",
        /// The root of the domain redirects.
        RootRedirected = 2 => "root_redirected",
        /// The domain has no such link and redirects its misses.
        MissRedirected = 3 => "miss_redirected",
        /// The domain has no such link.
        NotFound = 4 => "not_found",
        /// The path can be no code.
        ImpossibleCode = 5 => "impossible_code",
        /// The link becomes active later.
        NotYetActive = 6 => "not_yet_active",
        /// The link is disabled.
        Disabled = 7 => "disabled",
        /// The link has expired.
        Expired = 8 => "expired",
        /// The link was deleted.
        Deleted = 9 => "deleted",
        /// The record holds a destination that must not be sent.
        CorruptRecord = 10 => "corrupt_record",
    }
}

kinds! {
    /// Who asked.
    pub enum BotClass {
        /// Nothing speaks against a person.
        Person = 0 => "person",
        /// A crawler of a search engine, an archive, a model, a monitor.
        Bot = 1 => "bot",
        /// A messenger or a social network that renders a preview for people.
        Preview = 2 => "preview",
        /// A library or a command-line program.
        Tool = 3 => "tool",
        /// No user agent at all, which no browser does.
        Nameless = 4 => "nameless",
    }
}

impl BotClass {
    /// Whether it counts as a click of a person.
    pub const fn is_person(self) -> bool {
        matches!(self, Self::Person)
    }
}

kinds! {
    /// What was clicked from, coarsely.
    pub enum DeviceClass {
        /// Not told.
        Unknown = 0 => "unknown",
        /// A computer.
        Desktop = 1 => "desktop",
        /// A telephone.
        Phone = 2 => "phone",
        /// A tablet.
        Tablet = 3 => "tablet",
        /// A television or a console.
        Television = 4 => "tv",
    }
}

kinds! {
    /// The protocol of a request.
    pub enum Protocol {
        /// HTTP/1.0
        Http10 = 10 => "http/1.0",
        /// HTTP/1.1
        Http11 = 11 => "http/1.1",
        /// HTTP/2
        Http2 = 20 => "http/2",
    }
}

kinds! {
    /// What is left of a client's address.
    pub enum AddressKind {
        /// Nothing.
        None = 0 => "none",
        /// The first 24 bits of IPv4, the first 48 of IPv6; the rest is zero.
        Truncated = 1 => "truncated",
        /// A hash with a key that changes every day and is never stored with the records.
        Hashed = 2 => "hashed",
        /// All of it: in memory between shard and writer, never in a spool.
        Whole = 4 => "whole",
    }
}
