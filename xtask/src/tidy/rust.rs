//! Rules for Rust files: the opening sentence, length, unfinished macros, unsafe, and honest tests.

use super::Finding;
use super::mask::{code_of, tests_begin, words};

/// Above this a file holds a second idea.
const LINES_MAX: usize = 500;

/// Files that may be unsafe, each with the reason; every other file does without.
const UNSAFE_FILES: &[(&str, &str)] = &[
    ("ebpf/loader/src/batch.rs", "writes many entries of a map by one system call that aya does not know"),
    ("ebpf/loader/src/ethtool.rs", "asks a device by ioctl, which has no safe wrapper"),
    ("ebpf/loader/src/plain.rs", "vouches that the values of maps have no padding"),
    ("ebpf/loader/src/tables.rs", "lends the descriptor of a ring that it owns"),
    ("ebpf/loader/tests/kernel/attaching.rs", "enters a network namespace of its own"),
    ("ebpf/programs/src/bench.rs", "sends and answers packets whose bounds the verifier proves"),
    ("ebpf/programs/src/frame.rs", "reads and writes a packet whose bounds the verifier proves"),
    ("ebpf/programs/src/main.rs", "is entered by the kernel and passes its context on"),
    ("ebpf/programs/src/record.rs", "adds to per-CPU counters in map memory"),
    ("ebpf/programs/src/sockets.rs", "calls kernel helpers for sockets and cookies"),
    ("ebpf/programs/src/tables.rs", "calls kernel helpers for maps"),
    ("snapshot-tool/format/src/mapping.rs", "maps a file that nobody rewrites"),
    ("xtask/src/bench/guard/place.rs", "enters namespaces of its own"),
    ("xtask/src/bench/lookup/lmdb.rs", "opens a database of its own: LMDB's calls are unsafe as a whole"),
];

/// Functions of tests that may sleep, because they look again and again until a deadline; everybody else calls them.
const POLLING: &[&str] = &["eventually", "throughout"];

pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let code = code_of(text);
    let mut findings = Vec::new();
    findings.extend(opening(text).map(|fix| Finding::new(path, 1, "opening sentence", fix)));
    let length = text.lines().count();
    if length > LINES_MAX {
        let fix = format!("{length} lines, more than {LINES_MAX}: look for the second idea and move it");
        findings.push(Finding::new(path, 0, "length", fix));
    }
    let tests = if is_test_file(path) { 1 } else { tests_begin(&code) };
    let mut test_attribute = false;
    let mut function = "";
    // Where the clock of the tests stands still until all wait, a sleep takes no time.
    let paused = code.contains("start_paused(true)");
    for (index, line) in code.lines().enumerate() {
        let number = index + 1;
        let mut find = |rule, fix: &str| findings.push(Finding::new(path, number, rule, fix));
        for name in [concat!("to", "do!"), concat!("unim", "plemented!"), concat!("db", "g!")] {
            if words(line, name).next().is_some() {
                find("unfinished work", "write the code");
            }
        }
        if line.trim_start().starts_with(concat!("#[ig", "nore")) {
            find(
                "skipped test",
                "note the reason in CAROM_NOT_RUN_FILE at run time, so that it is counted and named",
            );
        }
        if uses_unsafe(line) && !UNSAFE_FILES.iter().any(|(file, _)| *file == path) {
            find(
                "unsafe",
                "move it into a file of the list in xtask/src/tidy/rust.rs, or add this one with its reason",
            );
        }
        function = function_name(line).unwrap_or(function);
        if number >= tests && sleeps(line) && !paused && !POLLING.contains(&function) {
            find("sleep in a test", "poll with a deadline: eventually(...)");
        }
        if test_attribute && function_name(line).is_some_and(|name| name.matches('_').count() < 2) {
            find("test name", "say as a sentence what holds");
        }
        test_attribute = is_test_attribute(line) || (test_attribute && line.trim_start().starts_with('#'));
    }
    for (index, line) in text.lines().enumerate() {
        findings.extend(error_message(line).map(|fix| Finding::new(path, index + 1, "error message", fix)));
    }
    findings
}

/// What is wrong with the sentence that opens the file.
fn opening(text: &str) -> Option<&'static str> {
    let mut lines = text.lines().skip_while(|line| line.starts_with("#![") || line.is_empty()).peekable();
    if !lines.peek().is_some_and(|line| line.starts_with("//! ")) {
        return Some("begin with one `//!` sentence that says which idea the file holds");
    }
    let paragraph = lines.take_while(|line| line.starts_with("//! ")).last().unwrap_or_default();
    if paragraph.ends_with('.') { None } else { Some("end the opening sentence with a full stop") }
}

fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/")
}

/// The keyword, which stands before a block, a function, an implementation, a trait or an extern block.
fn uses_unsafe(line: &str) -> bool {
    words(line, "unsafe").any(|at| {
        let after = line[at + "unsafe".len()..].trim_start();
        after.is_empty()
            || ["{", "fn", "impl", "trait", "extern", "(", "async"].iter().any(|next| after.starts_with(next))
    })
}

fn sleeps(line: &str) -> bool {
    ["thread::sleep", "time::sleep", "timer::sleep"].iter().any(|call| words(line, call).next().is_some())
}

fn is_test_attribute(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("#[test]") || line.starts_with("#[tokio::test")
}

fn function_name(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("fn ")?;
    rest.split(['(', '<']).next()
}

/// What is wrong with the text of a `thiserror` attribute.
fn error_message(line: &str) -> Option<&'static str> {
    let (_, message) = line
        .trim_start()
        .strip_prefix("#[error(\"")
        .and_then(|rest| rest.rsplit_once("\")]").map(|(m, _)| ((), m)))?;
    let mut characters = message.chars();
    let capital = characters.next().is_some_and(char::is_uppercase)
        && characters.next().is_some_and(char::is_lowercase);
    if capital {
        Some("begin in lower case: it is read in the middle of a sentence")
    } else if message.ends_with('.') {
        Some("no full stop: it is read in the middle of a sentence")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(usize, &'static str)> {
        check(path, text).iter().map(|finding| (finding.line, finding.rule)).collect()
    }

    fn rules_of_body(body: &str) -> Vec<(usize, &'static str)> {
        rules("a/src/b.rs", &format!("//! One idea.\n{body}\n"))
    }

    #[test]
    fn a_file_opens_with_a_sentence() {
        assert!(rules("a.rs", "//! One idea.\n").is_empty());
        assert!(rules("a.rs", "#![no_std]\n//! One idea,\n//! told on two lines.\n\nfn a() {}\n").is_empty());
        for text in ["fn a() {}\n", "//! One idea\n", "// One idea.\n", ""] {
            assert_eq!(rules("a.rs", text), [(1, "opening sentence")], "{text:?}");
        }
    }

    #[test]
    fn a_long_file_is_found() {
        let text = |lines: usize| format!("//! One idea.\n{}", "\n".repeat(lines - 1));
        assert!(rules("a.rs", &text(LINES_MAX)).is_empty());
        assert_eq!(rules("a.rs", &text(LINES_MAX + 1)), [(0, "length")]);
    }

    #[test]
    fn unfinished_macros_are_found_in_code_only() {
        for name in [concat!("to", "do!"), concat!("unim", "plemented!"), concat!("db", "g!")] {
            assert_eq!(rules_of_body(&format!("fn a() {{ {name}() }}")), [(2, "unfinished work")]);
            assert!(rules_of_body(&format!("// no {name} here")).is_empty());
        }
    }

    #[test]
    fn a_skipped_test_is_found() {
        assert_eq!(rules_of_body(concat!("#[ig", "nore = \"slow\"]\nfn a() {}")), [(2, "skipped test")]);
    }

    #[test]
    fn unsafe_code_is_found_outside_the_listed_files() {
        for body in
            ["fn a() { unsafe { b() } }", "unsafe impl Send for A {}", "unsafe fn a() {}", "let a = unsafe"]
        {
            assert_eq!(rules_of_body(body), [(2, "unsafe")], "{body}");
            let text = format!("//! One idea.\n{body}\n");
            assert!(rules(UNSAFE_FILES[0].0, &text).is_empty(), "{body}");
        }
        assert!(rules_of_body("#![forbid(unsafe_code)]").is_empty());
    }

    #[test]
    fn a_sleep_is_found_in_tests_and_allowed_in_code_and_where_a_helper_polls() {
        let sleep = "fn a() { std::thread::sleep(b) }";
        assert!(rules_of_body(sleep).is_empty());
        assert_eq!(rules_of_body(&format!("#[cfg(test)]\n{sleep}")), [(3, "sleep in a test")]);
        let text = format!("//! One idea.\n{sleep}\n");
        assert_eq!(rules("appliance/tests/a.rs", &text), [(2, "sleep in a test")]);
        for excused in
            ["fn eventually<A>() {\n    thread::sleep(b)\n}", "fn a() { start_paused(true); time::sleep(b) }"]
        {
            assert!(rules("appliance/tests/a.rs", &format!("//! One idea.\n{excused}\n")).is_empty());
        }
    }

    #[test]
    fn a_test_name_is_a_sentence() {
        assert!(rules_of_body("#[test]\nfn a_hit_answers_with_its_status() {}").is_empty());
        assert_eq!(rules_of_body("#[test]\nfn works() {}"), [(3, "test name")]);
        assert_eq!(rules_of_body("#[test]\n#[should_panic]\nfn test_hit() {}"), [(4, "test name")]);
    }

    #[test]
    fn an_error_message_reads_in_the_middle_of_a_sentence() {
        assert!(rules_of_body("#[error(\"port {0} is taken\")]").is_empty());
        assert!(rules_of_body("#[error(\"HTTP {0} is unknown\")]").is_empty());
        assert_eq!(rules_of_body("#[error(\"Port is taken\")]"), [(2, "error message")]);
        assert_eq!(rules_of_body("#[error(\"port is taken.\")]"), [(2, "error message")]);
    }
}
