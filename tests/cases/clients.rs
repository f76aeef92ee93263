//! Programs that nobody here wrote, as clients: a browser, a scanner for flaws of TLS, and a tool that is slow on purpose.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use lab::load::{Load, Plan};
use lab::process::{Finished, run};
use lab::{Authority, Row, Site, here, tool};

use crate::fixture::{self, GO};
use crate::upgrade::oracle;

const DAY: Duration = Duration::from_secs(86_400);

/// Runs a program that others wrote, for a bounded time; nothing if it is not there.
fn foreign(program: &str, arguments: &[&str]) -> Option<Finished> {
    if Command::new(program).arg("--version").output().is_err() {
        here::not_run(&format!("{program} is not installed"));
        return None;
    }
    let bounded = ["--kill-after=10", "400", program].into_iter().chain(arguments.iter().copied());
    Some(run(Path::new("timeout"), bounded))
}

/// A site whose certificate lives long enough for a scanner that looks at that, too.
fn site(authority: &Authority) -> Site {
    let site = fixture::site().with_https();
    authority.issue_for(&[GO], DAY, DAY * 180).publish(&site.certificates(), "main");
    site
}

/// The page at the end of the way: answers every request until it is dropped with the process.
fn page(text: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let Ok(copy) = stream.try_clone() else { continue };
            let lines = BufReader::new(copy).lines().map_while(Result::ok);
            // A browser sends nothing behind the head.
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
                text.len()
            );
        }
    });
    port
}

#[test]
fn a_browser_follows_a_short_link_over_http_and_https_to_its_page() {
    let authority = Authority::new();
    let site = site(&authority);
    let node = site.start();
    let (http, https) = (node.address().port(), node.secure_address().port());
    let destination = page("<html><body><p>the page at the end</p></body></html>");
    let rows = [
        Row::new(GO, "first", &format!("https://{GO}:{https}/second")),
        Row::new(GO, "second", &format!("http://127.0.0.1:{destination}/page")),
    ];
    site.publish(&tool::build(site.path(), 2, &fixture::domains(), &rows));
    node.reload();
    node.until_generation(2);
    let profile = format!("--user-data-dir={}", site.path().join("browser").display());
    let resolve = format!("--host-resolver-rules=MAP {GO} 127.0.0.1");
    let url = format!("http://{GO}:{http}/first");
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--ignore-certificate-errors",
        &profile,
        &resolve,
        "--dump-dom",
        &url,
    ];
    let Some(browser) = foreign("chromium", &arguments) else { return };
    assert!(browser.output.contains("the page at the end"), "{}\n{}", browser.output, browser.errors);
    let handshakes = node.metric("carom_tls_handshakes_total", &[]);
    assert!(handshakes >= 1.0, "the second hop was over TLS");
}

#[test]
fn a_scanner_for_flaws_of_tls_finds_none_above_low() {
    let authority = Authority::new();
    let site = site(&authority);
    let node = site.start();
    let (root, findings) = (site.path().join("root.pem"), site.path().join("findings.json"));
    authority.write_root(&root);
    let target = format!("{GO}:{}", node.secure_address().port());
    let arguments = [
        "--quiet",
        "--color",
        "0",
        "--warnings",
        "off",
        "--nodns",
        "min",
        "--ip",
        "127.0.0.1",
        "--add-ca",
        root.to_str().unwrap(),
        "--jsonfile",
        findings.to_str().unwrap(),
        // Versions, the certificate, and every flaw that has a name.
        "-p",
        "-S",
        "-U",
        &target,
    ];
    let Some(scan) = foreign("testssl", &arguments) else { return };
    let text = std::fs::read_to_string(&findings).unwrap_or_else(|error| panic!("{error}: {scan:?}"));
    let findings: Vec<serde_json::Value> = serde_json::from_str(&text).expect("findings are JSON");
    let of = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let offered = |id: &str| {
        findings.iter().find(|finding| of(finding, "id") == id).map(|finding| of(finding, "finding"))
    };
    assert!(
        offered("TLS1_3").is_some_and(|found| found.starts_with("offered")),
        "the scan came to its end: {text}"
    );
    assert!(
        offered("heartbleed").is_some() && offered("ROBOT").is_some(),
        "the scan came to its end: {text}"
    );
    // A private authority names no list of revoked certificates: that is no fault of the server.
    let grave: Vec<&serde_json::Value> = findings
        .iter()
        .filter(|finding| ["MEDIUM", "HIGH", "CRITICAL"].contains(&of(finding, "severity").as_str()))
        .filter(|finding| of(finding, "id") != "cert_revocation")
        .collect();
    assert!(grave.is_empty(), "{grave:#?}");
    assert_eq!(node.get(GO, "/plain").status, 302);
}

#[test]
fn a_tool_that_is_slow_on_purpose_keeps_nobody_else_from_an_answer() {
    let site = fixture::site().set("http", "header_timeout_ms", 1_000).set("http", "write_timeout_ms", 1_000);
    let node = site.start();
    let url = format!("http://{}/plain", node.address());
    let load = Load::start(&Plan::steady(node.addresses()), &oracle());
    load.until_more(50);
    // Slow heads, slow bodies, slow readers.
    for mode in ["-H", "-B", "-X"] {
        let arguments = [mode, "-c", "200", "-r", "200", "-i", "1", "-l", "4", "-p", "3", "-u", &url];
        let Some(slow) = foreign("slowhttptest", &arguments) else { return };
        assert!(slow.output.contains("Exit status"), "{mode}: {slow:?}");
        load.until_more(50);
    }
    load.stop().assert_flawless();
    node.until_connections(0);
    let closed = |reason| node.metric("carom_connections_closed_total", &[("reason", reason)]);
    assert!(closed("header_timeout") + closed("truncated") + closed("refused") >= 200.0, "{}", node.log());
}
