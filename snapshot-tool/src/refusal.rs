//! Why a row is refused: a reason that can be counted, and words for the person who must mend it.

use crate::column::Column;
use std::borrow::Cow;
use std::fmt;

/// Declares the reasons, each with its name in reports.
macro_rules! reasons {
    ($($(#[$doc:meta])* $reason:ident = $name:literal;)*) => {
        /// Why a row is refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[$doc])* $reason,)* }

        impl Reason {
            /// Every reason, in the order of reports.
            pub const ALL: &'static [Self] = &[$(Self::$reason,)*];

            /// The name in reports and reject files.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$reason => $name,)* }
            }
        }
    };
}

reasons! {
    /// The row is longer than [`crate::limits::ROW_BYTES_MAX`].
    RowTooLong = "row_too_long";
    /// The row is not UTF-8.
    InvalidUtf8 = "invalid_utf8";
    /// The row is no CSV row or no JSON object: quotes, field count, syntax, types.
    MalformedRow = "malformed_row";
    /// A JSON object has a key that no column has.
    UnknownColumn = "unknown_column";
    /// Domain, code or destination are missing.
    MissingValue = "missing_value";
    /// The domain is no host name.
    DomainInvalid = "domain_invalid";
    /// The domain is reserved for the known links that every snapshot holds.
    DomainReserved = "domain_reserved";
    /// The domain is not in the domain file, and only listed domains are wanted.
    DomainUnlisted = "domain_unlisted";
    /// The code is the root of the domain, which the domain file decides.
    CodeEmpty = "code_empty";
    /// The code begins with a slash: `/` separates it from the host.
    CodeLeadingSlash = "code_leading_slash";
    /// The canonical code is too long.
    CodeTooLong = "code_too_long";
    /// A percent sign in the code is followed by something else than two hexadecimal digits.
    CodeBadEscape = "code_bad_escape";
    /// The code holds a control byte.
    CodeControlByte = "code_control_byte";
    /// The destination is longer than a snapshot can hold.
    DestinationTooLong = "destination_too_long";
    /// The destination holds a control byte, which could end the header that carries it.
    DestinationControlByte = "destination_control_byte";
    /// The destination holds a space.
    DestinationSpace = "destination_space";
    /// The destination has no scheme, or no `//` where its scheme needs one.
    DestinationNotAbsolute = "destination_not_absolute";
    /// The scheme of the destination is not allowed.
    DestinationScheme = "destination_scheme";
    /// The destination has no host.
    DestinationHostMissing = "destination_host_missing";
    /// A backslash before the path: clients disagree about which host that is.
    DestinationBackslash = "destination_backslash";
    /// The destination is no URL for another reason.
    DestinationInvalid = "destination_invalid";
    /// The status is none of the five redirects.
    StatusInvalid = "status_invalid";
    /// A flag is neither true nor false.
    FlagInvalid = "flag_invalid";
    /// The query mode is neither drop nor append.
    QueryInvalid = "query_invalid";
    /// A moment is neither RFC 3339 nor seconds since 1970.
    TimeInvalid = "time_invalid";
    /// The link ends before it begins.
    PeriodEmpty = "period_empty";
    /// The version is no number that fits.
    VersionInvalid = "version_invalid";
}

/// Longest piece of a wrong value that a report repeats, in characters.
const VALUE_CHARACTERS_MAX: usize = 120;

/// One complaint about one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What to count it under.
    pub reason: Reason,
    /// The column at fault; `None`: the row as a whole.
    pub column: Option<Column>,
    /// The value that is wrong, shortened, control characters escaped.
    pub value: String,
    /// What is wrong with it and what would be right.
    pub explanation: Cow<'static, str>,
}

impl Refusal {
    /// A complaint about the value of one column.
    pub fn of_value(
        reason: Reason,
        column: Column,
        value: &str,
        explanation: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { reason, column: Some(column), value: shortened(value), explanation: explanation.into() }
    }

    /// A complaint about the row as a whole.
    pub fn of_row(reason: Reason, explanation: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, column: None, value: String::new(), explanation: explanation.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(column) = self.column {
            write!(formatter, "{column} \"{}\": ", self.value)?;
        }
        formatter.write_str(&self.explanation)
    }
}

/// A value as a report repeats it: cut at a bound, control characters escaped.
pub(crate) fn shortened(value: &str) -> String {
    let escape = |character: char| {
        let plain = !character.is_control();
        plain
            .then_some(character)
            .into_iter()
            .chain((!plain).then(|| character.escape_default()).into_iter().flatten())
    };
    let mut short: String = value.chars().take(VALUE_CHARACTERS_MAX).flat_map(escape).collect();
    if value.chars().nth(VALUE_CHARACTERS_MAX).is_some() {
        short.push('…');
    }
    short
}

/// How many rows were refused, for each reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusalCounts([u64; Reason::ALL.len()]);

impl RefusalCounts {
    /// Counts one row.
    pub fn add(&mut self, reason: Reason) {
        self.0[reason as usize] += 1;
    }

    /// Rows refused in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The reasons that occurred, with their counts.
    pub fn occurred(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.iter().map(|&reason| (reason, self.0[reason as usize])).filter(|&(_, count)| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_reasons_differ_and_counts_keep_them_apart() {
        let mut counts = RefusalCounts::default();
        for &reason in Reason::ALL {
            counts.add(reason);
        }
        counts.add(Reason::CodeEmpty);
        let names: std::collections::BTreeSet<&str> =
            counts.occurred().map(|(reason, _)| reason.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        assert_eq!(counts.total(), Reason::ALL.len() as u64 + 1);
        assert_eq!(
            counts.occurred().find(|&(reason, _)| reason == Reason::CodeEmpty),
            Some((Reason::CodeEmpty, 2))
        );
    }

    #[test]
    fn a_complaint_shows_control_characters_and_stays_short() {
        let value = format!("https://a.example/\r\n{}", "x".repeat(1000));
        let refusal = Refusal::of_value(Reason::DestinationControlByte, Column::Destination, &value, "no");
        let text = refusal.to_string();
        assert!(text.starts_with("destination \"https://a.example/\\r\\nxxx"), "{text}");
        assert!(text.ends_with("x…\": no"), "{text}");
        assert!(text.chars().count() < 200, "{text}");
    }
}
