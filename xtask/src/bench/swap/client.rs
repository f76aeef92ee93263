//! An open-loop client: requests leave when they are due, however long earlier ones take, and every answer is checked.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::bench::links::Links;
use crate::bench::reply::{NoReply, Reply, request};
use crate::bench::rows::Random;

/// An answer that has not come by then is lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was found since the last look.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// In nanoseconds, from the time when a request was due to its whole answer.
    latencies: Vec<u64>,
    pub(super) wrong: u64,
    pub(super) lost: u64,
}

impl Window {
    /// The latency that this share of the requests did not exceed, in microseconds.
    pub(super) fn quantile_us(&self, quantile: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let place = (quantile * sorted.len() as f64).ceil() as usize;
        sorted.get(place.max(1) - 1).map_or(f64::NAN, |&latency| latency as f64 / 1000.0)
    }
}

/// The client and what it knows about the node's snapshot.
pub(super) struct Client {
    address: SocketAddr,
    connections: Vec<Connection>,
    /// Destinations of even and of odd generations.
    editions: [Links; 2],
    /// The newest generation that an answer has shown: whatever is asked now may not be older.
    confirmed: u64,
    /// The newest generation that exists: no answer may be newer.
    published: u64,
    interval: Duration,
    due: Instant,
    turn: usize,
    random: Random,
    window: Window,
}

/// One keep-alive connection and what was asked over it.
struct Connection {
    stream: TcpStream,
    asked: VecDeque<Asked>,
    received: Vec<u8>,
}

/// A request without an answer so far.
struct Asked {
    due: Instant,
    link: u64,
    /// The oldest generation that a right answer may come from.
    generation_min: u64,
}

impl Client {
    pub(super) fn connect(address: SocketAddr, connections: usize, rate: u32, links: u64) -> Result<Self> {
        let connections: Result<Vec<Connection>> =
            (0..connections).map(|_| Connection::open(address)).collect();
        Ok(Self {
            address,
            connections: connections?,
            editions: [0, 1].map(|edition| Links::Synthetic { links, edition }),
            confirmed: 1,
            published: 1,
            interval: Duration::from_secs(1) / rate,
            due: Instant::now(),
            turn: 0,
            random: Random::new(1),
            window: Window::default(),
        })
    }

    /// From now on an answer may come from this generation too.
    pub(super) fn expect(&mut self, generation: u64) {
        self.published = generation;
    }

    pub(super) fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// Asks and listens, without ever sleeping, until `done` (told when it began) says so.
    pub(super) fn run_until(&mut self, mut done: impl FnMut(&Self, Instant) -> bool) -> Result<()> {
        let began = Instant::now();
        // Time that passed between two runs is nobody's latency.
        self.due = self.due.max(began);
        while !done(self, began) {
            while self.due <= Instant::now() {
                self.ask()?;
            }
            self.listen()?;
        }
        Ok(())
    }

    /// Waits for the answers that are missing, and begins a new window.
    pub(super) fn take(&mut self) -> Result<Window> {
        let deadline = Instant::now() + PATIENCE;
        while self.connections.iter().any(|connection| !connection.asked.is_empty())
            && Instant::now() < deadline
        {
            self.listen()?;
        }
        for place in 0..self.connections.len() {
            if !self.connections[place].asked.is_empty() {
                self.give_up(place)?;
            }
        }
        Ok(std::mem::take(&mut self.window))
    }

    fn ask(&mut self) -> Result<()> {
        let link = self.random.below(self.editions[0].links());
        let mut code = Vec::new();
        self.editions[0].push_code(link, &mut code);
        let request = request(&String::from_utf8_lossy(&code), false);
        self.turn = (self.turn + 1) % self.connections.len();
        let connection = &mut self.connections[self.turn];
        connection.asked.push_back(Asked { due: self.due, link, generation_min: self.confirmed });
        self.due += self.interval;
        // A request is small beside a send buffer: a refusal means that nobody has read for seconds.
        match connection.stream.write_all(request.as_bytes()) {
            Ok(()) => Ok(()),
            Err(_) => self.give_up(self.turn),
        }
    }

    fn listen(&mut self) -> Result<()> {
        let mut descriptors: Vec<PollFd<'_>> = self
            .connections
            .iter()
            .map(|connection| PollFd::new(&connection.stream, PollFlags::IN))
            .collect();
        poll(&mut descriptors, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).context("cannot poll")?;
        let ready: Vec<bool> =
            descriptors.iter().map(|descriptor| !descriptor.revents().is_empty()).collect();
        for (place, _) in ready.iter().enumerate().filter(|(_, ready)| **ready) {
            self.receive(place)?;
        }
        Ok(())
    }

    fn receive(&mut self, place: usize) -> Result<()> {
        let mut buffer = [0; 16 * 1024];
        let connection = &mut self.connections[place];
        match connection.stream.read(&mut buffer) {
            Ok(0) => return self.give_up(place),
            Ok(bytes) => connection.received.extend_from_slice(&buffer[..bytes]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(_) => return self.give_up(place),
        }
        let now = Instant::now();
        let received = std::mem::take(&mut connection.received);
        let mut rest = &received[..];
        loop {
            match Reply::parse(rest) {
                Ok(reply) => {
                    rest = &rest[reply.bytes..];
                    let Some(asked) = self.connections[place].asked.pop_front() else {
                        bail!("the node answers a request that nobody made");
                    };
                    self.judge(&asked, &reply, now);
                }
                Err(NoReply::Incomplete) => break,
                Err(NoReply::Malformed) => bail!("no reply: {:?}", String::from_utf8_lossy(rest)),
            }
        }
        self.connections[place].received = rest.to_vec();
        Ok(())
    }

    /// An answer is right if it has the destination of a generation that was current between question and answer.
    fn judge(&mut self, asked: &Asked, reply: &Reply<'_>, now: Instant) {
        self.window.latencies.push((now - asked.due).as_nanos() as u64);
        let mut destination = Vec::new();
        let right = (asked.generation_min..=self.published).find(|generation| {
            self.editions[(generation % 2) as usize].destination(asked.link, &mut destination);
            reply.status == 302 && reply.location == Some(&destination[..])
        });
        match right {
            Some(generation) => self.confirmed = self.confirmed.max(generation),
            None => self.window.wrong += 1,
        }
    }

    /// Counts what was asked over a broken connection as lost, and opens another one.
    fn give_up(&mut self, place: usize) -> Result<()> {
        self.window.lost += self.connections[place].asked.len() as u64;
        self.connections[place] = Connection::open(self.address)?;
        Ok(())
    }
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).context("cannot connect to the node")?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, asked: VecDeque::new(), received: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_latencies_that_were_seen() {
        let window = Window { latencies: (1..=1000).rev().map(|n| n * 1000).collect(), wrong: 0, lost: 0 };
        for (quantile, expected) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
            assert_eq!(window.quantile_us(quantile), expected);
        }
        assert!(Window::default().quantile_us(0.5).is_nan());
    }
}
