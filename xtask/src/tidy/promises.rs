//! The specification: every promise in a table names the test that keeps it, and that test exists.

use std::collections::BTreeMap;

use super::mask::code_of;
use super::{Finding, Tree};

const SPECIFICATION: &str = "docs/specification.md";

/// Titles of the column that names tests.
const COLUMNS: &[&str] = &["test", "tests", "kept by", "proven by"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(SPECIFICATION) else { return Vec::new() };
    let tests = Tests::of(tree);
    let mut findings = Vec::new();
    let mut column = None;
    for (index, line) in text.lines().enumerate() {
        let Some(cells) = cells(line) else {
            column = None;
            continue;
        };
        let Some(position) = column else {
            column = Some(cells.iter().position(|cell| COLUMNS.contains(&cell.to_lowercase().as_str())));
            continue;
        };
        let (Some(position), false) = (position, is_rule(&cells)) else { continue };
        let cell = cells.get(position).copied().unwrap_or_default();
        findings.extend(
            trouble(cell, &tests)
                .into_iter()
                .map(|fix| Finding::new(SPECIFICATION, index + 1, "promise", fix)),
        );
    }
    findings
}

/// What is wrong with the cell that names tests: `a_test`, `file::a_test`, `cargo xtask bench …`, or "pending: reason".
fn trouble(cell: &str, tests: &Tests) -> Vec<String> {
    let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
    if names.is_empty() {
        let pending = cell.strip_prefix("pending: ").is_some_and(|reason| !reason.trim().is_empty());
        return if pending {
            Vec::new()
        } else {
            vec!["name the test in backticks, or say `pending: why`".to_owned()]
        };
    }
    let unknown = names.into_iter().filter(|name| !tests.knows(name));
    unknown.map(|name| format!("there is no test {name}")).collect()
}

/// The test functions of the repository with the files that hold them, and the commands of xtask.
struct Tests {
    functions: BTreeMap<String, Vec<String>>,
    commands: Vec<String>,
}

impl Tests {
    fn of(tree: &Tree) -> Self {
        let mut functions: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (path, text) in tree.0.iter().filter(|(path, _)| path.ends_with(".rs")) {
            for name in test_functions(&code_of(text)) {
                functions.entry(name).or_default().push(path.clone());
            }
        }
        let commands =
            tree.0.keys().filter_map(|path| path.strip_prefix("xtask/src/")?.split(['/', '.']).next());
        Self { functions, commands: commands.map(str::to_owned).collect() }
    }

    fn knows(&self, name: &str) -> bool {
        if let Some(command) = name.strip_prefix("cargo xtask ") {
            let word = command.split(' ').next().unwrap_or_default();
            return self.commands.iter().any(|known| known == word);
        }
        let mut parts: Vec<&str> = name.split("::").collect();
        let function = parts.pop().unwrap_or_default();
        let Some(paths) = self.functions.get(function) else { return false };
        // Each part before the name must be a directory or a file on the way to the test; `tests` is the usual module.
        paths.iter().any(|path| {
            let steps: Vec<&str> = path.split(['/', '.']).collect();
            parts.iter().all(|part| {
                *part == "tests" || steps.contains(&part.replace('-', "_").as_str()) || steps.contains(part)
            })
        })
    }
}

/// Names of the functions under `#[test]`, and of those inside `proptest! { … }`, which carry the attribute too.
fn test_functions(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut marked = false;
    for line in code.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        }
        let Some((before, rest)) = line.split_once("fn ").filter(|_| marked) else { continue };
        if before.is_empty() || before.ends_with(' ') {
            names.extend(rest.split(['(', '<']).next().map(str::to_owned));
            marked = false;
        }
    }
    names
}

/// The cells of a table row.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

/// The row of hyphens below the titles.
fn is_rule(cells: &[&str]) -> bool {
    cells.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| "-: ".contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST_FILE: &str = "//! Tests.\n#[test]\nfn a_hit_is_found() {}\n\nfn helper() {}\n";

    fn found(cell: &str) -> Vec<usize> {
        let text = format!("# Promises\n\n| Promise | Test |\n|---|---|\n| It holds. | {cell} |\n");
        let tree = Tree::of(&[
            (SPECIFICATION, &text),
            ("appliance/tests/lookup.rs", TEST_FILE),
            ("xtask/src/bench/mod.rs", ""),
        ]);
        check(&tree).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_promise_that_names_a_test_is_silent() {
        for cell in [
            "`a_hit_is_found`",
            "`lookup::a_hit_is_found`, `appliance::tests::a_hit_is_found`",
            "`cargo xtask bench http`",
            "pending: needs the lab",
        ] {
            assert!(found(cell).is_empty(), "{cell}");
        }
    }

    #[test]
    fn a_promise_without_a_real_test_is_found() {
        for cell in ["", "yes", "`helper`", "`other::a_hit_is_found`", "`cargo xtask dance`", "pending:"] {
            assert_eq!(found(cell), [5], "{cell:?}");
        }
    }

    #[test]
    fn tables_without_a_column_of_tests_promise_nothing() {
        let text = "| Word | Meaning |\n|---|---|\n| hit | found |\n\n| Promise | Kept by |\n|---|---|\n| x | `none` |\n";
        let findings = check(&Tree::of(&[(SPECIFICATION, text)]));
        assert_eq!(findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [7]);
    }
}
