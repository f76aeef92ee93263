//! Rules for Cargo.toml files: every dependency has its sentence, and dependencies point one way.

use toml::Table;

use super::{Finding, Tree};

/// Which crates of this repository each may build upon; a crate that is not listed may use any.
const INNER: &[(&str, &[&str])] = &[
    ("snapshot-tool/format", &[]),
    ("snapshot-tool/channel", &["snapshot-format"]),
    ("snapshot-tool", &["snapshot-format", "snapshot-channel"]),
    ("appliance/vitals", &[]),
    ("appliance/clicks", &[]),
    ("appliance", &["clicks", "snapshot-format", "snapshot-channel", "vitals", "ebpf-loader", "ebpf-abi"]),
    ("ebpf/abi", &[]),
    ("ebpf/logic", &["ebpf-abi"]),
    ("ebpf/loader", &["ebpf-abi", "ebpf-logic"]),
    ("ebpf/programs", &["ebpf-abi", "ebpf-logic"]),
    ("bgp", &["vitals"]),
];

/// Crates with one home: elsewhere they would blur what runs where.
const FENCED: &[(&str, &[&str], &str)] = &[
    ("glommio", &["appliance"], "shards live in the appliance"),
    (
        "aya",
        &["ebpf/loader", "xtask"],
        "the loader alone talks to the kernel about programs; benchmarks run those of others",
    ),
    ("aya-ebpf", &["ebpf/programs"], "only the programs run in the kernel"),
    (
        "tokio",
        &["appliance", "bgp", "snapshot-tool", "snapshot-tool/channel"],
        "everything else is plain blocking code",
    ),
    (
        "ahash",
        &["appliance", "bgp", "ebpf/loader", "xtask"],
        "its output is not stable, so it stays away from files",
    ),
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let inner = inner_names(tree);
    for (path, text) in tree.0.iter().filter(|(path, _)| is_manifest(path)) {
        let Ok(manifest) = text.parse::<Table>() else {
            findings.push(Finding::new(path, 0, "manifest", "cargo cannot read it either"));
            continue;
        };
        // Dependencies are chosen, and explained, where the versions are: in the root of each workspace.
        let is_root = manifest.contains_key("workspace");
        if is_root {
            findings.extend(sentences(path, text));
        }
        let package = path.strip_suffix("Cargo.toml").unwrap_or(path).trim_end_matches('/');
        for (name, value) in dependencies(&manifest, &["dependencies", "build-dependencies"]) {
            let mut find =
                |rule, fix: String| findings.push(Finding::new(path, line_of(text, name), rule, fix));
            if !is_root && value.get("version").is_some() | value.is_str() {
                find("version", format!("{name}: versions are in the root's [workspace.dependencies]"));
            }
            let allowed = INNER.iter().find(|(home, _)| *home == package);
            if inner.iter().any(|known| known == name)
                && allowed.is_some_and(|(_, allowed)| !allowed.contains(&name))
            {
                find(
                    "direction",
                    format!("{package} must not know {name}: design.md says which way dependencies point"),
                );
            }
            if let Some((_, homes, why)) =
                FENCED.iter().find(|(fenced, homes, _)| *fenced == name && !homes.contains(&package))
            {
                find("fence", format!("{name} belongs in {}: {why}", homes.join(", ")));
            }
        }
    }
    findings.extend(described(tree));
    findings
}

/// Dependencies of a root manifest that lack a sentence; an add-on right below its base shares the base's.
fn sentences(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut inside = false;
    let mut explained = false;
    let mut base = String::new();
    for (index, line) in text.lines().enumerate() {
        if line.starts_with('[') {
            inside = matches!(line.trim(), "[workspace.dependencies]" | "[dependencies]");
        }
        if let Some(comment) = line.strip_prefix("# ") {
            explained = comment.trim_end().ends_with('.');
            continue;
        }
        let name = line.split_once('=').map(|(name, _)| name.trim());
        if let Some(name) = name.filter(|_| inside) {
            let ours = line.contains("path =") && !line.contains("version");
            let shares = !base.is_empty() && name.starts_with(&base);
            if !(explained || shares || ours) {
                let fix = format!(
                    "{name}: say above it in a sentence what it is for and why it is not our own code"
                );
                findings.push(Finding::new(path, index + 1, "dependency", fix));
            }
            if !shares {
                name.clone_into(&mut base);
            }
        }
        explained = false;
    }
    findings
}

/// Members without a README and without crate documentation.
fn described(tree: &Tree) -> Vec<Finding> {
    let Some(root) = tree.text("Cargo.toml").and_then(|text| text.parse::<Table>().ok()) else {
        return Vec::new();
    };
    let members = root.get("workspace").and_then(|workspace| workspace.get("members")?.as_array());
    let names = members.into_iter().flatten().filter_map(toml::Value::as_str);
    names
        .filter(|member| !is_described(member, tree))
        .map(|member| {
            Finding::new(&format!("{member}/Cargo.toml"), 0, "crate", "describe it in a README or crate docs")
        })
        .collect()
}

fn is_described(member: &str, tree: &Tree) -> bool {
    let manifest = tree.text(&format!("{member}/Cargo.toml")).and_then(|text| text.parse::<Table>().ok());
    let library = manifest.and_then(|manifest| Some(manifest.get("lib")?.get("path")?.as_str()?.to_owned()));
    let roots = [library.as_deref().unwrap_or("src/lib.rs"), "src/main.rs"];
    let documented = |file: &str| {
        let text = tree.text(&format!("{member}/{file}"));
        text.is_some_and(|text| text.lines().any(|line| line.starts_with("//! ")))
    };
    tree.holds(&format!("{member}/README.md")) || roots.into_iter().any(documented)
}

fn inner_names(tree: &Tree) -> Vec<String> {
    let manifests = tree
        .0
        .iter()
        .filter(|(path, _)| is_manifest(path))
        .filter_map(|(_, text)| text.parse::<Table>().ok());
    manifests
        .filter_map(|manifest| Some(manifest.get("package")?.get("name")?.as_str()?.to_owned()))
        .collect()
}

fn dependencies<'m>(manifest: &'m Table, sections: &[&str]) -> Vec<(&'m str, &'m toml::Value)> {
    let tables = sections.iter().filter_map(|section| manifest.get(*section)?.as_table());
    tables.flatten().map(|(name, value)| (name.as_str(), value)).collect()
}

fn is_manifest(path: &str) -> bool {
    path == "Cargo.toml" || path.ends_with("/Cargo.toml")
}

fn line_of(text: &str, name: &str) -> usize {
    text.lines().position(|line| line.starts_with(name)).map_or(0, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(files: &[(&str, &str)]) -> Vec<(String, usize, &'static str)> {
        let findings = check(&Tree::of(files));
        findings.into_iter().map(|finding| (finding.path, finding.line, finding.rule)).collect()
    }

    #[test]
    fn a_dependency_without_a_sentence_is_found() {
        let text = "[workspace.dependencies]\n# Says why.\na = \"1\"\na-more = \"1\"\nb = \"1\"\n# No full stop\nc = \"1\"\n";
        let expected =
            [("Cargo.toml".to_owned(), 5, "dependency"), ("Cargo.toml".to_owned(), 7, "dependency")];
        assert_eq!(rules(&[("Cargo.toml", text)]), expected);
    }

    #[test]
    fn crates_of_the_repository_need_no_sentence() {
        assert!(
            rules(&[("Cargo.toml", "[workspace.dependencies]\ncarom = { path = \"appliance\" }\n")])
                .is_empty()
        );
    }

    #[test]
    fn a_member_takes_its_versions_from_the_root() {
        let own = "[package]\nname = \"a\"\n[dependencies]\nb = \"1\"\nc = { version = \"1\" }\nd.workspace = true\n";
        assert_eq!(
            rules(&[("a/Cargo.toml", own)]),
            [("a/Cargo.toml".to_owned(), 4, "version"), ("a/Cargo.toml".to_owned(), 5, "version")]
        );
    }

    #[test]
    fn dependencies_point_one_way() {
        let format = "[package]\nname = \"snapshot-format\"\n[dependencies]\nvitals.workspace = true\n";
        let vitals = "[package]\nname = \"vitals\"\n";
        let files = [("appliance/vitals/Cargo.toml", vitals), ("snapshot-tool/format/Cargo.toml", format)];
        assert_eq!(rules(&files), [("snapshot-tool/format/Cargo.toml".to_owned(), 4, "direction")]);
    }

    #[test]
    fn a_fenced_crate_stays_at_home() {
        let uses = "[package]\nname = \"x\"\n[dependencies]\nglommio.workspace = true\n";
        assert!(rules(&[("appliance/Cargo.toml", uses)]).is_empty());
        assert_eq!(rules(&[("bgp/Cargo.toml", uses)]), [("bgp/Cargo.toml".to_owned(), 4, "fence")]);
    }

    #[test]
    fn a_member_describes_itself() {
        let root = ("Cargo.toml", "[workspace]\nmembers = [\"a\", \"b\", \"c\", \"d\"]\n");
        let files = [
            root,
            ("a/README.md", ""),
            ("b/src/lib.rs", "#![no_std]\n//! B.\n"),
            ("c/src/lib.rs", "fn c() {}\n"),
            ("d/Cargo.toml", "[package]\nname = \"d\"\n[lib]\npath = \"elsewhere.rs\"\n"),
            ("d/elsewhere.rs", "//! D.\n"),
        ];
        assert_eq!(rules(&files), [("c/Cargo.toml".to_owned(), 0, "crate")]);
    }
}
