//! Stores and downloads: a real directory, and an HTTP server that lies in every way a server can.

use snapshot_channel::content::ContentHash;
use snapshot_channel::fetch::{FetchError, fetch};
use snapshot_channel::manifest::{File, Role};
use snapshot_channel::store::{Fetched, Look, Uploaded};
use snapshot_channel::{Access, Store, StoreError};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

fn local(directory: &Path) -> Store {
    Store::open(directory.to_str().unwrap(), Access::Write).unwrap()
}

fn file_of(content: &[u8]) -> File {
    File { role: Role::Snapshot, bytes: content.len() as u64, blake3: ContentHash::of(content) }
}

#[test]
fn an_object_is_created_once_and_replaced_by_whoever_has_seen_the_last_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = local(directory.path());
    assert!(matches!(store.look("pointer", 100, None).unwrap(), Look::Missing));
    assert!(store.list("file").unwrap().is_empty());
    assert!(store.create("log/1", b"one".to_vec()).unwrap());
    assert!(!store.create("log/1", b"two".to_vec()).unwrap());
    assert_eq!(store.get("log/1", 100).unwrap().unwrap().bytes, b"one");
    store.replace("pointer", b"1".to_vec(), None).unwrap();
    assert!(matches!(store.replace("pointer", b"1".to_vec(), None), Err(StoreError::Moved { .. })));
    let first = store.get("pointer", 100).unwrap().unwrap();
    assert!(matches!(store.look("pointer", 100, first.tag.as_deref()).unwrap(), Look::Same));
    store.replace("pointer", b"longer".to_vec(), Some(&first)).unwrap();
    assert!(matches!(store.replace("pointer", b"3".to_vec(), Some(&first)), Err(StoreError::Moved { .. })));
    assert!(matches!(store.look("pointer", 100, first.tag.as_deref()).unwrap(), Look::New(_)));
    assert!(matches!(store.get("pointer", 3), Err(StoreError::TooLarge { .. })));
    let names: Vec<String> = store.list("log").unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["log/1"]);
    store.delete("log/1").unwrap();
    store.delete("log/1").unwrap();
    assert!(store.get("log/1", 100).unwrap().is_none());
}

#[test]
fn of_many_who_replace_at_once_exactly_one_wins_each_round() {
    let directory = tempfile::tempdir().unwrap();
    local(directory.path()).replace("pointer", b"0".to_vec(), None).unwrap();
    let won = AtomicU64::new(0);
    thread::scope(|scope| {
        for writer in 0..4 {
            let (won, directory) = (&won, directory.path());
            scope.spawn(move || {
                let store = local(directory);
                for round in 0..25 {
                    let before = store.get("pointer", 100).unwrap().unwrap();
                    let number: u64 = str::from_utf8(&before.bytes).unwrap().parse().unwrap();
                    match store.replace("pointer", (number + 1).to_string().into_bytes(), Some(&before)) {
                        Ok(()) => _ = won.fetch_add(1, Ordering::Relaxed),
                        Err(StoreError::Moved { .. }) => {}
                        Err(error) => panic!("writer {writer}, round {round}: {error}"),
                    }
                }
            });
        }
    });
    let last = local(directory.path()).get("pointer", 100).unwrap().unwrap();
    assert_eq!(String::from_utf8(last.bytes).unwrap(), won.load(Ordering::Relaxed).to_string());
}

#[test]
fn a_file_is_uploaded_once_and_fetched_back_whole() {
    let directory = tempfile::tempdir().unwrap();
    let store = local(&directory.path().join("store"));
    let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let source = directory.path().join("source");
    fs::write(&source, &content).unwrap();
    let file = file_of(&content);
    let name = format!("file/{}", file.blake3);
    assert!(store.upload(&name, &source, &ContentHash::of(b"other")).is_err());
    assert!(store.list("file").unwrap().is_empty());
    assert_eq!(store.upload(&name, &source, &file.blake3).unwrap(), Uploaded::Sent);
    assert_eq!(store.upload(&name, &source, &file.blake3).unwrap(), Uploaded::Known);
    let path = fetch(&store, &file, directory.path()).unwrap();
    assert!(fs::read(path).unwrap() == content);
}

#[test]
fn addresses_that_are_none_say_what_one_looks_like() {
    for (url, access) in [("", Access::Read), ("gopher://x/y", Access::Read), ("http://h/p", Access::Write)] {
        let error = Store::open(url, access).unwrap_err().to_string();
        assert!(error.contains("s3://BUCKET/PREFIX"), "{url}: {error}");
    }
}

/// How a server lies.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    None,
    /// The connection ends after so many bytes of each answer.
    CutAfter(usize),
    /// One byte is another one.
    Wrong,
    /// The object is longer than it should be.
    Longer,
    /// The object is shorter than it should be.
    Shorter,
    /// It says how long it is and then never stops.
    Endless,
    Status(u16),
}

/// Serves one object under every name.
struct Server {
    address: SocketAddr,
    lie: Arc<Mutex<Lie>>,
    sent: Arc<AtomicU64>,
}

impl Server {
    fn start(content: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (lie, sent) = (Arc::new(Mutex::new(Lie::None)), Arc::new(AtomicU64::new(0)));
        let (lies, count) = (Arc::clone(&lie), Arc::clone(&sent));
        // Ends with the process of the test.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let lie = *lies.lock().unwrap();
                let _ = answer(&stream, &content, lie, &count);
            }
        });
        Self { address, lie, sent }
    }

    fn store(&self) -> Store {
        Store::open(&format!("http://{}/channel", self.address), Access::Read).unwrap()
    }

    fn lie(&self, lie: Lie) {
        *self.lie.lock().unwrap() = lie;
    }
}

fn answer(mut stream: &TcpStream, content: &[u8], lie: Lie, sent: &AtomicU64) -> std::io::Result<()> {
    let (mut from, mut tag) = (0, String::new());
    for line in BufReader::new(stream).lines() {
        let line = line?.to_ascii_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.split('-').next().unwrap().parse().unwrap();
        }
        if let Some(seen) = line.strip_prefix("if-none-match: ") {
            tag = seen.to_owned();
        }
        if line.is_empty() {
            break;
        }
    }
    if let Lie::Status(status) = lie {
        return write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if tag == "\"t\"" {
        return write!(stream, "HTTP/1.1 304 Not Modified\r\nETag: \"t\"\r\nConnection: close\r\n\r\n");
    }
    let mut content = content.to_vec();
    match lie {
        Lie::Wrong => content[7] ^= 1,
        Lie::Longer => content.push(0),
        Lie::Shorter => _ = content.pop(),
        Lie::None | Lie::CutAfter(_) | Lie::Endless | Lie::Status(_) => {}
    }
    let (all, left) = (content.len(), &content[from..]);
    let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
    write!(stream, "HTTP/1.1 {status}\r\nETag: \"t\"\r\nConnection: close\r\n")?;
    if from > 0 {
        write!(stream, "Content-Range: bytes {from}-{}/{all}\r\n", all - 1)?;
    }
    if lie == Lie::Endless {
        write!(stream, "Content-Length: {}\r\n\r\n", u64::MAX / 2)?;
        while stream.write_all(&content).is_ok() {}
        return Ok(());
    }
    write!(stream, "Content-Length: {}\r\n\r\n", left.len())?;
    let end = if let Lie::CutAfter(bytes) = lie { bytes.min(left.len()) } else { left.len() };
    sent.fetch_add(end as u64, Ordering::Relaxed);
    stream.write_all(&left[..end])
}

fn content() -> Vec<u8> {
    (0..50_000_u32).flat_map(u32::to_le_bytes).collect()
}

#[test]
fn a_server_that_lies_about_a_file_is_found_out_and_nothing_gets_the_files_name() {
    let check = |lie: Lie, expected: &str| {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start(content());
        server.lie(lie);
        let error = fetch(&server.store(), &file_of(&content()), directory.path()).unwrap_err();
        assert_eq!(error.label(), expected, "{lie:?}: {error}");
        assert!(!directory.path().join(ContentHash::of(&content()).to_string()).exists());
        // Honest again, it is believed again.
        server.lie(Lie::None);
        assert!(
            fs::read(fetch(&server.store(), &file_of(&content()), directory.path()).unwrap()).unwrap()
                == content()
        );
    };
    check(Lie::Wrong, "wrong_content");
    check(Lie::Longer, "wrong_size");
    check(Lie::Shorter, "wrong_size");
    check(Lie::Endless, "wrong_size");
    check(Lie::Status(404), "unreachable");
    check(Lie::Status(403), "unreachable");
}

#[test]
fn a_download_that_is_cut_off_again_and_again_resumes_where_it_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(content());
    server.lie(Lie::CutAfter(20_000));
    let file = file_of(&content());
    let mut calls = 0;
    let path = loop {
        calls += 1;
        match fetch(&server.store(), &file, directory.path()) {
            Ok(path) => break path,
            Err(FetchError::Store(_)) => assert!(calls < 20, "no progress"),
            Err(error) => panic!("{error}"),
        }
    };
    assert!(fs::read(path).unwrap() == content());
    // Nothing is sent twice, but for what was in a pipe when it was cut.
    let sent = server.sent.load(Ordering::Relaxed);
    assert!(sent < content().len() as u64 * 3 / 2, "{sent} bytes were sent");
}

#[test]
fn a_partial_file_of_another_content_costs_one_try_and_is_thrown_away() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(content());
    let file = file_of(&content());
    let partial = directory.path().join(format!("{}.partial", file.blake3));
    fs::write(&partial, vec![9; 100_000]).unwrap();
    assert_eq!(fetch(&server.store(), &file, directory.path()).unwrap_err().label(), "wrong_content");
    assert!(!partial.exists());
    assert!(fetch(&server.store(), &file, directory.path()).is_ok());
    // One that is too long begins anew at once.
    fs::remove_file(directory.path().join(file.blake3.to_string())).unwrap();
    fs::write(&partial, vec![9; 300_000]).unwrap();
    assert!(fetch(&server.store(), &file, directory.path()).is_ok());
}

#[test]
fn what_has_not_changed_is_not_sent_again_and_what_is_too_large_is_cut_off() {
    let server = Server::start(content());
    let store = server.store();
    let Look::New(Fetched { bytes, tag }) = store.look("pointer", 1 << 20, None).unwrap() else { panic!() };
    assert!(bytes == content());
    assert!(matches!(store.look("pointer", 1 << 20, tag.as_deref()).unwrap(), Look::Same));
    assert!(matches!(store.look("pointer", 1000, None), Err(StoreError::TooLarge { .. })));
    server.lie(Lie::Endless);
    assert!(matches!(store.look("pointer", 1 << 20, None), Err(StoreError::TooLarge { .. })));
    server.lie(Lie::Status(404));
    assert!(matches!(store.look("pointer", 1 << 20, None).unwrap(), Look::Missing));
}
