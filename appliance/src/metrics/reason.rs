//! An enum that is counted: every variant has an index, a label for the metric, and a meaning for the reference.

/// A closed set of things that happen and are counted one by one.
pub trait Reason: Copy + 'static {
    /// Every variant, in order of its index.
    const ALL: &'static [Self];
    /// Position in [`Reason::ALL`], and of the cell that counts it.
    fn index(self) -> usize;
    /// Label value in metrics: lower case, words joined by `_`, never renamed.
    fn label(self) -> &'static str;
    /// One sentence for the reference: what happened.
    fn meaning(self) -> &'static str;
}

/// Declares an enum whose variants are counted: doc comment, name, label. The doc comment is also the meaning that the
/// generated reference of metrics prints.
macro_rules! reasons {
    (
        $(#[$attribute:meta])*
        pub enum $name:ident {
            $( $(#[doc = $doc:literal])+ $variant:ident => $label:literal, )+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name {
            $( $(#[doc = $doc])+ $variant, )+
        }

        impl $name {
            /// How many variants there are.
            pub const COUNT: usize = [$( $name::$variant ),+].len();
        }

        impl $crate::metrics::Reason for $name {
            const ALL: &'static [Self] = &[$( $name::$variant ),+];

            #[inline]
            fn index(self) -> usize {
                self as usize
            }

            fn label(self) -> &'static str {
                match self {
                    $( Self::$variant => $label, )+
                }
            }

            fn meaning(self) -> &'static str {
                match self {
                    $( Self::$variant => concat!($($doc),+).trim_ascii_start(), )+
                }
            }
        }
    };
}

pub(crate) use reasons;
