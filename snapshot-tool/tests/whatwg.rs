//! Destinations judged by the test cases of the WHATWG URL standard, which nobody here wrote.

use serde_json::Value;
use snapshot_tool::destination::{Schemes, check};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The cases lie beside the source of the crate `url`, wherever cargo put it.
fn cases() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--format-version", "1", "--manifest-path"];
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let output = Command::new(cargo).args(arguments).arg(manifest).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let url = packages.iter().find(|package| package["name"] == "url").unwrap();
    let manifest = PathBuf::from(url["manifest_path"].as_str().unwrap());
    let text = fs::read_to_string(manifest.with_file_name("tests").join("urltestdata.json")).unwrap();
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    all.into_iter().filter(Value::is_object).collect()
}

/// Every scheme that any case has, so that no case is refused for its scheme.
fn all_schemes(cases: &[Value]) -> Schemes {
    let prefixes: BTreeSet<&str> = cases
        .iter()
        .filter_map(|case| case["input"].as_str()?.split_once(':'))
        .map(|(scheme, _)| scheme)
        .filter(|scheme| Schemes::with_added([*scheme]).is_ok())
        .collect();
    Schemes::with_added(prefixes).unwrap()
}

#[test]
fn whatever_a_browser_must_refuse_is_refused() {
    let cases = cases();
    let schemes = all_schemes(&cases);
    let must_fail: Vec<&str> = cases
        .iter()
        .filter(|case| case["failure"] == true)
        .filter_map(|case| case["input"].as_str())
        .collect();
    assert_eq!((cases.len(), must_fail.len()), (819, 272));
    let accepted: Vec<_> = must_fail.iter().filter(|input| check(input, &schemes).is_ok()).collect();
    assert!(accepted.is_empty(), "{accepted:?}");
}

#[test]
fn what_is_accepted_is_kept_or_stored_as_a_browser_writes_it() {
    let cases = cases();
    let schemes = all_schemes(&cases);
    let absolute = cases.iter().filter(|case| case["failure"] != true && case["base"].is_null());
    let (mut kept, mut rewritten, mut refused) = (0, 0, 0);
    for case in absolute {
        let input = case["input"].as_str().unwrap();
        match check(input, &schemes) {
            Ok(Cow::Borrowed(stored)) => {
                assert_eq!(stored, input);
                kept += 1;
            }
            Ok(Cow::Owned(stored)) => {
                assert_eq!(Some(stored.as_str()), case["href"].as_str(), "{input:?}");
                rewritten += 1;
            }
            // Stricter than a browser, which repairs spaces, tabs, backslashes and missing slashes.
            Err(_) => refused += 1,
        }
    }
    assert_eq!((kept, rewritten, refused), (210, 23, 58));
}
