//! What a link or a domain can say: small closed sets, each with its code in the file.

/// Declares an enum whose variants have a fixed byte in the file and a fixed name in text.
macro_rules! coded {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Every value, in the order of its byte.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The byte that stands for this value in a snapshot.
            pub const fn byte(self) -> u8 {
                match self { $(Self::$variant => $code,)* }
            }

            /// The value that `byte` stands for, if it stands for one.
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($code => Some(Self::$variant),)* _ => None }
            }

            /// The word that people write in domain files and read in reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The value that people mean by `name`, if there is one.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                formatter.write_str(self.name())
            }
        }
    };
}

coded! {
    /// Status code of a redirect (RFC 9110, 15.4).
    Status {
        /// 301: permanent, method may change to GET.
        MovedPermanently = 1, "301";
        /// 302: temporary, method may change to GET.
        Found = 2, "302";
        /// 303: fetch the destination by GET.
        SeeOther = 3, "303";
        /// 307: temporary, method kept.
        TemporaryRedirect = 4, "307";
        /// 308: permanent, method kept.
        PermanentRedirect = 5, "308";
    }
}

impl Status {
    /// The three-digit code.
    pub const fn code(self) -> u16 {
        match self {
            Self::MovedPermanently => 301,
            Self::Found => 302,
            Self::SeeOther => 303,
            Self::TemporaryRedirect => 307,
            Self::PermanentRedirect => 308,
        }
    }

    /// The redirect that a three-digit code means, if it is one of the five.
    pub const fn from_code(code: u16) -> Option<Self> {
        match code {
            301 => Some(Self::MovedPermanently),
            302 => Some(Self::Found),
            303 => Some(Self::SeeOther),
            307 => Some(Self::TemporaryRedirect),
            308 => Some(Self::PermanentRedirect),
            _ => None,
        }
    }
}

coded! {
    /// Whether codes of a domain differ by the case of ASCII letters.
    CaseMode {
        /// `/Abc` and `/abc` are two codes.
        Sensitive = 1, "sensitive";
        /// `/Abc` and `/abc` are one code; only ASCII letters are folded.
        Insensitive = 2, "insensitive";
    }
}

coded! {
    /// Whether a slash at the end of a path belongs to the code.
    TrailingSlash {
        /// `/abc/` and `/abc` are two codes.
        Strict = 1, "strict";
        /// Slashes at the end are not part of the code.
        Ignore = 2, "ignore";
    }
}

coded! {
    /// What happens to the query of the request.
    QueryMode {
        /// It is dropped.
        Drop = 1, "drop";
        /// It is added to the destination byte for byte, after `?` or `&`, before a `#fragment`.
        Append = 2, "append";
    }
}

coded! {
    /// Who may keep a redirect, and so hide later clicks from the node.
    CacheVisibility {
        /// Nobody: `Cache-Control: no-store`.
        NoStore = 1, "no-store";
        /// The client alone: `Cache-Control: private, max-age=N`.
        Private = 2, "private";
        /// Shared caches too: `Cache-Control: public, max-age=N`.
        Public = 3, "public";
    }
}

coded! {
    /// What a request in clear text gets.
    HttpsMode {
        /// The same as over HTTPS.
        AsAsked = 0, "as-asked";
        /// A redirect to itself over HTTPS.
        Upgrade = 1, "upgrade";
    }
}

/// How long a redirect may be kept, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cache {
    /// Who may keep it.
    pub visibility: CacheVisibility,
    /// For how many seconds; means nothing with [`CacheVisibility::NoStore`].
    pub max_age_s: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_survives_its_byte_its_code_and_its_name() {
        for &status in Status::ALL {
            assert_eq!(Status::from_byte(status.byte()), Some(status));
            assert_eq!(Status::from_code(status.code()), Some(status));
            assert_eq!(Status::from_name(status.name()), Some(status));
        }
        assert_eq!(Status::from_code(304), None);
        assert_eq!(Status::from_byte(0), None);
    }
}
