//! Links of documents: a relative one names a file of the repository, and an anchor a heading in it.

use super::{Finding, Tree};

pub(super) fn check(path: &str, text: &str, tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in prose(text) {
        for target in targets(&line) {
            if let Some(fix) = trouble(path, target, tree) {
                findings.push(Finding::new(path, number, "link", fix));
            }
        }
    }
    findings
}

/// The lines outside code blocks, with code spans blanked out.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        let outside = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
        (!fenced).then_some((index + 1, outside))
    })
}

/// The targets of `[text](target)` and `[name]: target`.
fn targets(line: &str) -> Vec<&str> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let reference =
        line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target.trim());
    inline.chain(reference).collect()
}

fn trouble(path: &str, target: &str, tree: &Tree) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let Some(resolved) = resolve(path, file) else {
        return Some(format!("{target} leaves the repository"));
    };
    if !tree.holds(&resolved) && !resolved.is_empty() {
        return Some(format!("{target} names nothing: there is no {resolved}"));
    }
    let document = tree.text(&resolved).filter(|_| resolved.ends_with(".md"))?;
    if anchor.is_empty() || headings(document).any(|heading| heading == anchor) {
        None
    } else {
        Some(format!("{resolved} has no heading for #{anchor}"))
    }
}

/// The path from the root of the repository; `None` where it leads out of it.
fn resolve(from: &str, target: &str) -> Option<String> {
    if target.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The anchors that a forge makes of headings: lower case, words joined by hyphens, other signs dropped.
fn headings(document: &str) -> impl Iterator<Item = String> {
    document.lines().filter(|line| line.starts_with('#')).map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<usize> {
        let tree = Tree::of(&[
            ("README.md", "# Carom\n"),
            ("docs/a.md", text),
            ("docs/b.md", "# B\n\n## Two words, here\n"),
            ("docs/decisions/0001-x.md", "# 1. X\n"),
        ]);
        check("docs/a.md", text, &tree).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn links_that_resolve_are_silent() {
        for text in [
            "[b](b.md) [readme](../README.md) [all](decisions/) [web](https://a.example/x)\n",
            "[b](b.md#two-words-here)\n",
            "# Here\n\n[here](#here)\n",
            "[b]: b.md\n",
            "[title](b.md \"a title\")\n",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        for text in
            ["[c](c.md)\n", "[out](../../x.md)\n", "[b](b.md#three)\n", "[c]: c.md\n", "[here](#there)\n"]
        {
            assert_eq!(found(text), [1], "{text}");
        }
    }

    #[test]
    fn code_is_no_link() {
        assert!(found("`[c](c.md)`\n```\n[c](c.md)\n```\n").is_empty());
    }
}
