//! What the lab measures with is itself right.

use lab::{Metrics, Reply};

fn check_reply(received: &[u8], to_head: bool, expected: Result<Option<u16>, &str>) {
    let mut buffer = received.to_vec();
    let found = Reply::take(&mut buffer, to_head);
    let text = String::from_utf8_lossy(received);
    match expected {
        Ok(status) => assert_eq!(found.unwrap().map(|reply| reply.status), status, "{text}"),
        Err(part) => {
            let error = found.expect_err(&text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}

const HEAD: &str =
    "HTTP/1.1 404 Not Found\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nCache-Control: no-store\r\n";

#[test]
fn a_reply_is_taken_when_it_is_whole_and_not_before() {
    let reply = format!("{HEAD}Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nno\n");
    for end in 0..reply.len() {
        check_reply(&reply.as_bytes()[..end], false, Ok(None));
    }
    check_reply(reply.as_bytes(), false, Ok(Some(404)));
    check_reply(reply.strip_suffix("no\n").unwrap().as_bytes(), true, Ok(Some(404)));
}

#[test]
fn a_reply_that_breaks_a_rule_is_no_reply() {
    let check =
        |rest: &str, part: &str| check_reply(format!("{HEAD}{rest}\r\n").as_bytes(), false, Err(part));
    check("", "only 204");
    check("Content-Length: 0\r\nContent-Length: 0\r\n", "content-length comes 2 times");
    check("Content-Length: 0\r\nLocation: https://a/\r\n", "exactly the redirects");
    check("Content-Length: +0\r\n", "is a number");
    check("Content-Length: 0\nA: b\r\n", "CR LF");
    check("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "never chunked");
    check("Content-Length: 0\r\nX: a\rb\r\n", "CR");
    check("Content-Length: 0\r\nX : a\r\n", "field name");
    check_reply(b"HTTP/1.0 404 Not Found\r\n\r\n", false, Err("status line"));
    check_reply(b"SSH-2.0-x\r\n\r\n", false, Err("status line"));
}

#[test]
fn a_scrape_is_read_with_its_labels_and_refused_when_it_is_wrong() {
    let text = "# HELP a_total All that were counted.\n# TYPE a_total counter\na_total{b=\"c\\\"d,\",e=\"\"} 2\na_total{b=\"x\",e=\"\"} 3.5\n";
    let metrics = Metrics::parse(text).unwrap();
    assert_eq!(metrics.sum("a_total", &[]), 5.5);
    assert_eq!(metrics.sum("a_total", &[("b", "c\"d,")]), 2.0);
    assert_eq!(metrics.sum("a_total", &[("b", "nothing")]), 0.0);
    for wrong in ["a_total 1\n", "# HELP a_total All that were counted.\na_total 1\n"] {
        Metrics::parse(wrong).unwrap_err();
    }
    Metrics::parse(&format!("{text}a_total{{b=\"x\",e=\"\"}} 1\n")).unwrap_err();
}
