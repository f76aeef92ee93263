//! Moments as people and databases write them: RFC 3339 or seconds since 1970.

use jiff::Timestamp;

/// Seconds since 1970 of a moment written as RFC 3339 or as a number of seconds.
///
/// # Errors
/// Says why `written` is no such moment.
pub fn parse(written: &str) -> Result<u64, &'static str> {
    const EXPECTED: &str = "neither RFC 3339 (2026-01-31T12:00:00Z) nor seconds since 1970";
    if written.bytes().all(|byte| byte.is_ascii_digit()) {
        return written.parse().map_err(|_| EXPECTED);
    }
    // What the standard has, and none of the extensions that the parser knows (weeks, time zone names).
    if written.contains(['[', 'W', 'w']) {
        return Err(EXPECTED);
    }
    let moment: Timestamp = written.parse().map_err(|_| EXPECTED)?;
    if moment.subsec_nanosecond() != 0 {
        return Err("a fraction of a second; whole seconds are kept");
    }
    u64::try_from(moment.as_second()).map_err(|_| "before 1970")
}

/// A moment as RFC 3339, or as a number of seconds when it lies beyond the year 9999.
pub fn render(unix_s: u64) -> String {
    match i64::try_from(unix_s).ok().and_then(|seconds| Timestamp::from_second(seconds).ok()) {
        Some(moment) => moment.to_string(),
        None => unix_s.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(written: &str, expected: Option<u64>) {
        assert_eq!(parse(written).ok(), expected, "{written:?}");
    }

    #[test]
    fn both_notations_give_seconds() {
        check("0", Some(0));
        check("1767225600", Some(1_767_225_600));
        check("2026-01-01T00:00:00Z", Some(1_767_225_600));
        check("2026-01-01T01:00:00+01:00", Some(1_767_225_600));
        check("2026-01-01 00:00:00Z", Some(1_767_225_600));
        check("2026-01-01T00:00:00.000Z", Some(1_767_225_600));
        check("18446744073709551615", Some(u64::MAX));
    }

    #[test]
    fn what_is_ambiguous_or_impossible_is_refused() {
        for written in [
            "",
            "-1",
            "1.5",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.5Z",
            "2026-13-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "18446744073709551616",
            "tomorrow",
            "2026-01-01T00:00:00Z[UTC]",
            " 1",
        ] {
            check(written, None);
        }
    }

    proptest! {
        #[test]
        fn every_second_survives_its_notation(unix_s: u64, near in 0_u64..300_000_000_000) {
            prop_assert_eq!(parse(&render(unix_s)), Ok(unix_s));
            prop_assert_eq!(parse(&render(near)), Ok(near));
        }
    }
}
