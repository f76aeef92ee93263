//! The thread that turns access records into JSON lines: it alone waits for a slow disk or a full pipe.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use rtrb::{Consumer, RingBuffer};
use serde::Serialize;

use super::{AccessRecord, Cut, RequestLine, Sampler, Verdict};
use crate::clicks::privacy::Asks;
use crate::clicks::{Privacy, Rules};
use crate::config::settings::{self, LogTarget};
use crate::limits::{ACCESS_BATCH_BYTES, ACCESS_FLUSH_INTERVAL, ACCESS_RECORDS_MAX};
use crate::metrics::Reason as _;

/// The running access log. Dropping it lets the thread end by itself.
pub struct AccessLog {
    /// Dropped to ask the thread to end.
    stop: Sender<()>,
    /// Closed by the thread when everything is written.
    ended: Receiver<()>,
    reopen: Arc<AtomicBool>,
    counts: Arc<AccessCounts>,
}

/// What the thread counts; shards count what does not reach it.
#[derive(Debug, Default)]
pub struct AccessCounts {
    written: AtomicU64,
    failed: AtomicU64,
}

impl AccessCounts {
    /// Lines that were written.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Lines that could not be written: the disk is full, or the file cannot be opened.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

impl AccessLog {
    /// Opens the target and starts the thread; returns one sampler per shard.
    ///
    /// # Errors
    ///
    /// The file cannot be opened for appending, or the thread cannot start.
    pub fn start(
        settings: &settings::AccessLog,
        rules: &Arc<Rules>,
        privacy: &Arc<Privacy>,
        shards: usize,
    ) -> io::Result<(Self, Vec<Sampler>)> {
        let output = Output::open(&settings.target)?;
        let (producers, rings): (Vec<_>, Vec<_>) =
            (0..shards).map(|_| RingBuffer::new(ACCESS_RECORDS_MAX)).unzip();
        let (stop, stopped) = mpsc::channel();
        let (ending, ended) = mpsc::channel();
        let reopen = Arc::new(AtomicBool::new(false));
        let counts = Arc::new(AccessCounts::default());
        let mut writer = Writer {
            target: settings.target.clone(),
            output: Some(output),
            rings,
            reopen: Arc::clone(&reopen),
            counts: Arc::clone(&counts),
            privacy: Arc::clone(privacy),
            batch: Vec::with_capacity(ACCESS_BATCH_BYTES),
            torn: false,
            failing: false,
        };
        thread::Builder::new().name("access-log".into()).spawn(move || {
            writer.run(&stopped);
            drop(ending);
        })?;
        let samplers = producers
            .into_iter()
            .map(|ring| Sampler::new(settings.sample_every, ring, Arc::clone(rules)))
            .collect();
        Ok((Self { stop, ended, reopen, counts }, samplers))
    }

    /// What the thread counts.
    pub fn counts(&self) -> Arc<AccessCounts> {
        Arc::clone(&self.counts)
    }

    /// Makes the thread close the file and open it again by its name, so that it can be rotated.
    pub fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
    }

    /// Waits until everything that shards handed over is written, but no longer than `patience`; says whether it is.
    /// Shards must have ended before.
    pub fn finish(self, patience: Duration) -> bool {
        let Self { stop, ended, reopen: _, counts: _ } = self;
        drop(stop);
        ended.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected)
    }
}

/// An open target.
enum Output {
    Stdout(io::Stdout),
    File(File),
}

impl Output {
    fn open(target: &LogTarget) -> io::Result<Self> {
        match target {
            LogTarget::Stdout => Ok(Self::Stdout(io::stdout())),
            LogTarget::File(path) => append(path).map(Self::File),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => {
                let mut stdout = stdout.lock();
                stdout.write_all(bytes)?;
                stdout.flush()
            }
            Self::File(file) => file.write_all(bytes),
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot append to {}: {error}", path.display()))
    })
}

/// The state of the thread.
struct Writer {
    target: LogTarget,
    /// `None` after a failed attempt to open it again.
    output: Option<Output>,
    rings: Vec<Consumer<AccessRecord>>,
    reopen: Arc<AtomicBool>,
    counts: Arc<AccessCounts>,
    /// What may be written of clients.
    privacy: Arc<Privacy>,
    /// Whole lines that wait for one write.
    batch: Vec<u8>,
    /// A failed write may have left half a line: the next one begins with a line feed.
    torn: bool,
    /// The last write failed, and the log says so already.
    failing: bool,
}

impl Writer {
    fn run(&mut self, stopped: &Receiver<()>) {
        loop {
            let stop =
                matches!(stopped.recv_timeout(ACCESS_FLUSH_INTERVAL), Err(RecvTimeoutError::Disconnected));
            if self.reopen.swap(false, Ordering::Acquire) || self.output.is_none() {
                self.open_again();
            }
            self.drain();
            if stop {
                return;
            }
        }
    }

    fn open_again(&mut self) {
        // The old file closes even if the new one cannot be opened: whoever rotates wants it gone.
        self.output = None;
        match Output::open(&self.target) {
            Ok(output) => self.output = Some(output),
            Err(error) => self.failed(0, &error),
        }
    }

    /// Writes what waits in the rings now, and no more, so that a fast shard cannot keep the thread here.
    fn drain(&mut self) {
        for shard in 0..self.rings.len() {
            let mut lines = 0;
            for _ in 0..self.rings[shard].slots() {
                let Ok(record) = self.rings[shard].pop() else { break };
                write_line(&mut self.batch, shard, &record, &self.privacy);
                lines += 1;
                if self.batch.len() >= ACCESS_BATCH_BYTES {
                    self.flush(lines);
                    lines = 0;
                }
            }
            self.flush(lines);
        }
    }

    fn flush(&mut self, lines: u64) {
        if lines == 0 {
            return;
        }
        let Some(output) = &mut self.output else {
            self.counts.failed.fetch_add(lines, Ordering::Relaxed);
            self.batch.clear();
            return;
        };
        let written = if self.torn { output.write_all(b"\n") } else { Ok(()) };
        match written.and_then(|()| output.write_all(&self.batch)) {
            Ok(()) => {
                self.counts.written.fetch_add(lines, Ordering::Relaxed);
                self.torn = false;
                self.failing = false;
            }
            Err(error) => {
                self.torn = true;
                self.failed(lines, &error);
            }
        }
        self.batch.clear();
    }

    /// Counts lost lines; logs the first failure of a row.
    fn failed(&mut self, lines: u64, error: &io::Error) {
        self.counts.failed.fetch_add(lines, Ordering::Relaxed);
        if !self.failing {
            self.failing = true;
            tracing::warn!(%error, "the access log cannot be written: lines are lost and counted");
        }
    }
}

/// One line of the access log.
#[derive(Serialize)]
struct Line<'r> {
    time: String,
    shard: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<std::borrow::Cow<'r, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<std::borrow::Cow<'r, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'static str>,
    status: u16,
    latency_us: f64,
    generation: u64,
}

/// Appends `record` as one line. Bytes that are not UTF-8 become U+FFFD.
fn write_line(batch: &mut Vec<u8>, shard: usize, record: &AccessRecord, privacy: &Privacy) {
    let AccessRecord { unix_ms, client, request, verdict, status, latency, generation } = record;
    let time =
        i64::try_from(*unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default();
    let (outcome, refusal) = match verdict {
        Verdict::Answered(outcome) => (Some(outcome.label()), None),
        Verdict::Refused(refusal) => (None, Some(refusal.label())),
    };
    let request = request.as_ref();
    let (host, asks) =
        request.map_or((b"".as_slice(), Asks::default()), |request| (request.host.as_bytes(), request.asks));
    let line = Line {
        time: format!("{time:.3}"),
        shard,
        client: privacy.shown(client.ip(), host, asks, *unix_ms),
        method: request.map(|RequestLine { method, .. }| text(method)),
        host: request.map(|RequestLine { host, .. }| text(host)),
        path: request.map(|RequestLine { path, .. }| format!("/{}", text(path))),
        cut: request.is_some_and(|RequestLine { method, host, path, asks: _ }| {
            method.was_longer || host.was_longer || path.was_longer
        }),
        outcome,
        refusal,
        status: *status,
        latency_us: latency.as_nanos() as f64 / 1_000.0,
        generation: *generation,
    };
    serde_json::to_writer(&mut *batch, &line)
        .expect("a Vec takes every write, and a line has no map with odd keys");
    batch.push(b'\n');
}

fn text<const BYTES: usize>(cut: &Cut<BYTES>) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(cut.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Instant;

    use super::*;
    use crate::http::{Method, Refusal};
    use crate::metrics::ShardCells;
    use crate::redirect::Outcome;

    fn record() -> AccessRecord {
        AccessRecord {
            unix_ms: 1_700_000_000_123,
            client: "[2001:db8::1]:4711".parse().unwrap(),
            request: Some(RequestLine::pieces(Method::Get, Some(b"go.example"), b"debian")),
            verdict: Verdict::Answered(Outcome::Redirected),
            status: 302,
            latency: Duration::from_nanos(8_500),
            generation: 7,
        }
    }

    fn check_line(record: &AccessRecord, line: &str) {
        let mut batch = Vec::new();
        write_line(&mut batch, 3, record, &privacy());
        assert_eq!(String::from_utf8(batch).unwrap(), format!("{line}\n"));
    }

    /// Truncates, and needs no key.
    fn privacy() -> Arc<Privacy> {
        let settings = crate::config::Settings::default();
        Arc::new(Privacy::new(settings.privacy.policy, Path::new("/nonexistent")))
    }

    fn start(path: &Path, shards: usize) -> io::Result<(AccessLog, Vec<Sampler>)> {
        AccessLog::start(&settings(path), &Arc::default(), &privacy(), shards)
    }

    fn settings(path: &Path) -> settings::AccessLog {
        settings::AccessLog { sample_every: NonZeroU32::MIN, target: LogTarget::File(path.to_owned()) }
    }

    /// Sends `count` records through a log at `path`; returns the log for the rest.
    fn log_to(path: &Path, count: usize) -> AccessLog {
        let (log, mut samplers) = start(path, 2).unwrap();
        let (counters, _) = ShardCells::new(0, Instant::now());
        for number in 0..count {
            samplers[number % 2].request(&counters, |_| record());
        }
        log
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_record_becomes_one_line_of_json() {
        check_line(
            &record(),
            r#"{"time":"2023-11-14T22:13:20.123Z","shard":3,"client":"2001:db8::/48","method":"GET","host":"go.example","path":"/debian","outcome":"redirected","status":302,"latency_us":8.5,"generation":7}"#,
        );
    }

    #[test]
    fn a_request_that_could_not_be_read_has_no_pieces() {
        let record = AccessRecord {
            request: None,
            verdict: Verdict::Refused(Refusal::HeadTooLarge),
            status: 431,
            ..record()
        };
        check_line(
            &record,
            r#"{"time":"2023-11-14T22:13:20.123Z","shard":3,"client":"2001:db8::/48","refusal":"head_too_large","status":431,"latency_us":8.5,"generation":7}"#,
        );
    }

    #[test]
    fn hostile_bytes_stay_inside_their_string() {
        let request = RequestLine::pieces(Method::Other(b"PROPFIND\"SEARCH"), None, b"\"\n\xff{");
        let record = AccessRecord { request: Some(request), ..record() };
        check_line(
            &record,
            r#"{"time":"2023-11-14T22:13:20.123Z","shard":3,"client":"2001:db8::/48","method":"PROPFIND","host":"","path":"/\"\n�{","cut":true,"outcome":"redirected","status":302,"latency_us":8.5,"generation":7}"#,
        );
    }

    #[test]
    fn finishing_writes_everything_that_was_handed_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.jsonl");
        let log = log_to(&path, 1_000);
        let counts = log.counts();
        assert!(log.finish(PATIENCE));
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1_000);
        assert_eq!((counts.written(), counts.failed()), (1_000, 0));
    }

    #[test]
    fn a_full_disk_loses_lines_and_counts_them() {
        let log = log_to(Path::new("/dev/full"), 100);
        let counts = log.counts();
        assert!(log.finish(PATIENCE));
        assert_eq!((counts.written(), counts.failed()), (0, 100));
    }

    #[test]
    fn a_pipe_that_nobody_reads_holds_up_neither_shard_nor_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        // The reading end is held open, and never read.
        let _reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let (log, mut samplers) = start(&path, 1).unwrap();
        let (counters, cells) = ShardCells::new(0, Instant::now());
        while cells.access_records_lost() == 0 {
            samplers[0].request(&counters, |_| record());
        }
        assert!(!log.finish(Duration::from_millis(20)));
    }

    #[test]
    fn a_rotated_file_is_opened_again_by_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.jsonl");
        let (log, mut samplers) = start(&path, 1).unwrap();
        let (counters, _) = ShardCells::new(0, Instant::now());
        let counts = log.counts();
        samplers[0].request(&counters, |_| record());
        let deadline = Instant::now() + PATIENCE;
        while counts.written() == 0 {
            assert!(Instant::now() < deadline, "nothing was written");
            thread::yield_now();
        }
        std::fs::rename(&path, directory.path().join("access.jsonl.1")).unwrap();
        log.reopen();
        samplers[0].request(&counters, |_| record());
        assert!(log.finish(PATIENCE));
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_refused_at_the_start() {
        let Err(error) = start(Path::new("/nonexistent/access.jsonl"), 1) else {
            panic!("there is no such directory");
        };
        assert!(error.to_string().starts_with("cannot append to /nonexistent/access.jsonl: "), "{error}");
    }
}
