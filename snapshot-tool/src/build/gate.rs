//! The change gate: a source of truth that suddenly has far fewer or more links is more often broken than right.

use std::fmt;

/// How the number of links changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Links of the previous snapshot.
    pub previous_links: u64,
    /// Links of the new one.
    pub links: u64,
}

impl Change {
    /// By how many percent of the previous number; 0 when there was none, for growth from nothing says nothing.
    pub fn percent(self) -> f64 {
        if self.previous_links == 0 {
            return 0.0;
        }
        (self.links as f64 - self.previous_links as f64) / self.previous_links as f64 * 100.0
    }

    /// Whether this is more than `max_percent` in either direction.
    pub fn exceeds(self, max_percent: f64) -> bool {
        self.percent().abs() > max_percent
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { previous_links, links } = self;
        write!(formatter, "{links} links instead of {previous_links} ({:+.1} %)", self.percent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_itself_is_allowed_in_both_directions() {
        let check = |previous_links, links, expected: bool| {
            assert_eq!(
                Change { previous_links, links }.exceeds(20.0),
                expected,
                "{previous_links} → {links}"
            );
        };
        check(100, 80, false);
        check(100, 79, true);
        check(100, 120, false);
        check(100, 121, true);
        check(100, 0, true);
        check(0, 1_000_000, false);
        check(u64::MAX, u64::MAX, false);
    }
}
