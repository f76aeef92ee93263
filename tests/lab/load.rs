//! Clients that ask without a pause on keep-alive connections, and hold every answer against an oracle.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::peer::Peer;
use crate::reply::Reply;
use crate::wait::{SOON, eventually};

/// Complaints that are kept word for word; all are counted.
const COMPLAINTS_MAX: usize = 10;

/// No load runs longer, whatever its case forgot.
const TIME_MAX: Duration = Duration::from_secs(120);

/// Knows what may be asked and which answers are right.
pub trait Oracle: Send + Sync + 'static {
    /// Question number `number`: the bytes of one request.
    fn ask(&self, number: u64) -> Vec<u8>;

    /// Something to remember from before the question is sent.
    fn before(&self) -> u64 {
        0
    }

    /// What is wrong with the answer.
    ///
    /// # Errors
    /// Says it in words.
    fn judge(&self, number: u64, before: u64, reply: &Reply) -> Result<(), String>;
}

/// How a load is made.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to; threads take turns.
    pub addresses: Vec<SocketAddr>,
    /// Clients, each with a thread and one connection at a time.
    pub clients: usize,
    /// A client begins a new connection after so many requests.
    pub requests_per_connection: u64,
    /// Each client ends after so many requests.
    pub requests_max: u64,
}

impl Plan {
    /// Four clients that keep their connections until the load is stopped.
    pub fn steady(addresses: &[SocketAddr]) -> Self {
        Self {
            addresses: addresses.to_vec(),
            clients: 4,
            requests_per_connection: u64::MAX,
            requests_max: u64::MAX,
        }
    }
}

/// What a load has seen.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests that were answered, rightly or wrongly.
    pub answered: u64,
    /// Connections that had at least one answer.
    pub connections: u64,
    /// Connections that ended because a reply said so.
    pub closed_in_order: u64,
    /// Wrong answers.
    pub wrong: u64,
    /// Requests without an answer on a connection that had had one.
    pub lost: u64,
    /// Connections that were accepted by the kernel and ended before their first answer.
    pub lost_before_first: u64,
    /// Connections that the kernel refused.
    pub refused: u64,
    /// The first complaints.
    pub complaints: Vec<String>,
}

impl Tally {
    fn complain(&mut self, complaint: String) {
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(complaint);
        }
    }

    fn add(&mut self, other: Self) {
        let Self {
            answered,
            connections,
            closed_in_order,
            wrong,
            lost,
            lost_before_first,
            refused,
            complaints,
        } = other;
        self.answered += answered;
        self.connections += connections;
        self.closed_in_order += closed_in_order;
        self.wrong += wrong;
        self.lost += lost;
        self.lost_before_first += lost_before_first;
        self.refused += refused;
        complaints.into_iter().for_each(|complaint| self.complain(complaint));
    }

    /// Panics unless every request on every connection was answered, and rightly.
    #[track_caller]
    pub fn assert_flawless(&self) {
        assert!(self.answered > 0, "nothing was asked: {self:?}");
        let flaws = self.wrong + self.lost + self.lost_before_first + self.refused;
        assert_eq!(flaws, 0, "wrong or lost answers: {self:#?}");
    }
}

/// A running load.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Tally>>,
}

impl Load {
    /// Starts asking.
    pub fn start<O: Oracle>(plan: &Plan, oracle: &Arc<O>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let clients = (0..plan.clients).map(|index| {
            let client = Client {
                address: plan.addresses[index % plan.addresses.len()],
                plan: plan.clone(),
                oracle: Arc::clone(oracle),
                stop: Arc::clone(&stop),
                answered: Arc::clone(&answered),
                deadline: Instant::now() + TIME_MAX,
                // Clients start far apart in the same sequence of questions.
                number: (index as u64) << 32,
                left: plan.requests_max,
                tally: Tally::default(),
            };
            thread::spawn(move || client.run())
        });
        Self { clients: clients.collect(), stop, answered }
    }

    /// Requests answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until so many more requests have been answered.
    #[track_caller]
    pub fn until_more(&self, requests: u64) {
        let target = self.answered() + requests;
        eventually(SOON, "the load goes on", || {
            if self.clients.iter().all(JoinHandle::is_finished) {
                return Ok(());
            }
            if self.answered() >= target { Ok(()) } else { Err(self.answered()) }
        });
    }

    /// Ends the load after the requests that are under way, and returns what it saw.
    #[track_caller]
    pub fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        self.finish()
    }

    /// Waits until every client has ended by itself.
    #[track_caller]
    pub fn finish(self) -> Tally {
        let mut sum = Tally::default();
        for client in self.clients {
            sum.add(client.join().expect("a client does not panic"));
        }
        sum
    }
}

struct Client<O> {
    address: SocketAddr,
    plan: Plan,
    oracle: Arc<O>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    deadline: Instant,
    number: u64,
    left: u64,
    tally: Tally,
}

impl<O: Oracle> Client<O> {
    fn run(mut self) -> Tally {
        while self.goes_on() {
            let mut peer = match Peer::try_connect(self.address) {
                Ok(peer) => peer,
                Err(error) => {
                    self.tally.refused += 1;
                    self.tally.complain(format!("cannot connect: {error}"));
                    if error.kind() == ErrorKind::ConnectionRefused { break } else { continue }
                }
            };
            self.use_connection(&mut peer);
        }
        self.tally
    }

    fn goes_on(&self) -> bool {
        self.left > 0 && !self.stop.load(Ordering::Relaxed) && Instant::now() < self.deadline
    }

    fn use_connection(&mut self, peer: &mut Peer) {
        let mut answered = 0;
        while answered < self.plan.requests_per_connection && self.goes_on() {
            let before = self.oracle.before();
            let outcome = peer.try_send(self.oracle.ask(self.number)).and_then(|()| peer.try_reply());
            let reply = match outcome {
                Ok(reply) => reply,
                Err(trouble) => {
                    let count =
                        if answered == 0 { &mut self.tally.lost_before_first } else { &mut self.tally.lost };
                    *count += 1;
                    self.tally.complain(format!("request {} after {answered}: {trouble}", self.number));
                    return;
                }
            };
            if answered == 0 {
                self.tally.connections += 1;
            }
            answered += 1;
            self.left -= 1;
            self.tally.answered += 1;
            self.answered.fetch_add(1, Ordering::Relaxed);
            if let Err(complaint) = self.oracle.judge(self.number, before, &reply) {
                self.tally.wrong += 1;
                self.tally.complain(complaint);
            }
            self.number += 1;
            if reply.closes() {
                self.tally.closed_in_order += 1;
                return;
            }
        }
    }
}

/// An oracle for links that never change: question and expected Location in turn.
#[derive(Clone, Debug)]
pub struct Steady {
    /// Host of all questions.
    pub host: String,
    /// Path and Location.
    pub links: Vec<(String, String)>,
}

impl Oracle for Steady {
    fn ask(&self, number: u64) -> Vec<u8> {
        let (path, _) = &self.links[number as usize % self.links.len()];
        crate::peer::get(&self.host, path).into_bytes()
    }

    fn judge(&self, number: u64, _before: u64, reply: &Reply) -> Result<(), String> {
        let (path, expected) = &self.links[number as usize % self.links.len()];
        let found = reply.location();
        if found == *expected {
            Ok(())
        } else {
            Err(format!("{path}: {} {found}, not {expected}", reply.status))
        }
    }
}
