//! `build` as people and scripts run it.

mod support;

use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};
use support::{Bench, csv, repository, said};

const URL: &str = "https://a.example/";

#[test]
fn the_example_loses_exactly_its_ftp_and_gopher_rows() {
    let bench = Bench::new();
    let example = repository().join("examples/debian-homepages.csv");
    let domains = repository().join("examples/domains.toml");
    let (example, domains) = (example.display(), domains.display());
    let build =
        format!("build --json --domains {domains} {example} --reject-file refused.csv --output a.snapshot");
    let summary = bench.run(&build).exits(3).complains("refused … and 2 more rows").json();
    assert_eq!(summary["rows"], 58_366);
    assert_eq!(summary["links"], 58_344);
    assert_eq!(summary["domains"], 3);
    assert_eq!(summary["refused"], json!({ "total": 22, "by_reason": { "destination_scheme": 22 } }));
    let refused = String::from_utf8(bench.read("refused.csv")).unwrap();
    let of_scheme = |scheme: &str| refused.matches(&format!(",{scheme}://")).count() / 2;
    assert_eq!((refused.lines().count(), of_scheme("ftp"), of_scheme("gopher")), (23, 20, 2));

    let all = bench.run(&format!("build --json --allow-scheme ftp,gopher {example} --output b.snapshot"));
    assert_eq!(all.exits(0).json()["links"], 58_366);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let bench = Bench::new();
    bench.write("a.csv", csv(&format!("b.example,x,{URL}\na.example,y,{URL}é\n*.a.example,x,{URL}\n")));
    bench.run("build --output one.snapshot a.csv").exits(0);
    bench.run("build --output two.snapshot a.csv").exits(0);
    assert_eq!(bench.read("one.snapshot"), bench.read("two.snapshot"));
}

#[test]
fn notation_and_source_of_rows_do_not_change_the_content() {
    let bench = Bench::new();
    let rows = format!("go.example,Ab,{URL}\nb\u{fc}cher.example,\"x,\"\"y\",{URL}?q\n");
    let checksum = |arguments: &str, input: &str| {
        let said = bench.run_with_input(&format!("build --json --force --allow-change {arguments}"), input);
        said.exits(0).json()["content_checksum"].clone()
    };
    let of_pipe = checksum("--output pipe.snapshot -", &csv(&rows));
    bench.write("crlf.csv", format!("\u{feff}{}", csv(&rows).replace('\n', "\r\n")));
    let json_rows = [
        json!({ "domain": "GO.example.", "code": "Ab", "destination": URL, "status": null }),
        json!({ "code": "x,%22y", "domain": "xn--bcher-kva.example", "destination": format!("{URL}?q") }),
    ];
    bench.write("rows.jsonl", json_rows.map(|row| format!("{row}\n")).concat());
    let (first, second) = rows.split_once('\n').unwrap();
    bench.write("first.csv", csv(first));
    bench.write("second.csv", csv(second));
    for arguments in ["crlf.csv", "rows.jsonl", "first.csv second.csv", "--format csv first.csv second.csv"] {
        assert_eq!(checksum(&format!("--output other.snapshot {arguments}"), ""), of_pipe, "{arguments}");
    }
}

#[test]
fn rows_that_say_the_same_are_one_link() {
    let bench = Bench::new();
    let once = bench.build("a.snapshot", &format!("go.example,a,{URL}\ngo.example,b,{URL}\n"));
    let twice = bench.build(
        "b.snapshot",
        &format!("go.example,a,{URL}\nGO.example,%61,{URL}\ngo.example,b,{URL}\ngo.example,a/,{URL}\n"),
    );
    assert_eq!((&twice["links"], &twice["repeated"]), (&json!(2), &json!(2)));
    assert_eq!(once["content_checksum"], twice["content_checksum"]);
}

#[test]
fn rows_that_contradict_each_other_stop_the_build_and_are_all_named() {
    let bench = Bench::new();
    bench.write("a.csv", csv(&format!("go.example,a,{URL}\ngo.example,\"b\",\"{URL}\"\n")));
    bench.write("domains.toml", "version = 1\n[defaults]\ncase = \"insensitive\"\n");
    bench.write(
        "b.jsonl",
        format!(
            "\n{{\"domain\":\"go.example\",\"code\":\"A\",\"destination\":\"{URL}2\"}}\n\
                 {{\"domain\":\"go.example\",\"code\":\"b\",\"destination\":\"{URL}\",\"status\":301}}\n"
        ),
    );
    let said =
        bench.run("build --json --domains domains.toml --output links.snapshot a.csv b.jsonl").exits(1);
    let said = said.complains("conflict go.example/a: b.jsonl:2 says something else than a.csv:2");
    let said = said.complains("conflict go.example/b: b.jsonl:3 says something else than a.csv:3");
    assert_eq!((&said.json()["conflicts"], &said.json()["outcome"]), (&json!(2), &json!("conflicts")));
    assert_eq!(bench.files(), ["a.csv", "b.jsonl", "domains.toml"]);
}

#[test]
fn refused_rows_are_named_by_file_line_and_reason_and_can_be_mended() {
    let bench = Bench::new();
    bench.write(
        "a.csv",
        b"code,title,domain,destination\n\
          a,\"two\nlines\",go.example,https://a.example/\n\
          b,x,go.example,/relative\n\
          c,\xff,go.example,https://a.example/\n\
          d,x,go.example\n\
          e,\"x,go.example,https://a.example/\n\
          f,x,go.example,https://a.example/\n",
    );
    let said =
        bench.run("build --ignore-column title --reject-file r.csv --output x.snapshot a.csv").exits(3);
    let said = said.complains("refused a.csv:4: destination \"/relative\": begins with no scheme");
    let said = said.complains("refused a.csv:5: byte 3 of the row is not UTF-8 [invalid_utf8]");
    let said = said.complains("refused a.csv:6: 3 values, and the header names 4 columns [malformed_row]");
    let said = said.complains("refused a.csv:7: a quote is never closed");
    assert!(
        said.stdout.contains("refused     4: 1 invalid_utf8, 2 malformed_row, 1 destination_not_absolute")
    );
    let rejects = bench.read("r.csv");
    assert!(rejects.windows(7).any(|bytes| bytes == b"c,\xff,go."), "the row is kept as it was");

    let mended = String::from_utf8_lossy(&rejects).replacen("/relative", URL, 1);
    let kept: Vec<&str> = mended.lines().take(2).collect();
    bench.write("mended.csv", kept.join("\n"));
    let ignored = "--ignore-column title,file,line,reason,explanation,row";
    let said =
        bench.run(&format!("build --json {ignored} --allow-change --output x.snapshot a.csv mended.csv"));
    assert_eq!(said.exits(3).json()["links"], 3);
    assert_eq!(bench.files(), ["a.csv", "mended.csv", "r.csv", "x.snapshot"]);
}

#[test]
fn a_reject_file_is_there_also_when_nothing_was_refused() {
    let bench = Bench::new();
    bench.write("a.csv", csv(&format!("go.example,a,{URL}\n")));
    bench.write("r.csv", "rows of yesterday");
    bench.run("build --reject-file r.csv --output x.snapshot a.csv").exits(0);
    assert_eq!(String::from_utf8(bench.read("r.csv")).unwrap().lines().count(), 1);
}

#[test]
fn only_the_first_twenty_refused_rows_are_printed() {
    let bench = Bench::new();
    bench.write("a.csv", csv(&format!("go.example,a,{URL}\n{}", "go.example,b,x\n".repeat(50))));
    let said =
        bench.run("build --output x.snapshot a.csv").exits(3).complains("and 30 more rows (--reject-file");
    assert_eq!(said.stderr.matches("refused a.csv:").count(), 20);
}

#[test]
fn equal_content_leaves_the_output_alone() {
    let bench = Bench::new();
    bench.write("a.csv", csv(&format!("go.example,a,{URL}\ngo.example,b,{URL}\n")));
    let build =
        |arguments: &str| bench.run(&format!("build --json --output x.snapshot {arguments}")).exits(0).json();
    assert_eq!((&build("a.csv")["outcome"], &build("a.csv")["generation"]), (&json!("published"), &json!(1)));
    let before = bench.read("x.snapshot");
    bench.write("twice.csv", csv(&format!("go.example,a,{URL}\ngo.example,a,{URL}\ngo.example,b,{URL}\n")));
    assert_eq!(build("twice.csv")["outcome"], "unchanged");
    assert_eq!(bench.read("x.snapshot"), before);
    let forced = build("--force a.csv");
    assert_eq!((&forced["outcome"], &forced["generation"]), (&json!("published"), &json!(2)));
    bench.write("a.csv", csv(&format!("go.example,a,{URL}2\ngo.example,b,{URL}\n")));
    let changed = build("a.csv");
    assert_eq!((&changed["outcome"], &changed["generation"]), (&json!("published"), &json!(3)));
}

#[test]
fn a_generation_counts_on_from_the_newest_known_and_never_goes_back() {
    let bench = Bench::new();
    bench.write("a.csv", csv(&format!("go.example,a,{URL}\n")));
    bench.run("build --generation 7 --output old.snapshot a.csv").exits(0);
    let summary = bench.run("build --json --previous old.snapshot --output x.snapshot a.csv").exits(0).json();
    assert_eq!(summary["generation"], 8);
    bench.write("b.csv", csv(&format!("go.example,a,{URL}2\n")));
    bench
        .run("build --generation 8 --output x.snapshot b.csv")
        .exits(1)
        .complains("generation 8 is not newer");
    bench.run("build --generation 8 --force --output x.snapshot b.csv").exits(0);
}

#[test]
fn a_number_of_links_that_jumps_needs_a_flag() {
    let bench = Bench::new();
    let rows =
        |count: u32| csv(&(0..count).map(|code| format!("go.example,{code},{URL}\n")).collect::<String>());
    bench.write("100.csv", rows(100));
    bench.write("80.csv", rows(80));
    bench.write("79.csv", rows(79));
    bench.run("build --output x.snapshot 100.csv").exits(0);
    let before = bench.read("x.snapshot");
    let said = bench.run("build --json --output x.snapshot 79.csv").exits(4);
    let said = said.complains("79 links instead of 100 (-21.0 %), and at most 20 % are allowed");
    assert!(said.stderr.contains("--allow-change"));
    assert_eq!((&said.json()["outcome"], &said.json()["links"]), (&json!("change_refused"), &json!(79)));
    assert_eq!(bench.read("x.snapshot"), before);
    bench.run("build --change-max-percent 21 --output 21.snapshot --previous x.snapshot 79.csv").exits(0);
    bench.run("build --output x.snapshot 80.csv").exits(0);
    bench.run("build --output x.snapshot 100.csv").exits(4);
    bench.run("build --allow-change --output x.snapshot 100.csv").exits(0);
}

#[test]
fn how_old_the_truth_is_comes_from_the_inputs() {
    let bench = Bench::new();
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    for (name, seconds) in [("a.csv", 1_000_000_000), ("b.csv", 1_000_000_060)] {
        let path = bench.write(name, csv(&format!("go.example,{name},{URL}\n")));
        File::options().write(true).open(path).unwrap().set_modified(at(seconds)).unwrap();
    }
    let built_at = |arguments: &str, epoch: Option<&str>| {
        let mut command =
            bench.command(&format!("build --json --force --output x.snapshot {arguments} a.csv b.csv"));
        command.envs(epoch.map(|epoch| ("SOURCE_DATE_EPOCH", epoch)));
        said(&mut command).exits(0).json()["built_at"].clone()
    };
    assert_eq!(built_at("", None), "2001-09-09T01:47:40Z");
    assert_eq!(built_at("", Some("60")), "1970-01-01T00:01:00Z");
    assert_eq!(built_at("--built-at 120", Some("60")), "1970-01-01T00:02:00Z");
    let mut wrong = bench.command("build --output x.snapshot a.csv");
    said(wrong.env("SOURCE_DATE_EPOCH", "soon")).exits(1).complains("SOURCE_DATE_EPOCH is \"soon\"");
}

#[test]
fn what_cannot_be_read_at_all_publishes_nothing() {
    let bench = Bench::new();
    bench.write("good.csv", csv(&format!("go.example,a,{URL}\n")));
    bench.write("column.csv", "domain,code,destinaton\n");
    bench.write("bad.csv", csv("go.example,a,x\n"));
    bench.write("file.snapshot", "no snapshot");
    bench.write("domains.toml", "version = 1\n\n[domains.\"go.example\"]\nstaus = 301\n");
    let check = |arguments: &str, code: i32, expected: &str| {
        bench.run(&format!("build {arguments}")).exits(code).complains(expected);
    };
    check("--output x.snapshot", 2, "<INPUT>");
    check("--output x.snapshot --change-max-percent -1 good.csv", 2, "");
    check("--output x.snapshot - -", 1, "standard input (-) can be read once only");
    check("--output x.snapshot good.csv missing.csv", 1, "error: missing.csv: No such file");
    check(
        "--output x.snapshot good.csv column.csv",
        1,
        "column.csv: unknown column 'destinaton', did you mean 'dest",
    );
    check("--output x.snapshot bad.csv", 1, "every row was refused");
    check("--output no/x.snapshot good.csv", 1, "no is no directory; create it first");
    check("--output . good.csv", 1, ". is a directory");
    check("--output file.snapshot good.csv", 1, "pass --allow-change and --generation N");
    check("--output x.snapshot --previous missing.snapshot good.csv", 1, "there is no such file");
    check(
        "--output x.snapshot --domains domains.toml good.csv",
        1,
        "domains.toml, line 4: unknown key 'staus', did",
    );
    check("--output x.snapshot --allow-scheme a/b good.csv", 1, "that is no scheme");
    check("--output x.snapshot --temp-dir missing good.csv", 1, "--temp-dir missing");
    check("--output x.snapshot --reject-file x.snapshot good.csv", 1, "name the same file");
    check("--output x.snapshot --reject-file ./good.csv good.csv", 1, "is an input, and would be replaced");
    check("--output x.snapshot --reject-file /dev/null good.csv", 1, "/dev/null is no regular file");
    assert_eq!(bench.files(), ["bad.csv", "column.csv", "domains.toml", "file.snapshot", "good.csv"]);
    check("--output file.snapshot --allow-change --generation 1 good.csv", 0, "");
}

#[test]
fn only_listed_domains_may_be_wanted() {
    let bench = Bench::new();
    bench.write("a.csv", csv(&format!("go.example,a,{URL}\nother.example,a,{URL}\n")));
    bench.write("domains.toml", "version = 1\n[domains.\"go.example\"]\n");
    let build = "build --json --domains domains.toml --output";
    assert_eq!(bench.run(&format!("{build} x.snapshot a.csv")).exits(0).json()["domains"], 2);
    let said = bench.run(&format!("{build} y.snapshot --listed-domains-only a.csv")).exits(3);
    let summary =
        said.complains("refused a.csv:3: domain \"other.example\": domain other.example is not in").json();
    assert_eq!((&summary["domains"], &summary["links"]), (&json!(1), &json!(1)));
}

#[test]
fn an_interrupted_build_leaves_nothing_behind() {
    let bench = Bench::new();
    let mut command = bench.command("build --output x.snapshot --reject-file r.csv -");
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(csv("").as_bytes()).unwrap();
    eventually(|| bench.files().len() == 2);
    let kill = |signal: &str| {
        let sent =
            std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    };
    kill("-TERM");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(128 + 15));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr).trim_end(),
        "interrupted: unfinished files were removed"
    );
    assert_eq!(bench.files(), Vec::<String>::new());
    drop(input);
}

#[test]
fn generated_rows_build_and_do_not_repeat() {
    let bench = Bench::new();
    let generated = bench.run("generate --links 5000 --seed 9 --domains 7").exits(0);
    let again = bench.run("generate --links 5000 --seed 9 --domains 7").exits(0);
    assert_eq!(generated.stdout, again.stdout);
    let summary: Value =
        bench.run_with_input("build --json --output x.snapshot -", &generated.stdout).exits(0).json();
    assert_eq!(
        (&summary["links"], &summary["domains"], &summary["repeated"]),
        (&json!(5000), &json!(7), &json!(0))
    );
    assert!(!bench.run("--help").exits(0).stdout.contains("generate"), "it is for benchmarks only");
}

#[test]
fn the_umask_decides_who_may_read_a_snapshot() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    bench.build("x.snapshot", &format!("go.example,a,{URL}\n"));
    let plain = bench.write("plain", "");
    let mode = |path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(bench.path("x.snapshot")), mode(plain));
}

fn eventually(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "what was awaited did not happen within 30 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn of_two_builds_at_once_the_later_one_publishes_nothing() {
    let bench = Bench::new();
    let mut slow = bench.command("build --format csv --output a.snapshot -");
    let slow = slow.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut slow = slow.spawn().unwrap();
    // It has looked at the output once it writes beside it.
    let began = Instant::now();
    while !bench.files().iter().any(|name| name.ends_with(".partial")) {
        assert!(began.elapsed() < Duration::from_secs(30), "it never began");
        std::thread::yield_now();
    }
    bench.build("a.snapshot", &format!("a.example,fast,{URL}\n"));
    let published = bench.read("a.snapshot");
    slow.stdin.take().unwrap().write_all(csv(&format!("a.example,slow,{URL}\n")).as_bytes()).unwrap();
    let ended = slow.wait_with_output().unwrap();
    let complaint = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("a.snapshot was replaced while this was built"), "{complaint}");
    assert_eq!(bench.read("a.snapshot"), published);
}

#[test]
fn every_snapshot_holds_canaries_that_are_no_links_of_anybody() {
    let bench = Bench::new();
    let summary = bench.build("a.snapshot", &format!("go.example,a,{URL}\ngo.example,a,{URL}\n"));
    assert_eq!((&summary["links"], &summary["domains"]), (&json!(1), &json!(1)));
    let inspected = bench.run("inspect --json a.snapshot").exits(0).json();
    assert_eq!(
        [&inspected["links"], &inspected["domain_count"], &inspected["canaries"]],
        [&json!(1), &json!(1), &json!(4)]
    );
    let verified = bench.run("verify --json a.snapshot").exits(0).json();
    assert_eq!((&verified["links"], &verified["canaries"]), (&json!(1), &json!(4)));
    let exported = bench.run("export --domains domains.toml a.snapshot").exits(0).stdout;
    assert_eq!(exported.lines().count(), 2, "{exported}");
    assert!(!String::from_utf8(bench.read("domains.toml")).unwrap().contains("invalid"));
    let found = bench.run("lookup --json a.snapshot https://canary.carom.invalid/ok").exits(0).json();
    assert_eq!(found["destination"], "https://canary.carom.invalid/at/1");

    // The same links in a later generation: the canaries do not make them another content.
    bench.run("build --json --output a.snapshot rows.csv").exits(0);
    assert_eq!(bench.run("inspect --json a.snapshot").json()["generation"], 1);
    bench.build("b.snapshot", &format!("go.example,b,{URL}\n"));
    let differences = bench.run("diff --json a.snapshot b.snapshot").exits(1).stdout;
    assert!(!differences.contains("canary"), "{differences}");
}

#[test]
fn rows_and_domain_files_that_use_the_reserved_name_are_refused() {
    let bench = Bench::new();
    bench.write(
        "rows.csv",
        csv(&format!("canary.carom.invalid,ok,{URL}\n*.Carom.Invalid,a,{URL}\nother.invalid,a,{URL}\n")),
    );
    let summary = bench.run("build --json --output a.snapshot rows.csv").exits(3).json();
    assert_eq!(summary["links"], 1);
    assert_eq!(summary["refused"], json!({ "total": 2, "by_reason": { "domain_reserved": 2 } }));
    bench.write("domains.toml", "version = 1\n[domains.\"canary.carom.invalid\"]\nstatus = 301\n");
    bench
        .run("build --domains domains.toml --output b.snapshot rows.csv")
        .exits(1)
        .complains("domains.toml, line 2")
        .complains("use another domain");
}

#[test]
fn codes_that_nodes_answer_by_themselves_are_warned_of() {
    let bench = Bench::new();
    let rows = [".well-known/acme-challenge/x", "favicon.ico", "robots.txt", "robots"]
        .map(|code| format!("go.example,{code},{URL}\n"));
    bench.write("rows.csv", csv(&rows.concat()));
    bench.write("domains.toml", "version = 1\n[defaults]\nrobots_txt = \"User-agent: *\"\n");
    let build = "build --force --domains domains.toml --output a.snapshot rows.csv";
    let said = bench.run(build).exits(0).stdout;
    let warning = "warning     3 codes where nodes answer by themselves:\n            \
                   go.example/.well-known/acme-challenge/x (line 2): never answers\n            \
                   go.example/favicon.ico (line 3): answers while there is no such document\n            \
                   go.example/robots.txt (line 4): never answers\n";
    assert!(said.contains(warning), "{said}");
    let summary = bench.run(&format!("{build} --json")).exits(0).json();
    assert_eq!(summary["reserved_codes"]["total"], 3);
}

#[test]
fn what_a_domain_says_besides_its_links_is_in_the_snapshot() {
    let bench = Bench::new();
    bench.write("rows.csv", csv(&format!("go.example,a,{URL}\n")));
    let domains = "version = 1\n[domains.\"go.example\"]\nhttps = \"upgrade\"\n\
                   hsts = \"max-age=300; includeSubDomains\"\nfavicon_ico = \"AAABAAEA\"\n";
    bench.write("domains.toml", domains);
    bench.run("build --domains domains.toml --output a.snapshot rows.csv").exits(0);
    let settings = bench.run("inspect --json a.snapshot").exits(0).json()["domains"][0]["settings"].clone();
    assert_eq!(
        (&settings["https"], &settings["hsts"]),
        (&json!("upgrade"), &json!("max-age=300; includeSubDomains"))
    );
    let favicon = settings["favicon_ico"].as_str().unwrap();
    assert!(favicon.starts_with("6 bytes, "), "{favicon}");
}
