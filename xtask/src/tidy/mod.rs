//! The mechanical part of the style guide: pure rules over the texts of the repository.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace::{Verdict, Workspace};

mod documents;
mod hot;
mod links;
mod manifests;
mod mask;
mod promises;
mod rust;
mod text;

/// Check what the style guide says and a machine can see: one line per finding, with the rule and what to do.
///
/// It looks at every file that git tracks or would track, takes well under a second, and changes nothing.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only findings whose path contains this
    filter: Option<String>,
}

pub(crate) fn run(options: &Options, workspace: &Workspace) -> Result<Verdict> {
    report(workspace, options.filter.as_deref())
}

/// The stage of `cargo xtask test`.
pub(crate) fn check(workspace: &Workspace) -> Result<Verdict> {
    report(workspace, None)
}

fn report(workspace: &Workspace, filter: Option<&str>) -> Result<Verdict> {
    let tree = Tree::read(workspace)?;
    let mut findings = findings(&tree);
    findings.retain(|finding| filter.is_none_or(|filter| finding.path.contains(filter)));
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} files, {} findings", tree.0.len(), findings.len());
    Ok(Verdict::passed_if(findings.is_empty()))
}

/// One breach: where, which rule, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// Counted from 1; 0 for the file as a whole.
    line: usize,
    rule: &'static str,
    fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, rule, fix } = self;
        match line {
            0 => write!(formatter, "{path}: {rule}: {fix}"),
            line => write!(formatter, "{path}:{line}: {rule}: {fix}"),
        }
    }
}

impl Finding {
    fn new(path: &str, line: usize, rule: &'static str, fix: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, rule, fix: fix.into() }
    }
}

/// Every rule over every file.
fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in &tree.0 {
        findings.extend(text::check(path, text));
        if path.ends_with(".rs") {
            findings.extend(rust::check(path, text));
            findings.extend(hot::check(path, text));
        }
        if path.ends_with(".md") {
            findings.extend(links::check(path, text, tree));
        }
    }
    findings.extend(manifests::check(tree));
    findings.extend(documents::check(tree));
    findings.extend(promises::check(tree));
    findings.sort();
    findings
}

/// The files of the repository by their paths; those that hold no prose or code of ours are there with no text.
struct Tree(BTreeMap<String, String>);

impl Tree {
    fn read(workspace: &Workspace) -> Result<Self> {
        let listing = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(workspace.root())
            .output()
            .context("cannot run git")?;
        if !listing.status.success() {
            bail!("git ls-files failed: {}", String::from_utf8_lossy(&listing.stderr).trim());
        }
        let mut files = BTreeMap::new();
        for path in String::from_utf8_lossy(&listing.stdout).split('\0').filter(|path| !path.is_empty()) {
            let file = workspace.root().join(path);
            // A file that is deleted but not yet committed is still listed.
            if !file.is_file() {
                continue;
            }
            let text = if is_ours(path) {
                fs::read_to_string(&file).with_context(|| format!("cannot read {path} as text"))?
            } else {
                String::new()
            };
            files.insert(path.to_owned(), text);
        }
        Ok(Self(files))
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Whether the path names a file or a directory that holds one.
    fn holds(&self, path: &str) -> bool {
        let directory = format!("{}/", path.trim_end_matches('/'));
        self.0.contains_key(path)
            || self.0.range(directory.clone()..).next().is_some_and(|(p, _)| p.starts_with(&directory))
    }

    #[cfg(test)]
    fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }
}

/// Files that people of this project write; data, lock files and licence texts are not.
fn is_ours(path: &str) -> bool {
    const ENDINGS: &[&str] = &[".rs", ".toml", ".md", ".sh", ".yml", ".yaml", ".service", ".conf", ".dict"];
    // Seeds of fuzz targets are data, whatever their names end in.
    if path.contains("/corpus/") {
        return false;
    }
    path == ".ci/run" || path == ".gitignore" || ENDINGS.iter().any(|ending| path.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_like_a_compiler_message() {
        assert_eq!(Finding::new("a.rs", 3, "tab", "use spaces").to_string(), "a.rs:3: tab: use spaces");
        assert_eq!(Finding::new("a.rs", 0, "length", "split it").to_string(), "a.rs: length: split it");
    }

    #[test]
    fn a_tree_holds_files_and_the_directories_above_them() {
        let tree = Tree::of(&[("docs/a.md", ""), ("docs-old.md", "")]);
        for (path, expected) in
            [("docs", true), ("docs/", true), ("docs/a.md", true), ("doc", false), ("docs/b.md", false)]
        {
            assert_eq!(tree.holds(path), expected, "{path}");
        }
    }
}
