//! HOT: where a redirect points: a stored destination, with the query of the request if the link wants it.

use memchr::memchr;

use crate::http::find_control;

/// The value of a Location field, checked: nothing in it can end the field early or start another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location<'a>(Form<'a>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form<'a> {
    /// A stored destination, with a query that may be empty.
    Stored { destination: &'a [u8], query: &'a [u8] },
    /// The destination of a canary, and the generation behind it.
    Canary { destination: &'a [u8], generation: Digits },
    /// What it is made of, in order.
    Joined([&'a [u8]; 4]),
}

impl<'a> Location<'a> {
    /// `destination` with `query` behind it; `None` if one of them holds a control byte, or the destination is empty.
    /// An empty query adds nothing.
    ///
    /// The builder of snapshots refuses such destinations and the parser such queries: this is the last check before
    /// the wire, in case a record was damaged and its checksum was not.
    #[inline]
    pub fn new(destination: &'a [u8], query: &'a [u8]) -> Option<Self> {
        let sendable = |text: &[u8]| find_control(text, 0) == text.len();
        let fine = !destination.is_empty() && sendable(destination) && sendable(query);
        fine.then_some(Self(Form::Stored { destination, query }))
    }

    /// These pieces one behind the other; `None` if one of them holds a control byte, or the first is empty.
    pub(super) fn joined(pieces: [&'a [u8]; 4]) -> Option<Self> {
        let fine = !pieces[0].is_empty() && pieces.iter().all(|piece| find_control(piece, 0) == piece.len());
        fine.then_some(Self(Form::Joined(pieces)))
    }

    /// The location of a canary: the generation in decimal behind the destination; there is no query.
    pub(super) fn of_canary(self, generation: u64) -> Self {
        match self.0 {
            Form::Stored { destination, query: _ } => {
                Self(Form::Canary { destination, generation: Digits::of(generation) })
            }
            Form::Canary { .. } | Form::Joined(_) => self,
        }
    }

    /// The most bytes that [`Location::pieces`] has.
    #[inline]
    pub(super) fn bytes_max(self) -> usize {
        match self.0 {
            Form::Stored { destination, query } => destination.len() + 1 + query.len(),
            Form::Canary { destination, .. } => destination.len() + GENERATION_DIGITS_MAX,
            Form::Joined(pieces) => pieces.iter().map(|piece| piece.len()).sum(),
        }
    }

    /// Destination and query byte for byte, in the order in which they are sent: the query behind `?`, or `&` if there is a
    /// query already, and before the `#` of a fragment.
    #[inline]
    pub(super) fn pieces(&self) -> [&[u8]; 4] {
        let (destination, query) = match &self.0 {
            Form::Stored { destination, query: b"" } => return [destination, b"", b"", b""],
            Form::Stored { destination, query } => (destination, query),
            Form::Canary { destination, generation } => {
                return [destination, generation.as_bytes(), b"", b""];
            }
            Form::Joined(pieces) => return *pieces,
        };
        let fragment_at = memchr(b'#', destination).unwrap_or(destination.len());
        let (before, fragment) = destination.split_at(fragment_at);
        let mark: &[u8] = match (memchr(b'?', before), before.last()) {
            (None, _) => b"?",
            (Some(_), Some(b'?' | b'&')) => b"",
            (Some(_), _) => b"&",
        };
        [before, mark, query, fragment]
    }
}

/// Digits of the greatest u64.
const GENERATION_DIGITS_MAX: usize = 20;

/// A number in decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Digits {
    digits: [u8; GENERATION_DIGITS_MAX],
    start: u8,
}

impl Digits {
    #[cold]
    fn of(mut number: u64) -> Self {
        let mut digits = Self { digits: [0; GENERATION_DIGITS_MAX], start: GENERATION_DIGITS_MAX as u8 };
        loop {
            digits.start -= 1;
            digits.digits[usize::from(digits.start)] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return digits;
            }
        }
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start.into()..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(destination: &str, query: &str, expected: Option<&str>) {
        let found = Location::new(destination.as_bytes(), query.as_bytes()).map(|location| {
            let output = location.pieces().concat();
            assert!(output.len() <= location.bytes_max());
            String::from_utf8(output).unwrap()
        });
        assert_eq!(found.as_deref(), expected, "{destination:?} with {query:?}");
    }

    #[test]
    fn a_destination_without_a_query_is_sent_as_it_is_stored() {
        for destination in
            ["https://a.example/", "https://a/?", "https://a/?b&", "https://a/#c", "a", "https://ü/ %2f"]
        {
            check(destination, "", Some(destination));
        }
    }

    #[test]
    fn a_query_comes_behind_the_path_or_behind_the_stored_query_and_before_the_fragment() {
        check("https://a/b", "c=d", Some("https://a/b?c=d"));
        check("https://a", "c", Some("https://a?c"));
        check("https://a/?", "c", Some("https://a/?c"));
        check("https://a/?b", "c", Some("https://a/?b&c"));
        check("https://a/?b&", "c", Some("https://a/?b&c"));
        check("https://a/?b?", "c", Some("https://a/?b?c"));
        check("https://a/b&", "c", Some("https://a/b&?c"));
        check("https://a/#f", "c", Some("https://a/?c#f"));
        check("https://a/?b#f", "c", Some("https://a/?b&c#f"));
        check("https://a/?#f", "c", Some("https://a/?c#f"));
        check("https://a/#f?g", "c", Some("https://a/?c#f?g"));
        check("https://a/#f#g", "c", Some("https://a/?c#f#g"));
        check("#", "c", Some("?c#"));
        check("https://a/", "?", Some("https://a/??"));
        check("https://a/", "%0d%0a&&=", Some("https://a/?%0d%0a&&="));
    }

    #[test]
    fn a_location_that_could_end_its_field_early_does_not_exist() {
        check("", "", None);
        check("", "c", None);
        for control in (0..=255_u8).filter(u8::is_ascii_control).map(char::from) {
            check(&format!("https://a/{control}"), "", None);
            check("https://a/", &format!("{control}b"), None);
        }
    }

    #[test]
    fn the_location_of_a_canary_ends_with_the_generation() {
        for generation in [0, 7, 10, 1_234_567_890, u64::MAX] {
            let location = Location::new(b"https://a/at/", b"query").unwrap().of_canary(generation);
            let output = location.pieces().concat();
            assert!(output.len() <= location.bytes_max());
            assert_eq!(String::from_utf8(output).unwrap(), format!("https://a/at/{generation}"));
        }
    }

    proptest! {
        #[test]
        fn reading_a_location_back_gives_the_path_both_queries_and_the_fragment(
            path in "[a-z]{0,4}",
            stored in proptest::option::of("[a-z=]{1,4}"),
            query in "[a-z=&]{1,6}",
            fragment in proptest::option::of("[a-z?#]{0,4}"),
        ) {
            let part = |mark: &str, text: &Option<String>| text.as_ref().map_or(String::new(), |text| format!("{mark}{text}"));
            let destination = format!("https://a/{path}{}{}", part("?", &stored), part("#", &fragment));
            let output = Location::new(destination.as_bytes(), query.as_bytes()).unwrap().pieces().concat();
            // Read back by hand: the first '#' starts the fragment, the first '?' before it the query.
            let text = String::from_utf8(output).unwrap();
            let (before, found_fragment) = match text.split_once('#') {
                Some((before, fragment)) => (before, Some(fragment.to_owned())),
                None => (&text[..], None),
            };
            let (found_path, found_query) = before.split_once('?').unwrap();
            let expected = part("", &stored.map(|stored| stored + "&")) + &query;
            prop_assert_eq!(found_path, format!("https://a/{path}"));
            prop_assert_eq!(found_query, expected);
            prop_assert_eq!(found_fragment, fragment);
        }
    }
}
