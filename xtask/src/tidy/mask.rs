//! Tells Rust code apart from comments and literals, so that rules about code do not stumble over words.

/// The text with every comment and the inside of every literal blanked out; lines and columns stay where they are.
pub(super) fn code_of(text: &str) -> String {
    let mut masked = Masked { bytes: text.as_bytes(), at: 0, code: Vec::with_capacity(text.len()) };
    while masked.at < masked.bytes.len() {
        masked.step();
    }
    String::from_utf8(masked.code).expect("only ASCII and whole characters were copied")
}

/// The first line, counted from 1, of the tests at the end of a file; one past the end where there are none.
pub(super) fn tests_begin(code: &str) -> usize {
    let position = code.lines().position(|line| line.starts_with("#[cfg(test)]"));
    position.unwrap_or(code.lines().count()) + 1
}

/// Where `word` stands as a whole word: the byte offsets of its beginnings.
pub(super) fn words<'t>(line: &'t str, word: &'t str) -> impl Iterator<Item = usize> + 't {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = line[..*at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let open_start = !word.starts_with(part_of_word);
        let open_end = !word.ends_with(part_of_word);
        (open_start || !before.is_some_and(part_of_word)) && (open_end || !after.is_some_and(part_of_word))
    })
}

struct Masked<'t> {
    bytes: &'t [u8],
    at: usize,
    code: Vec<u8>,
}

impl Masked<'_> {
    fn step(&mut self) {
        let rest = &self.bytes[self.at..];
        let in_word = self.at > 0 && is_word(self.bytes[self.at - 1]);
        if rest.starts_with(b"//") {
            let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            self.blank(length);
        } else if rest.starts_with(b"/*") {
            self.blank(block_comment(rest));
        } else if let Some(length) = raw_string(rest).filter(|_| !in_word) {
            self.blank(length);
        } else if rest[0] == b'"' {
            self.blank(quoted(rest, b'"'));
        } else if rest[0] == b'\'' && is_character(rest) {
            self.blank(quoted(rest, b'\''));
        } else {
            self.code.push(rest[0]);
            self.at += 1;
        }
    }

    fn blank(&mut self, length: usize) {
        let end = (self.at + length).min(self.bytes.len());
        let blanked = self.bytes[self.at..end].iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' });
        self.code.extend(blanked);
        self.at = end;
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Length of a block comment, those inside it included.
fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// Length of `r"…"`, `br#"…"#` and their kin; `None` for anything else.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let prefix = match rest {
        [b'r', ..] => 1,
        [b'b' | b'c', b'r', ..] => 2,
        _ => return None,
    };
    let hashes = rest[prefix..].iter().take_while(|byte| **byte == b'#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&b'"') {
        return None;
    }
    let mut end = vec![b'"'];
    end.resize(hashes + 1, b'#');
    let body = &rest[open + 1..];
    let length = body.windows(end.len()).position(|window| window == end);
    Some(length.map_or(rest.len(), |length| open + 1 + length + end.len()))
}

/// Length of a literal that begins and ends with `quote` and escapes with a backslash.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A character literal rather than a lifetime: an escape, or one character and its closing quote.
fn is_character(rest: &[u8]) -> bool {
    match rest.get(1) {
        Some(b'\\') => true,
        Some(first) => {
            let width = match first {
                0x00..=0x7f => 1,
                0x80..=0xdf => 2,
                0xe0..=0xef => 3,
                _ => 4,
            };
            rest.get(1 + width) == Some(&b'\'')
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blank_and_code_stays() {
        for (text, expected) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("x\"y") + 1"#, "f(      ) + 1"),
            (r###"f(r#"a"b"#)"###, "f(        )"),
            (r#"b"x" br"y" cr"z""#, "b              "),
            ("'a' + '\\'' + '\u{e4}'", "    +      +     "),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("for_r\"x\"", "for_r   "),
            ("\"open", "     "),
            ("/* open", "       "),
        ] {
            assert_eq!(code_of(text).trim_end(), expected.trim_end(), "{text}");
            assert_eq!(code_of(text).len(), text.len(), "{text}");
        }
    }

    #[test]
    fn tests_begin_where_the_attribute_stands() {
        assert_eq!(tests_begin("fn a() {}\n\n#[cfg(test)]\nmod tests {}\n"), 3);
        assert_eq!(tests_begin("fn a() {}\n"), 2);
    }

    #[test]
    fn words_are_found_whole() {
        for (line, word, expected) in [
            ("unsafe { }", "unsafe", 1),
            ("unsafe_code", "unsafe", 0),
            ("not_unsafe unsafe", "unsafe", 1),
            ("x.to_vec()", ".to_vec(", 1),
        ] {
            assert_eq!(words(line, word).count(), expected, "{line}");
        }
    }
}
