//! Rules for every text: whitespace, unfinished work, and what would tie the repository to one machine.

use super::Finding;
use super::mask::words;

/// Marks of unfinished work, cut in two so that this file does not carry them.
const MARKS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Places that exist on somebody's machine only.
const MACHINE_PATHS: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/fa", "rm/"),
    concat!("/Us", "ers/"),
];

/// Hosts that the clients of the package registries know by themselves.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("deb.", "debian.org"),
    concat!("security.", "debian.org"),
    concat!("registry.", "npmjs.org"),
    concat!("files.", "pythonhosted.org"),
];

pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut find = |rule, fix: String| findings.push(Finding::new(path, index + 1, rule, fix));
        if line.contains('\t') {
            find("tab", "indent with spaces; write \\t where a tab is meant".to_owned());
        }
        if line.ends_with([' ', '\r']) {
            find("trailing space", "delete it".to_owned());
        }
        for mark in MARKS.iter().filter(|mark| words(line, mark).next().is_some()) {
            find("unfinished work", format!("finish what {mark} says, or open an issue and delete the mark"));
        }
        for machine in MACHINE_PATHS.iter().filter(|machine| names_directory(line, machine)) {
            find("machine path", format!("{machine} exists on one machine: name a path in the repository"));
        }
        for host in REGISTRY_HOSTS.iter().filter(|host| line.contains(*host)) {
            find("registry host", format!("leave {host} to the registry's own client"));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        findings.push(Finding::new(path, text.lines().count(), "last line", "end it with a line feed"));
    }
    findings
}

/// Whether the line names the directory itself, not one of that name further down a path or a URL.
fn names_directory(line: &str, directory: &str) -> bool {
    line.match_indices(directory).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_-./})".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<(usize, &'static str)> {
        check("a.md", text).iter().map(|finding| (finding.line, finding.rule)).collect()
    }

    #[test]
    fn clean_text_has_no_findings() {
        assert!(rules("# Title\n\nA sentence.\n").is_empty());
        assert!(rules("").is_empty());
    }

    #[test]
    fn whitespace_is_found_with_its_line() {
        assert_eq!(rules("a\n\tb\nc \nd"), [(2, "tab"), (3, "trailing space"), (4, "last line")]);
    }

    #[test]
    fn marks_of_unfinished_work_are_found_as_whole_words() {
        for mark in MARKS {
            assert_eq!(rules(&format!("// {mark}: later\n")), [(1, "unfinished work")]);
            assert!(rules(&format!("A{mark}B\n")).is_empty());
        }
    }

    #[test]
    fn a_machine_path_is_found_at_the_start_of_a_path_only() {
        for machine in MACHINE_PATHS {
            assert_eq!(rules(&format!("see `{machine}x`\n")), [(1, "machine path")]);
            assert!(rules(&format!("see target{machine}x and https://a.example{machine}x\n")).is_empty());
        }
    }

    #[test]
    fn a_registry_host_is_found() {
        for host in REGISTRY_HOSTS {
            assert_eq!(rules(&format!("https://{host}/x\n")), [(1, "registry host")]);
        }
    }
}
