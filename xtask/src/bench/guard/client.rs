//! The one real client: a new connection for each redirect, at a steady pace, as long as somebody answers.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::place::{Place, WORLD_CPU, run};
use crate::bench::links::Links;
use crate::bench::machine::Pinned;
use crate::bench::reply::{Reply, request};
use crate::bench::rows::Random;

/// Redirects that the client wants per second.
pub(super) const WANTED_PER_S: u64 = 2_000;
/// Connections under way at a time: whoever waits for a lost packet does not hold up the others.
const WORKERS: u64 = 64;
/// An answer that has not come by then is none. Longer than the second after which a SYN is repeated.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// What the client counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Right answers.
    pub(super) answered: AtomicU64,
    /// Answers that are not the link's redirect.
    pub(super) wrong: AtomicU64,
    /// Connections that came to nothing.
    pub(super) failed: AtomicU64,
}

/// Asks until `stop`; each worker is a thread in the world.
pub(super) fn ask(
    place: &Place,
    address: SocketAddr,
    links: &Links,
    counts: &Counts,
    stop: &AtomicBool,
) -> Result<()> {
    at_once()?;
    let began = Instant::now();
    let workers: Result<Vec<()>> = thread::scope(|scope| {
        let started: Vec<_> = (0..WORKERS)
            .map(|worker| {
                scope.spawn(move || {
                    place.enter_world()?;
                    let _pinned = Pinned::to(WORLD_CPU)?;
                    work(worker, began, address, links, counts, stop);
                    Ok(())
                })
            })
            .collect();
        started
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    workers.map(|_| ())
}

/// Lets this thread, and those that it starts, run as soon as they have something to do. The flood spends its time in the kernel,
/// which since Linux 6.13 lets ordinary threads wait for the next tick there: the client would measure that, and not the gate.
fn at_once() -> Result<()> {
    let thread = rustix::thread::gettid().as_raw_nonzero();
    run(&format!("chrt --fifo --pid 1 {thread}")).map(drop)
}

fn work(worker: u64, began: Instant, address: SocketAddr, links: &Links, counts: &Counts, stop: &AtomicBool) {
    let interval = Duration::from_nanos(1_000_000_000 * WORKERS / WANTED_PER_S);
    let mut due = began + interval.mul_f64(worker as f64 / WORKERS as f64);
    let mut random = Random::new(worker);
    let (mut code, mut destination) = (Vec::new(), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        if now < due {
            thread::sleep(due - now);
        }
        // What could not be asked for in time is not made up for.
        due = (due + interval).max(Instant::now());
        let n = random.below(links.links());
        code.clear();
        links.push_code(n, &mut code);
        links.destination(n, &mut destination);
        let count = match click(address, &String::from_utf8_lossy(&code), &destination) {
            Ok(true) => &counts.answered,
            Ok(false) => &counts.wrong,
            Err(_) => &counts.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// One redirect on a connection of its own; whether it was the right one.
fn click(address: SocketAddr, code: &str, destination: &[u8]) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request(code, true).as_bytes())?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    let right = |reply: Reply<'_>| reply.status == 302 && reply.location == Some(destination);
    Ok(Reply::parse(&reply).is_ok_and(right))
}
