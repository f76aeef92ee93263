//! Rules for files marked HOT: nothing that allocates, locks or logs outside their tests.

use super::Finding;
use super::mask::{code_of, tests_begin, words};

/// What a hot file does without, and what it does instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("format!", "write bytes into a buffer of the caller"),
    ("String", "take a slice, or a fixed array"),
    (".to_vec(", "borrow, or copy into a buffer of the caller"),
    (".to_owned(", "borrow, or copy into a buffer of the caller"),
    (".to_string(", "write bytes into a buffer of the caller"),
    ("println!", "count instead"),
    ("eprintln!", "count instead"),
    ("trace!", "count instead"),
    ("debug!", "count instead"),
    ("info!", "count instead"),
    ("warn!", "count instead"),
    ("error!", "count instead"),
    ("Mutex", "keep the state in the shard"),
    ("RwLock", "keep the state in the shard"),
];

pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    if !is_hot(text) {
        return Vec::new();
    }
    let code = code_of(text);
    let excused = excused(text);
    let mut findings = Vec::new();
    for (index, line) in code.lines().take(tests_begin(&code) - 1).enumerate() {
        for (word, instead) in FORBIDDEN.iter().filter(|(word, _)| words(line, word).next().is_some()) {
            if !excused.contains(&(index + 1)) {
                findings.push(Finding::new(
                    path,
                    index + 1,
                    "hot path",
                    format!("no `{word}` here: {instead}"),
                ));
            }
        }
    }
    findings
}

/// Lines below a comment `// Allocates: why`, which is for what a well-behaved client never causes.
fn excused(text: &str) -> Vec<usize> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| line.trim_start().starts_with("// Allocates: "))
        .map(|(index, _)| index + 2)
        .collect()
}

fn is_hot(text: &str) -> bool {
    let first = text.lines().find(|line| line.starts_with("//!"));
    first.is_some_and(|line| line.starts_with("//! HOT: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        check("a.rs", text).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn every_forbidden_word_is_found_in_a_hot_file_and_only_there() {
        for (word, _) in FORBIDDEN {
            assert_eq!(lines(&format!("//! HOT: one idea.\nlet a = {word};\n")), [2], "{word}");
            assert!(lines(&format!("//! One idea.\nlet a = {word};\n")).is_empty(), "{word}");
        }
    }

    #[test]
    fn comments_literals_and_tests_of_a_hot_file_may_say_anything() {
        assert!(lines("//! HOT: one idea.\n// a String\nlet a = \"String\";\n").is_empty());
        assert!(
            lines("//! HOT: one idea.\n#[cfg(test)]\nmod tests { fn a() { format!(\"\") } }\n").is_empty()
        );
    }

    #[test]
    fn an_allocation_that_gives_its_reason_is_excused() {
        let line = "let a = b.to_vec();\n";
        assert!(
            lines(&format!("//! HOT: one idea.\n// Allocates: the client does not read.\n{line}")).is_empty()
        );
        assert_eq!(lines(&format!("//! HOT: one idea.\n// Allocates: once.\n{line}{line}")), [4]);
    }

    #[test]
    fn a_longer_word_is_another_word() {
        assert!(lines("//! HOT: one idea.\nlet a = MutexFree; let b = StringLike;\n").is_empty());
    }
}
