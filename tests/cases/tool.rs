//! The builder, as operators run it: what it refuses, what it repeats to the byte, and what it never leaves behind.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::links::csv;
use lab::process::{Finished, Process};
use lab::tool::tool;
use lab::{Domains, Row, SOON, Site, binaries, eventually, here, mount};
use rustix::process::Signal;

use crate::fixture::GO;

/// Runs `build` with these arguments, in JSON.
fn build(output: &Path, arguments: &[&str], inputs: &[&Path]) -> (Finished, serde_json::Value) {
    let mut all: Vec<OsString> = vec!["build".into(), "--json".into(), "--output".into(), output.into()];
    all.extend(arguments.iter().map(OsString::from));
    all.extend(inputs.iter().map(OsString::from));
    let finished = tool(all);
    let summary = serde_json::from_str(&finished.output).unwrap_or_default();
    (finished, summary)
}

fn example() -> PathBuf {
    binaries::repository().join("examples/debian-homepages.csv")
}

/// Names of everything in a directory.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn the_example_builds_with_exactly_its_twenty_two_bad_rows_refused_by_file_and_line() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("links.snapshot");
    let rejects = directory.path().join("rejects.csv");
    let (finished, summary) = build(&output, &["--reject-file", rejects.to_str().unwrap()], &[&example()]);
    assert_eq!(finished.code, Some(3), "{finished:?}");
    assert_eq!(summary["rows"], 58_366, "{summary}");
    assert_eq!(summary["refused"]["total"], 22, "{summary}");
    assert_eq!(summary["refused"]["by_reason"]["destination_scheme"], 22, "{summary}");
    assert_eq!(summary["links"], 58_344, "{summary}");
    let rejects = fs::read_to_string(rejects).unwrap();
    assert_eq!(rejects.lines().count(), 23, "{rejects}");
    assert!(rejects.contains("ftp:"));
    let example = fs::read_to_string(example()).unwrap();
    let first =
        example.lines().position(|line| line.contains(",ftp://") || line.contains(",gopher://")).unwrap() + 1;
    assert!(finished.errors.contains(&format!("debian-homepages.csv:{first}:")), "{}", finished.errors);

    let (finished, summary) = build(
        &output,
        &["--force", "--allow-scheme", "ftp", "--allow-scheme", "gopher"],
        &[&self::example()],
    );
    assert_eq!((finished.code, &summary["links"]), (Some(0), &58_366.into()), "{finished:?}");
}

#[test]
fn a_node_serves_every_link_of_the_example_exactly() {
    let site = Site::new();
    let (finished, _) = build(&site.snapshot(), &[], &[&example()]);
    assert_eq!(finished.code, Some(3), "{finished:?}");
    let text = fs::read_to_string(example()).unwrap();
    let links: Vec<(String, String)> = text
        .lines()
        .skip(1)
        .map(|line| line.splitn(3, ',').collect::<Vec<_>>())
        .filter(|row| row[2].starts_with("http"))
        .map(|row| (format!("/{}", row[1]), row[2].trim_matches('"').to_owned()))
        .collect();
    assert_eq!(links.len(), 58_344);
    let node = site.start();
    let oracle = std::sync::Arc::new(lab::load::Steady { host: GO.into(), links });
    let plan =
        lab::load::Plan { clients: 1, requests_max: 58_344, ..lab::load::Plan::steady(node.addresses()) };
    lab::load::Load::start(&plan, &oracle).finish().assert_flawless();
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let outputs = ["a", "b"].map(|name| directory.path().join(name));
    for output in &outputs {
        assert_eq!(build(output, &[], &[&example()]).0.code, Some(3));
    }
    assert!(fs::read(&outputs[0]).unwrap() == fs::read(&outputs[1]).unwrap(), "two builds differ");
}

#[test]
fn a_conflict_publishes_nothing_and_names_both_places() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("links.csv");
    let output = directory.path().join("links.snapshot");
    let rows = [
        Row::new(GO, "a", "https://one.test/"),
        Row::new(GO, "b", "https://b.test/"),
        Row::new(GO, "a", "https://two.test/"),
    ];
    fs::write(&input, csv(&rows)).unwrap();
    let (finished, _) = build(&output, &[], &[&input]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.errors.contains("links.csv:2") && finished.errors.contains(":4"), "{}", finished.errors);
    assert_eq!(names(directory.path()), ["links.csv"]);
    // Equal rows are one link.
    fs::write(&input, csv(&[rows[0].clone(), rows[1].clone(), rows[0].clone()])).unwrap();
    let (finished, summary) = build(&output, &[], &[&input]);
    assert_eq!((finished.code, &summary["links"], &summary["repeated"]), (Some(0), &2.into(), &1.into()));
}

#[test]
fn a_shrinking_export_is_stopped_by_the_change_gate_and_the_old_file_stays() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("links.csv");
    let output = directory.path().join("links.snapshot");
    let rows: Vec<Row> = (0..100).map(|code| Row::new(GO, &code.to_string(), "https://a.test/")).collect();
    fs::write(&input, csv(&rows)).unwrap();
    assert_eq!(build(&output, &[], &[&input]).0.code, Some(0));
    let before = fs::read(&output).unwrap();
    fs::write(&input, csv(&rows[..50])).unwrap();
    let (finished, _) = build(&output, &[], &[&input]);
    assert_eq!(finished.code, Some(4), "{finished:?}");
    assert!(fs::read(&output).unwrap() == before, "the old file was touched");
    let (finished, summary) = build(&output, &["--allow-change"], &[&input]);
    assert_eq!((finished.code, &summary["generation"]), (Some(0), &2.into()), "{finished:?}");
    assert_eq!(names(directory.path()), ["links.csv", "links.snapshot"]);
}

/// A CSV file of so many links.
fn many(path: &Path, links: usize) {
    let rows: Vec<Row> = (0..links)
        .map(|code| Row::new(GO, &format!("code-{code}"), &format!("https://a.test/{code}")))
        .collect();
    fs::write(path, csv(&rows)).unwrap();
}

#[test]
fn a_build_that_is_killed_leaves_no_file_under_the_final_name() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("links.csv");
    many(&input, 300_000);
    let output_directory = directory.path().join("out");
    fs::create_dir(&output_directory).unwrap();
    let output = output_directory.join("links.snapshot");
    let start = || {
        let mut command = Command::new(binaries::snapshot_tool());
        command.arg("build").arg("--output").arg(&output).arg(&input);
        Process::start(&mut command, "snapshot-tool", directory.path())
    };
    // Killed when the draft has reached some size, from nothing to nearly everything.
    let mut killed = 0;
    for bytes in [0, 1, 1 << 20, 8 << 20, 16 << 20, 24 << 20] {
        let mut process = start();
        eventually(SOON, "the draft has its size", || {
            let draft_bytes = fs::read_dir(&output_directory)
                .unwrap()
                .filter_map(|entry| entry.ok()?.metadata().ok())
                .map(|metadata| metadata.len())
                .max();
            process.ended().is_some() || draft_bytes.is_some_and(|draft_bytes| draft_bytes >= bytes)
        });
        if process.ended().is_none() {
            process.signal(Signal::KILL);
        }
        if !process.end(SOON).success() {
            killed += 1;
            assert!(!output.exists(), "killed at {bytes} bytes, and yet there is a file");
        }
        for name in names(&output_directory) {
            fs::remove_file(output_directory.join(name)).unwrap();
        }
    }
    assert!(killed >= 2, "only {killed} builds were killed before they ended");
    // A polite signal also leaves no draft.
    let mut process = start();
    eventually(SOON, "there is a draft", || !names(&output_directory).is_empty());
    process.signal(Signal::TERM);
    if !process.end(SOON).success() {
        assert_eq!(names(&output_directory), [""; 0]);
    }
}

#[test]
fn a_full_disk_publishes_nothing_and_keeps_the_old_file() {
    if !here::is_root() {
        here::not_run("a full disk: needs root to mount a small file system");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let Some(mount) = mount::small(&disk, 2_048) else {
        here::not_run("a full disk: this machine does not let the tests mount a tmpfs");
        return;
    };
    let output = disk.join("links.snapshot");
    let (small, large) = (directory.path().join("small.csv"), directory.path().join("large.csv"));
    many(&small, 1_000);
    many(&large, 100_000);
    assert_eq!(build(&output, &[], &[&small]).0.code, Some(0));
    let before = fs::read(&output).unwrap();
    let (finished, _) = build(&output, &["--allow-change"], &[&large]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.errors.to_lowercase().contains("no space"), "{}", finished.errors);
    assert!(fs::read(&output).unwrap() == before, "the old file was touched");
    assert_eq!(names(&disk), ["links.snapshot"]);
    drop(mount);
}

#[test]
fn json_lines_and_standard_input_build_the_same_links_as_csv() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let rows = [Row::new(GO, "a", "https://a.test/").status(301), Row::new(GO, "b", "https://b.test/?c=d")];
    fs::write(path("links.csv"), csv(&rows)).unwrap();
    let lines = format!(
        "{{\"domain\":\"{GO}\",\"code\":\"a\",\"destination\":\"https://a.test/\",\"status\":301}}\n\
         {{\"domain\":\"{GO}\",\"code\":\"b\",\"destination\":\"https://b.test/?c=d\"}}\n"
    );
    fs::write(path("links.jsonl"), lines).unwrap();
    let (_, of_csv) = build(&path("csv.snapshot"), &[], &[&path("links.csv")]);
    let (_, of_json) = build(&path("json.snapshot"), &[], &[&path("links.jsonl")]);
    let script = format!(
        "{:?} build --json --output {:?} - < {:?}",
        binaries::snapshot_tool(),
        path("stdin.snapshot"),
        path("links.csv")
    );
    let piped = lab::process::run(Path::new("sh"), ["-c", &script]);
    let of_stdin: serde_json::Value =
        serde_json::from_str(&piped.output).unwrap_or_else(|_| panic!("{piped:?}"));
    assert!(of_csv["content_checksum"].is_string(), "{of_csv}");
    assert_eq!(of_csv["content_checksum"], of_json["content_checksum"]);
    assert_eq!(of_csv["content_checksum"], of_stdin["content_checksum"]);
}

#[test]
fn lookup_verify_inspect_diff_and_export_agree_with_what_was_built() {
    let directory = tempfile::tempdir().unwrap();
    let one = [Row::new(GO, "a", "https://a.test/"), Row::new(GO, "b", "https://b.test/")];
    let two = [Row::new(GO, "a", "https://a.test/"), Row::new(GO, "b", "https://changed.test/")];
    let old = lab::tool::build(directory.path(), 1, &Domains::default(), &one);
    let new = lab::tool::build(directory.path(), 2, &Domains::default(), &two);
    let (old, new) = (old.to_str().unwrap(), new.to_str().unwrap());
    assert_eq!(tool(["verify", old]).code, Some(0));
    assert_eq!(tool(["inspect", old, "--json"]).code, Some(0));
    let found = tool(["lookup", old, "https://go.example/a"]);
    assert_eq!(found.code, Some(0), "{found:?}");
    assert!(found.output.contains("https://a.test/"), "{found:?}");
    assert_eq!(tool(["lookup", old, "https://go.example/nothing"]).code, Some(1));
    assert_eq!(tool(["diff", old, old]).code, Some(0));
    let changed = tool(["diff", old, new]);
    assert_eq!(changed.code, Some(1), "{changed:?}");
    assert!(changed.output.contains("https://changed.test/"), "{changed:?}");
    let exported = tool(["export", new]);
    assert_eq!(exported.code, Some(0), "{exported:?}");
    assert!(exported.output.contains("https://changed.test/"), "{exported:?}");

    let bytes = fs::read(new).unwrap();
    let damaged = directory.path().join("damaged.snapshot");
    fs::write(&damaged, &bytes[..bytes.len() - 1]).unwrap();
    let refused = tool(["verify", damaged.to_str().unwrap()]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.errors.contains("damaged.snapshot"), "{refused:?}");
}
