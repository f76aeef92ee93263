//! Tests of the configuration: what is taken, and what is refused with which words.

use std::path::Path;

use super::*;

const SMALL: &str = r#"version = 1
[bird]
local_as = 65001
[[service]]
name = "web"
vips = ["192.0.2.1", "2001:db8::1"]
[[service.canary]]
host = "c.example"
path = "/ok"
location = "https://c.example/{generation}"
"#;

fn mistakes(text: &str) -> String {
    parse(Path::new("f.toml"), text, "host").map(|settings| format!("{settings:?}")).unwrap_err().to_string()
}

#[test]
fn a_small_file_gets_its_defaults() {
    let settings = parse(Path::new("f.toml"), SMALL, "host").unwrap();
    assert_eq!(settings.node, "host");
    assert_eq!(settings.bird.local_as, 65001);
    let names: Vec<_> =
        settings.announcements().iter().map(crate::announcement::Announcement::name).collect();
    assert_eq!(names, ["web/v4", "web/v6"]);
    assert_eq!(settings.services[0].ports, [80]);
}

#[test]
fn the_default_file_is_a_valid_configuration() {
    let text = reference::default_file();
    parse(Path::new("default"), &text, "host").unwrap_or_else(|problems| panic!("{problems}\n{text}"));
}

#[test]
fn every_mistake_is_named_with_line_key_and_fix() {
    for (from, to, expected) in [
        ("local_as = 65001", "local_az = 65001", "f.toml:3: bird.local_az: unknown key: [bird] has"),
        ("local_as = 65001", "local_az = 65001", "did you mean local_as?"),
        (
            "local_as = 65001",
            "local_as = 0",
            "f.toml:3: bird.local_as: 0: expected an integer from 1 to 4294967294",
        ),
        ("local_as = 65001", "", "f.toml:2: bird.local_as: missing"),
        ("[bird]", "[brd]", "did you mean [bird]?"),
        ("\"web\"", "\"We b\"", "f.toml:5: service.name: \"We b\""),
        (
            "[\"192.0.2.1\", \"2001:db8::1\"]",
            "[\"192.0.2.1/32\"]",
            "f.toml:6: service.vips: \"192.0.2.1/32\"",
        ),
        ("[\"192.0.2.1\", \"2001:db8::1\"]", "[\"192.0.2.1\", \"192.0.2.1\"]", "every entry once"),
        ("[\"192.0.2.1\", \"2001:db8::1\"]", "[]", "service.vips: 0 entries"),
        ("path = \"/ok\"", "path = \"ok\"", "f.toml:9: service.canary.path"),
        ("path = \"/ok\"", "pth = \"/ok\"", "did you mean path?"),
        ("version = 1", "version = 2", "f.toml:1: version: 2: this program reads version 1"),
        ("version = 1", "", "f.toml: version: missing"),
        ("version = 1", "version = 1\n[judge]\nlatency_window = 3", "judge.latency_bad_min: 6 of 3 samples"),
        ("version = 1", "version = 1\n[damper]\nreuse = 3000", "is not below damper.suppress"),
        ("version = 1", "version = 1\nlocal_as = 4", "write it below [bird]"),
        ("[[service]]", "[service]", "write [[service]] with two pairs of brackets"),
        ("version = 1", "version = = 1", "f.toml:1: \"version = = 1\": not TOML"),
    ] {
        assert!(SMALL.contains(from), "{from}");
        let text = mistakes(&SMALL.replacen(from, to, 1));
        assert!(text.contains(expected), "{expected}\n---\n{text}");
    }
}

#[test]
fn a_service_without_canaries_has_the_one_of_every_snapshot() {
    let text = SMALL.split("[[service.canary]]").next().unwrap();
    let settings = parse(Path::new("f"), text, "h").unwrap();
    assert_eq!(settings.services[0].canaries, [settings::Canary::built_in()]);
}

#[test]
fn two_services_share_neither_name_nor_address() {
    let text = format!("{SMALL}[[service]]\nname = \"web\"\nvips = [\"192.0.2.1\"]\n");
    let text = mistakes(&text);
    assert!(text.contains("every name once") && text.contains("belongs to one service"), "{text}");
}
