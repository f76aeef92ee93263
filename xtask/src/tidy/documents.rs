//! Rules for the set of documents: licences are there, and decision records are numbered without gaps.

use super::{Finding, Tree};

/// Files that a person or a packager looks for at the top.
const AT_THE_TOP: &[&str] = &["LICENSE-APACHE", "LICENSE-MIT", "README.md", "CHANGELOG.md"];

const DECISIONS: &str = "docs/decisions/";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let absent = AT_THE_TOP.iter().filter(|name| !tree.holds(name));
    let mut findings: Vec<Finding> =
        absent.map(|name| Finding::new(name, 0, "missing", "every checkout carries this file")).collect();
    findings.extend(decisions(tree));
    findings
}

/// Records are `NNNN-some-words.md`, begin with `# N. Title`, and have a number each; numbers may be reserved, so that
/// gaps are no fault.
fn decisions(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let records = tree.0.iter().filter_map(|(path, text)| Some((path, path.strip_prefix(DECISIONS)?, text)));
    let mut next = 1;
    for (path, name, text) in records.filter(|(_, name, _)| *name != "README.md") {
        let Some(number) = number_of(name) else {
            findings.push(Finding::new(path, 0, "decision", "name it NNNN-some-words.md"));
            continue;
        };
        if number < next {
            findings.push(Finding::new(path, 0, "decision", format!("the next free number is {next:04}")));
        }
        next = number + 1;
        if !text.starts_with(&format!("# {number}. ")) {
            findings.push(Finding::new(path, 1, "decision", format!("begin with `# {number}. Title`")));
        }
    }
    findings
}

fn number_of(name: &str) -> Option<u32> {
    let (digits, words) = name.strip_suffix(".md")?.split_once('-')?;
    let well_formed = digits.len() == 4 && !words.is_empty();
    digits.parse().ok().filter(|_| well_formed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(records: &[(&str, &str)]) -> Vec<String> {
        let top = AT_THE_TOP.iter().map(|name| (*name, ""));
        let files: Vec<(&str, &str)> = top.chain(records.iter().copied()).collect();
        check(&Tree::of(&files)).into_iter().map(|finding| finding.path).collect()
    }

    #[test]
    fn records_in_sequence_are_silent() {
        let records = [("docs/decisions/0001-a.md", "# 1. A\n"), ("docs/decisions/0004-b-c.md", "# 4. B\n")];
        assert!(found(&records).is_empty());
        assert!(found(&[("docs/decisions/README.md", "")]).is_empty());
    }

    #[test]
    fn a_twin_and_a_nameless_record_are_found() {
        for records in [
            [("docs/decisions/0001-a.md", "# 1. A\n"), ("docs/decisions/0001-b.md", "# 1. B\n")],
            [("docs/decisions/0001-a.md", "# 1. A\n"), ("docs/decisions/second.md", "# 2. B\n")],
            [("docs/decisions/0001-a.md", "# 1. A\n"), ("docs/decisions/0002-b.md", "# B\n")],
        ] {
            assert_eq!(found(&records), [records[1].0]);
        }
    }

    #[test]
    fn a_missing_licence_is_found() {
        let paths: Vec<_> = check(&Tree::of(&[])).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, AT_THE_TOP);
    }
}
