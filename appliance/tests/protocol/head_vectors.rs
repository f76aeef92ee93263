//! The request targets of httparse's own tests, read from where cargo keeps its source.
//!
//! They descend from the WHATWG URL tests: whatever a browser may put into a request line. httparse is MIT OR
//! Apache-2.0, by Sean McArthur and contributors; nothing of it is copied here.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use carom::http::Refusal;
use carom::http::head::{Parsed, parse};
use carom::limits::HttpLimits;

use super::invariants::check_head;
use super::support::small_limits;

/// What one test of httparse says: the input, and the target that it wants to see, if the input is good.
#[derive(Debug)]
struct Vector {
    name: String,
    input: Vec<u8>,
    target: Option<Vec<u8>>,
}

/// The targets that this parser refuses although httparse accepts them: words in none of the four forms of RFC 9112, 3.2,
/// which URLs without an authority (`mailto:x@x.com`, `data:,`) leave behind.
const TARGETS_WITHOUT_A_FORM: [&str; 18] = [
    "%1G",
    "%NBD",
    ",",
    "1234567890",
    ":a@example.net",
    "?x",
    "\\.\\./",
    "blank",
    "d3958f5c-0777-0845-9dcf-2cb28783acaf",
    "example.com/",
    "ietf:rfc:2648",
    "joe@example.org,2001:foo/bar",
    "sd",
    "sd/sd",
    "test",
    "test?test",
    "text/html,test",
    "x@x.com",
];

#[test]
fn the_request_targets_of_httparse_are_read_as_httparse_reads_them() {
    let limits = HttpLimits { head_bytes_max: 4_096, target_bytes_max: 2_048, ..small_limits() };
    let vectors = vectors();
    assert!(vectors.len() >= 260, "found only {} vectors", vectors.len());
    let mut without_a_form = BTreeSet::new();
    for Vector { name, input, target } in &vectors {
        check_head(input, &limits);
        match (parse(input, &limits), target) {
            (Parsed::Whole(head, bytes), Some(target)) => {
                assert_eq!((head.target, bytes), (&target[..], input.len()), "{name}");
            }
            (Parsed::Refused(Refusal::Target), Some(target)) => {
                without_a_form
                    .insert(str::from_utf8(target).expect("targets that httparse accepts are UTF-8"));
            }
            (Parsed::Refused(_), None) => {}
            (parsed, target) => panic!("{name}: {parsed:?} instead of {target:?}"),
        }
    }
    assert_eq!(without_a_form, BTreeSet::from(TARGETS_WITHOUT_A_FORM));
}

fn vectors() -> Vec<Vector> {
    let path = source_of_httparse().join("tests/uri.rs");
    let source = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: the published crate has this file", path.display()));
    // Each test is `req! { name, b"input", [result,] |req| { … assert_eq!(req.path.unwrap(), "target"); … } }`.
    source.split("\nreq! {").skip(1).map(parse_vector).collect()
}

fn source_of_httparse() -> PathBuf {
    // Only for this platform: the sources of other platforms' packages need not be on this machine.
    let version = run(Command::new("rustc").arg("-vV"));
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host");
    let metadata = run(Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--filter-platform",
            host,
            "--manifest-path",
        ])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")));
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("cargo lists packages");
    let package = packages.iter().find(|package| package["name"] == "httparse");
    let manifest =
        package.expect("this crate depends on httparse")["manifest_path"].as_str().expect("a path");
    PathBuf::from(manifest).parent().expect("a manifest lies in a directory").to_owned()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

fn parse_vector(source: &str) -> Vector {
    let (name, rest) = source.trim_start().split_once(',').expect("a name");
    let (input, rest) = read_literal(rest.split_once("b\"").expect("an input").1);
    let target = match rest.split_once("Err(") {
        Some((before, _)) if before.trim() == "," => None,
        _ => {
            let literal = rest.split_once("req.path.unwrap(), \"").expect("an expected target").1;
            Some(read_literal(literal).0)
        }
    };
    Vector { name: name.to_owned(), input, target }
}

/// Reads a Rust string literal up to its closing quote; returns the bytes that it means and the source behind it.
fn read_literal(source: &str) -> (Vec<u8>, &str) {
    let mut bytes = Vec::new();
    let mut characters = source.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return (bytes, &source[place + 1..]),
            '\\' => match characters.next().expect("something is escaped").1 {
                'r' => bytes.push(b'\r'),
                'n' => bytes.push(b'\n'),
                't' => bytes.push(b'\t'),
                '0' => bytes.push(0),
                'x' => {
                    let digits: String = characters.by_ref().take(2).map(|(_, digit)| digit).collect();
                    bytes.push(u8::from_str_radix(&digits, 16).expect("two hexadecimal digits"));
                }
                itself @ ('\\' | '"' | '\'') => bytes.push(itself as u8),
                other => panic!("the escape \\{other} is new here"),
            },
            plain => bytes.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    panic!("a literal has no end: {source}");
}
