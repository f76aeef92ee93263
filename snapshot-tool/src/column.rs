//! The columns of an input: one name for CSV headers, JSON keys, reports and exports.

use std::fmt;

/// A column of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column {
    /// Host name of the link, `*.` in front for all names below.
    Domain,
    /// Path without its leading slash.
    Code,
    /// Absolute URL that the link leads to.
    Destination,
    /// 301, 302, 303, 307 or 308; empty for the domain's default.
    Status,
    /// `true` while the link is switched off.
    Disabled,
    /// `true` once the link is gone for good.
    Deleted,
    /// `drop` or `append`; empty for the domain's default.
    Query,
    /// First moment at which the link works.
    NotBefore,
    /// First moment at which it no longer works.
    Expires,
    /// Version of the link in the source of truth.
    Version,
}

impl Column {
    /// How many columns there are.
    pub const COUNT: usize = 10;

    /// Every column, in the order of exports.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Domain,
        Self::Code,
        Self::Destination,
        Self::Status,
        Self::Disabled,
        Self::Deleted,
        Self::Query,
        Self::NotBefore,
        Self::Expires,
        Self::Version,
    ];

    /// Columns that no input can be without.
    pub const REQUIRED: [Self; 3] = [Self::Domain, Self::Code, Self::Destination];

    /// The name in headers, keys and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::Code => "code",
            Self::Destination => "destination",
            Self::Status => "status",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
            Self::Query => "query",
            Self::NotBefore => "not_before",
            Self::Expires => "expires",
            Self::Version => "version",
        }
    }

    /// The column of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.name() == name)
    }
}

impl fmt::Display for Column {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_found_by_its_name_and_stands_at_its_place() {
        for (place, column) in Column::ALL.into_iter().enumerate() {
            assert_eq!(Column::from_name(column.name()), Some(column));
            assert_eq!(column as usize, place);
        }
        assert_eq!(Column::from_name("Domain"), None);
    }
}
