//! Why a source is banned: the numbers that the kernel repeats in events.

use crate::scanners::Deed;

/// An operator said so.
pub const OPERATOR: u32 = 100;

/// The number of a deed that was one too many.
pub const fn of(deed: Deed) -> u32 {
    match deed {
        Deed::Good => 0,
        Deed::UnknownCode => 1,
        Deed::UnknownHost => 2,
        Deed::Junk => 3,
    }
}

/// A cause in words.
pub const fn name(cause: u32) -> &'static str {
    match cause {
        1 => "unknown codes",
        2 => "unknown hosts",
        3 => "junk requests",
        OPERATOR => "an operator",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_that_is_written_has_a_name() {
        for cause in [of(Deed::UnknownCode), of(Deed::UnknownHost), of(Deed::Junk), OPERATOR] {
            assert_ne!(name(cause), "unknown");
        }
    }
}
