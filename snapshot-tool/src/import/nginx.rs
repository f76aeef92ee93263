//! nginx's `map` blocks, alone or within a whole configuration, and the files that such a block includes.

use super::collector::{Collector, Entry};
use super::loss::Kind;

/// Reads all `map` blocks of a text; a text without one is taken for the inside of a block (nginx, ngx_http_map_module).
pub(super) fn import(bytes: &[u8], collector: &mut Collector) -> anyhow::Result<()> {
    let statements = statements(&String::from_utf8_lossy(bytes));
    let is_map = |statement: &Statement| {
        statement.end == End::Opens && statement.words.first().is_some_and(|word| word.text == "map")
    };
    let has_maps = statements.iter().any(is_map);
    let mut depth = 0_u32;
    let mut map_depth = (!has_maps).then_some(0);
    for statement in &statements {
        match statement.end {
            End::Opens => {
                depth += 1;
                if is_map(statement) && map_depth.is_none() {
                    map_depth = Some(depth);
                }
            }
            End::Closes => {
                if map_depth == Some(depth) {
                    map_depth = None;
                }
                depth = depth.saturating_sub(1);
            }
            End::Semicolon if map_depth == Some(depth) => entry(statement, collector)?,
            End::Semicolon => {}
            End::Never if map_depth.is_some() => {
                let text =
                    statement.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
                collector.lose(
                    Kind::Malformed,
                    statement.line,
                    &text,
                    "the entry does not end with a semicolon",
                );
            }
            End::Never => {}
        }
    }
    Ok(())
}

fn entry(statement: &Statement, collector: &mut Collector) -> anyhow::Result<()> {
    let line = statement.line;
    let [key, value] = statement.words.as_slice() else {
        let [only] = statement.words.as_slice() else {
            let text = statement.words.first().map_or("", |word| word.text.as_str());
            collector.lose(Kind::Malformed, line, text, "neither a key with a value nor a parameter of map");
            return Ok(());
        };
        if !matches!(only.text.as_str(), "hostnames" | "volatile") {
            collector.lose(Kind::Malformed, line, &only.text, "a key without a value");
        }
        return Ok(());
    };
    let (text, destination) = (key.text.as_str(), value.text.as_str());
    if destination.is_empty() {
        // An empty value is how such maps say that there is no redirect.
        return Ok(());
    }
    if destination.contains('$') {
        let what = format!("the value {destination} has a variable; a destination is a text");
        collector.lose(Kind::Pattern, line, text, what);
        return Ok(());
    }
    let mut entry = Entry { line, destination, ..Entry::default() };
    match text {
        "default" if !key.quoted => {
            entry.code = "*";
            collector.not_found(&entry);
        }
        "include" if !key.quoted => {
            let what = format!("the included file {destination} is not read; name it as an input of its own");
            collector.lose(Kind::NoRedirect, line, text, what);
        }
        _ if text.starts_with('~') && !key.quoted => {
            collector.lose(
                Kind::Pattern,
                line,
                text,
                "a regular expression; list the paths that it stands for",
            );
        }
        _ if text.starts_with("*.") || text.starts_with('.') && !text.contains('/') => {
            collector.lose(
                Kind::Pattern,
                line,
                text,
                "a mask of host names; give the domain a root redirect",
            );
        }
        _ => collector.mapped(text.strip_prefix('\\').unwrap_or(text), entry)?,
    }
    Ok(())
}

/// How a statement ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Semicolon,
    Opens,
    Closes,
    /// The text ended first.
    Never,
}

#[derive(Debug, PartialEq, Eq)]
struct Word {
    text: String,
    quoted: bool,
}

#[derive(Debug)]
struct Statement {
    line: u64,
    words: Vec<Word>,
    end: End,
}

/// Splits a configuration as nginx does: words between white space, `;`, `{` and `}`, with quotes, escapes and comments.
fn statements(text: &str) -> Vec<Statement> {
    let mut found = Vec::new();
    let mut words = Vec::new();
    let (mut line, mut first_line) = (1, 1);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let end = match character {
            '\n' => {
                line += 1;
                continue;
            }
            _ if character.is_whitespace() => continue,
            '#' => {
                while characters.next_if(|&next| next != '\n').is_some() {}
                continue;
            }
            ';' => End::Semicolon,
            '{' => End::Opens,
            '}' => End::Closes,
            _ => {
                if words.is_empty() {
                    first_line = line;
                }
                let quote = matches!(character, '"' | '\'').then_some(character);
                let mut word = String::new();
                if quote.is_none() {
                    word.push(character);
                }
                let mut escaped = quote.is_none() && character == '\\';
                while let Some(&next) = characters.peek() {
                    let ends = match quote {
                        Some(quote) => next == quote,
                        None => next.is_whitespace() || matches!(next, ';' | '{' | '}'),
                    };
                    if ends && !escaped {
                        break;
                    }
                    characters.next();
                    line += u64::from(next == '\n');
                    if escaped && (matches!(next, '"' | '\'' | '\\') || ends) {
                        word.pop();
                    }
                    word.push(next);
                    escaped = next == '\\' && !escaped;
                }
                if quote.is_some() {
                    characters.next();
                }
                words.push(Word { text: word, quoted: quote.is_some() });
                continue;
            }
        };
        let line = if words.is_empty() { line } else { first_line };
        found.push(Statement { line, words: std::mem::take(&mut words), end });
    }
    if !words.is_empty() {
        found.push(Statement { line: first_line, words, end: End::Never });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<String> {
        let found = statements(text);
        found.into_iter().flat_map(|statement| statement.words).map(|word| word.text).collect()
    }

    #[test]
    fn words_are_split_as_nginx_splits_them() {
        assert_eq!(words("a b;# c\n d"), ["a", "b", "d"]);
        assert_eq!(words(r#""a b" 'c;d';"#), ["a b", "c;d"]);
        assert_eq!(words(r#""a\"b" c\;d e"#), ["a\"b", "c;d", "e"]);
        assert_eq!(
            words("map $uri $to {\n/a https://a.example/#top;\n}"),
            ["map", "$uri", "$to", "/a", "https://a.example/#top"]
        );
        let found = statements("\n\na\nb;\nc d");
        assert_eq!(
            found.iter().map(|found| (found.line, found.end)).collect::<Vec<_>>(),
            [(3, End::Semicolon), (5, End::Never)]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_split(text in "[a;{}\"' #\\\\\n$~]{0,60}") {
            statements(&text);
        }
    }
}
