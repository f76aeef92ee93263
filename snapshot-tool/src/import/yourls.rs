//! YOURLS: the url table as `mysqldump` writes it.

use super::collector::{Collector, Entry};
use super::loss::Kind;
use anyhow::bail;

/// Columns of the table in the order of its definition (YOURLS 1.10, `functions-install.php`).
const COLUMNS: [&str; 6] = ["keyword", "url", "title", "timestamp", "ip", "clicks"];

/// Whether this is SQL rather than CSV.
pub(super) fn is_dump(bytes: &[u8]) -> bool {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(1 << 16)]).to_ascii_uppercase();
    ["INSERT INTO", "CREATE TABLE", "MYSQL DUMP", "MARIADB DUMP"].iter().any(|sign| start.contains(sign))
}

/// Reads every row that is inserted into a table whose name ends with `url`.
pub(super) fn import(bytes: &[u8], collector: &mut Collector) -> anyhow::Result<()> {
    let mut reader = Reader { bytes, at: 0, line: 1 };
    let mut tables = 0;
    while let Some(token) = reader.token() {
        if !token.is_word("INSERT") {
            continue;
        }
        let Some(insert) = reader.insert_head() else { continue };
        if !(insert.table == "url" || insert.table.ends_with("_url")) {
            continue;
        }
        tables += 1;
        let place = |name: &str| insert.columns.iter().position(|column| column == name);
        let (Some(keyword), Some(url)) = (place("keyword"), place("url")) else {
            bail!("table {} has no columns keyword and url", insert.table);
        };
        rows(&mut reader, collector, (keyword, url), insert.columns.len())?;
    }
    if tables == 0 {
        bail!("no INSERT into a table whose name ends with url; dump the table with mysqldump");
    }
    Ok(())
}

fn rows(
    reader: &mut Reader<'_>,
    collector: &mut Collector,
    (keyword, url): (usize, usize),
    columns: usize,
) -> anyhow::Result<()> {
    loop {
        match reader.token() {
            Some(Token::Symbol(b'(')) => {}
            Some(Token::Symbol(b',')) => continue,
            // `ON DUPLICATE KEY …` and whatever else may follow ends the rows as a semicolon does.
            _ => return Ok(()),
        }
        let line = reader.line;
        let Some(values) = reader.values() else {
            collector.lose(Kind::Malformed, line, "", "the dump ends within a row");
            return Ok(());
        };
        let text = |place: usize| values.get(place).map(String::as_str).unwrap_or_default();
        if values.len() == columns {
            collector.link(Entry {
                line,
                code: text(keyword),
                destination: text(url),
                ..Entry::default()
            })?;
        } else {
            let what = format!("{} values, and the table has {columns} columns", values.len());
            collector.lose(Kind::Malformed, line, text(0), what);
        }
    }
}

struct Insert {
    table: String,
    columns: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Symbol(u8),
    /// A keyword, name or number; a name in back-quotes too.
    Word(String),
    Text(String),
}

impl Token {
    fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Word(found) if found.eq_ignore_ascii_case(word))
    }
}

/// As much of SQL's words as dumps need.
struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    line: u64,
}

impl Reader<'_> {
    /// `INTO name (columns) VALUES`, behind `INSERT`; `None` for other statements.
    fn insert_head(&mut self) -> Option<Insert> {
        let mut token = self.token()?;
        while token.is_word("IGNORE") || token.is_word("INTO") {
            token = self.token()?;
        }
        let Token::Word(mut table) = token else { return None };
        let mut columns: Vec<String> = COLUMNS.map(str::to_owned).to_vec();
        let mut token = self.token()?;
        while token == Token::Symbol(b'.') {
            let Token::Word(name) = self.token()? else { return None };
            table = name;
            token = self.token()?;
        }
        if token == Token::Symbol(b'(') {
            columns = self.values()?.into_iter().map(|name| name.to_ascii_lowercase()).collect();
            token = self.token()?;
        }
        token.is_word("VALUES").then_some(Insert { table: table.to_ascii_lowercase(), columns })
    }

    /// Values up to the closing parenthesis; the opening one was read.
    fn values(&mut self) -> Option<Vec<String>> {
        let mut values = vec![String::new()];
        loop {
            match self.token()? {
                Token::Symbol(b')') => return Some(values),
                Token::Symbol(b',') => values.push(String::new()),
                Token::Symbol(other) => values.last_mut()?.push(char::from(other)),
                Token::Word(word) if word.eq_ignore_ascii_case("NULL") => {}
                // A character set in front of a text, as in _utf8mb4'a'.
                Token::Word(word) if word.starts_with('_') => {}
                Token::Word(text) | Token::Text(text) => values.last_mut()?.push_str(&text),
            }
        }
    }

    fn token(&mut self) -> Option<Token> {
        loop {
            let rest = self.bytes.get(self.at..)?;
            match rest {
                [] => return None,
                [b'\n', ..] => {
                    self.line += 1;
                    self.at += 1;
                }
                [byte, ..] if byte.is_ascii_whitespace() => self.at += 1,
                [b'#', ..] | [b'-', b'-', ..] => {
                    self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                }
                [b'/', b'*', ..] => {
                    let end = memchr::memmem::find(rest, b"*/").map_or(rest.len(), |end| end + 2);
                    self.line += rest[..end].iter().filter(|&&byte| byte == b'\n').count() as u64;
                    self.at += end;
                }
                [quote @ (b'\'' | b'"'), ..] => return Some(Token::Text(self.quoted(*quote))),
                [b'`', ..] => return Some(Token::Word(self.quoted(b'`'))),
                [byte, ..] if is_word_byte(*byte) => {
                    let end = rest.iter().position(|&byte| !is_word_byte(byte)).unwrap_or(rest.len());
                    self.at += end;
                    return Some(Token::Word(String::from_utf8_lossy(&rest[..end]).into_owned()));
                }
                [symbol, ..] => {
                    self.at += 1;
                    return Some(Token::Symbol(*symbol));
                }
            }
        }
    }

    /// A text between quotes: a doubled quote is one, and backslashes escape (MySQL 8, "String Literals").
    fn quoted(&mut self, quote: u8) -> String {
        let mut text = Vec::new();
        self.at += 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            self.line += u64::from(byte == b'\n');
            let next = self.bytes.get(self.at).copied();
            match (byte, next) {
                (b'\\', Some(escaped)) if quote != b'`' => {
                    self.at += 1;
                    text.push(match escaped {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'0' => 0,
                        b'Z' => 0x1a,
                        other => other,
                    });
                }
                (byte, Some(next)) if byte == quote && next == quote => {
                    self.at += 1;
                    text.push(quote);
                }
                (byte, _) if byte == quote => break,
                (byte, _) => text.push(byte),
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

const fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'-' | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_and_names_are_read_as_mysql_writes_them() {
        let mut reader = Reader { bytes: br"`a``b`.'it\'s' 'x''y' -1 /* ' */ -- '", at: 0, line: 1 };
        let found: Vec<Token> = std::iter::from_fn(|| reader.token()).collect();
        let word = |text: &str| Token::Word(text.to_owned());
        let text = |text: &str| Token::Text(text.to_owned());
        assert_eq!(found, [word("a`b"), Token::Symbol(b'.'), text("it's"), text("x'y"), word("-1")]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(bytes in proptest::collection::vec(
            prop_oneof![Just(b'\''), Just(b'\\'), Just(b'`'), Just(b'('), Just(b'-'), Just(b'/'), Just(b'*'), Just(b'a'), any::<u8>()],
            0..60
        )) {
            let mut reader = Reader { bytes: &bytes, at: 0, line: 1 };
            while reader.token().is_some() {}
            prop_assert!(reader.at >= bytes.len());
        }
    }
}
