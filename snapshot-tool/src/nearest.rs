//! The valid word that somebody most likely meant.

/// The word of `valid` nearest to `written`, unless even that one is far off.
pub fn nearest<'v>(written: &str, valid: impl IntoIterator<Item = &'v str>) -> Option<&'v str> {
    let written = written.to_lowercase();
    valid
        .into_iter()
        .map(|word| (strsim::jaro_winkler(&written, word), word))
        .filter(|&(likeness, _)| likeness >= LIKENESS_MIN)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, word)| word)
}

/// Below this, a suggestion misleads more often than it helps.
const LIKENESS_MIN: f64 = 0.7;

/// The end of a complaint about `written`: the nearest valid word, or all of them.
pub fn suggestion(written: &str, valid: &[&str]) -> String {
    match nearest(written, valid.iter().copied()) {
        Some(word) => format!("did you mean '{word}'?"),
        None => format!("known are {}", valid.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_answered_with_the_word_that_was_meant() {
        let valid = ["domain", "destination", "not_before", "expires"];
        let check = |written: &str, expected: Option<&str>| {
            assert_eq!(nearest(written, valid), expected, "{written}");
        };
        check("Destinaton", Some("destination"));
        check("notbefore", Some("not_before"));
        check("expire", Some("expires"));
        check("zzz", None);
    }

    #[test]
    fn without_a_near_word_all_are_named() {
        assert_eq!(suggestion("zzz", &["one", "two"]), "known are one, two");
    }
}
