//! Clicks at a steady rate from a client, each on a connection of its own: who answered, and which were lost.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::network::Namespace;

/// A click that is not answered by then is lost to a person.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// How the reason of a click begins that got no connection at all.
const NO_CONNECTION: &str = "no connection";

/// Threads that click in turn, so that a lost click delays no other.
const THREADS: u32 = 8;

/// What is clicked, and what must come back.
#[derive(Clone, Debug)]
pub struct Click {
    /// Where to.
    pub vip: IpAddr,
    /// The domain.
    pub host: String,
    /// The path.
    pub path: String,
    /// The Location that is right.
    pub location: String,
}

impl Click {
    /// Clicks once; who answered, by its Server field.
    ///
    /// # Errors
    /// Says how the click was lost, or that the answer was wrong.
    pub fn once(&self, space: &Namespace) -> Result<String, String> {
        space.within(|| self.click_from_here())
    }

    fn click_from_here(&self) -> Result<String, String> {
        let text = |error: std::io::Error| error.to_string();
        let mut stream = TcpStream::connect_timeout(&SocketAddr::new(self.vip, 80), PATIENCE)
            .map_err(|error| format!("{NO_CONNECTION}: {error}"))?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
        write!(stream, "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.path, self.host)
            .map_err(text)?;
        let mut reply = Vec::new();
        let mut buffer = [0; 2048];
        while !reply.windows(4).any(|window| window == b"\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(0) => return Err("the connection ended before the answer".to_owned()),
                Ok(count) => reply.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(text(error)),
            }
        }
        let reply = String::from_utf8_lossy(&reply).into_owned();
        let field = |name: &str| {
            let mut lines = reply.lines().filter_map(|line| line.split_once(": "));
            lines
                .find(|(found, _)| found.eq_ignore_ascii_case(name))
                .map_or("", |(_, value)| value)
                .to_owned()
        };
        if field("location") != self.location {
            return Err(format!("wrong answer: {}", reply.lines().next().unwrap_or_default()));
        }
        Ok(field("server"))
    }
}

/// What became of clicks.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Clicks that were answered rightly, by the node that did.
    pub answered: BTreeMap<String, u64>,
    /// Clicks that were not: when they began, and why.
    pub failed: Vec<(Instant, String)>,
}

impl Tally {
    /// All clicks.
    pub fn sent(&self) -> u64 {
        self.answered.values().sum::<u64>() + self.failed.len() as u64
    }

    /// Clicks that were refused, got no answer, or a wrong one. Those that are left out were under way when the route moved below them.
    pub fn failed_but_cut(&self) -> Vec<&str> {
        let is_cut = |reason: &str| {
            // In the handshake, too: the last packet of it may reach the other node.
            reason.contains("Connection reset") || reason.starts_with("the connection ended")
        };
        self.failed.iter().map(|(_, reason)| &**reason).filter(|reason| !is_cut(reason)).collect()
    }

    /// From `since` to the beginning of the last click that failed; zero if none did.
    pub fn failing_for(&self, since: Instant) -> Duration {
        let last = self.failed.iter().map(|(began, _)| *began).max();
        last.map_or(Duration::ZERO, |last| last.saturating_duration_since(since))
    }
}

/// Clicks that go on until [`Clicks::stop`].
#[derive(Debug)]
pub struct Clicks {
    tally: Arc<Mutex<Tally>>,
    /// Dropping the sender ends the thread.
    threads: Vec<(Sender<()>, JoinHandle<()>)>,
}

impl Clicks {
    /// Clicks so often per second, taking `clicks` in turn.
    pub fn start(space: &Namespace, clicks: &[Click], per_second: u32) -> Self {
        let tally = Arc::<Mutex<Tally>>::default();
        let period = Duration::from_secs(1) / per_second;
        let began = Instant::now();
        let threads = (0..THREADS).map(|thread| {
            let (tally, clicks) = (Arc::clone(&tally), clicks.to_vec());
            let (running, stopped) = channel();
            // A thread that is made inside stays inside.
            let thread = space.within(|| {
                thread::spawn(move || {
                    for turn in 0.. {
                        let number = turn * THREADS + thread;
                        let due = began + period * number;
                        let until = due.saturating_duration_since(Instant::now());
                        if stopped.recv_timeout(until) == Err(RecvTimeoutError::Disconnected) {
                            return;
                        }
                        let at = Instant::now();
                        let result = clicks[number as usize % clicks.len()].click_from_here();
                        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                        match result {
                            Ok(server) => *tally.answered.entry(server).or_default() += 1,
                            Err(reason) => tally.failed.push((at, reason)),
                        }
                    }
                })
            });
            (running, thread)
        });
        let threads = threads.collect();
        Self { tally, threads }
    }

    /// What became of them so far.
    pub fn so_far(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends them; what became of all.
    pub fn stop(mut self) -> Tally {
        self.halt();
        self.so_far()
    }

    fn halt(&mut self) {
        let (running, threads): (Vec<_>, Vec<_>) = self.threads.drain(..).unzip();
        drop(running);
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Drop for Clicks {
    fn drop(&mut self) {
        self.halt();
    }
}
