//! HOT: one core, one shard: its listeners, connections, buffers, deadlines and counters; nothing is shared.
//!
//! Modules in reading order: the thread a shard runs on, its sockets, what it remembers (time, deadlines, sources, sessions),
//! how connections come in, also through balancers, how requests are
//! answered, in clear text and over TLS, and what happens ten times a second.

pub mod thread;

pub mod listen;

mod readiness;

mod clock;

mod deadlines;

mod sources;

mod table;

mod session;

mod accept;

mod proxied;

mod replier;

mod serve;

mod secure;

mod tick;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use glommio::timer::Timer;
use rustix::event::epoll::Event;
use rustix::io::Errno;
use snapshot_format::{Mapping, Snapshot};

use crate::access_log::Sampler;
use crate::clicks::Recorder;
use crate::control::drain::StageCell;
use crate::http2::Scratch;
use crate::limits::{ConnectionLimits, EVENTS_PER_TURN_MAX, HttpLimits, OUTPUT_BYTES_MAX, READ_BYTES_MAX};
use crate::metrics::ShardCounters;
use crate::protocol::Speech;
use crate::proxies::Proxies;
use crate::redirect::Surroundings;
use crate::scanners::Scout;
use crate::snapshot::{Slot, View};
use crate::tls::Acceptor;

use accept::{AcceptComplained, Listeners, listener_index};
use clock::Clock;
use deadlines::Deadlines;
use listen::Listening;
use readiness::ReadySet;
use secure::{DOORBELL_NUMBER, Secure};
use session::Session;
use sources::Sources;
use table::{Key, Table};

/// What a shard is made from. It can be sent to the shard's thread, where the shard itself stays.
pub struct Seed {
    /// Which shard it is, counted from 0.
    pub index: u32,
    /// What one connection may cost.
    pub limits: HttpLimits,
    /// What clients may speak.
    pub speech: Speech,
    /// How many connections there may be.
    pub connections: ConnectionLimits,
    /// Shed connections that may wait for their close at the same time; at most [`SHED_FAREWELLS_MAX`].
    pub shed_farewells_max: usize,
    /// Value of the Server field; empty for none.
    pub server: Vec<u8>,
    /// How many of the addresses, the first ones, speak clear text.
    pub plain_listeners: usize,
    /// Who takes handshakes on the others; needed if there are any.
    pub acceptor: Option<Acceptor>,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// What the node knows beside its snapshot.
    pub surroundings: Arc<Surroundings>,
    /// Who speaks for others.
    pub proxies: Arc<Proxies>,
    /// Where the snapshot is found.
    pub slot: Arc<Slot<Snapshot<Mapping>>>,
    /// How far the node has drained.
    pub stage: Arc<StageCell>,
    /// What the shard counts.
    pub counters: ShardCounters,
    /// The shard's end of the access log, if there is one.
    pub sampler: Option<Sampler>,
    /// Who looks out for scanners, unless nobody does.
    pub scout: Option<Scout>,
    /// The shard's end of the clicks, unless nobody records them.
    pub recorder: Option<Recorder>,
}

/// The state of a shard. All of it belongs to one thread.
struct Shard {
    index: u32,
    limits: HttpLimits,
    speech: Speech,
    connections_max: usize,
    server: Vec<u8>,
    plain_listeners: usize,
    secure: Option<Secure>,
    handshake_timeout: Duration,
    surroundings: Arc<Surroundings>,
    proxies: Arc<Proxies>,
    /// When the log last said that a balancer does not announce its clients.
    header_complained: Option<Instant>,
    stage: Arc<StageCell>,
    /// Replies end their connections: the node is draining.
    draining: bool,
    /// What the last tick saw of the drain.
    drained: tick::Drained,
    view: View<Snapshot<Mapping>>,
    counters: ShardCounters,
    sampler: Option<Sampler>,
    scout: Option<Scout>,
    recorder: Option<Recorder>,
    clock: Clock,
    ready: Rc<ReadySet>,
    events: Vec<Event>,
    listeners: Listeners,
    accept_complained: AcceptComplained,
    table: Table<Session>,
    /// How many sessions of the table were shed.
    shed_farewells: usize,
    shed_farewells_max: usize,
    deadlines: Deadlines,
    sources: Sources,
    /// The unconsumed start of a head, and what one read adds to it. Every session reads through it; none keeps it.
    input: Box<[u8]>,
    /// The replies to one batch of requests.
    output: Vec<u8>,
    /// Room for the fields of one HTTP/2 request.
    scratch: Scratch,
    /// Slots whose deadline has passed.
    expired: Vec<u32>,
}

impl Shard {
    fn new(seed: Seed) -> Result<Self, Errno> {
        let Seed {
            index,
            limits,
            speech,
            connections,
            shed_farewells_max,
            server,
            plain_listeners,
            acceptor,
            handshake_timeout,
            surroundings,
            proxies,
            slot,
            stage,
            counters,
            sampler,
            scout,
            recorder,
        } = seed;
        let now = Instant::now();
        let ready = ReadySet::new()?;
        let secure = acceptor.map(|acceptor| Secure::new(acceptor, &ready)).transpose()?;
        let sessions_max = connections.per_shard_max + shed_farewells_max;
        Ok(Self {
            index,
            speech,
            connections_max: connections.per_shard_max,
            server,
            plain_listeners,
            secure,
            handshake_timeout,
            surroundings,
            proxies,
            header_complained: None,
            stage,
            draining: false,
            drained: tick::Drained::default(),
            view: View::new(slot),
            counters,
            sampler,
            scout,
            recorder,
            clock: Clock::new(now, SystemTime::now()),
            ready: Rc::new(ready),
            events: Vec::with_capacity(EVENTS_PER_TURN_MAX),
            listeners: Listeners::default(),
            accept_complained: None,
            table: Table::with_capacity(sessions_max),
            shed_farewells: 0,
            shed_farewells_max,
            deadlines: Deadlines::new(now),
            sources: Sources::new(connections.per_source_max, connections.per_shard_max),
            input: vec![0; limits.head_bytes_max + READ_BYTES_MAX].into_boxed_slice(),
            output: Vec::with_capacity(OUTPUT_BYTES_MAX),
            scratch: Scratch::new(&limits),
            expired: Vec::new(),
            limits,
        })
    }

    /// Serves every socket that is ready, once.
    fn turn(&mut self) {
        self.clock.turn(Instant::now());
        let mut events = std::mem::take(&mut self.events);
        if let Err(error) = self.ready.take(&mut events) {
            // EINTR; anything else would be a bug of ours, and the next tick tries again.
            debug_assert_eq!(error, Errno::INTR);
            events.clear();
        }
        for event in &events {
            let number = event.data.u64();
            match listener_index(number) {
                // It only makes the turn come.
                Some(_) if number == DOORBELL_NUMBER => {}
                Some(index) => {
                    // What is left is reported again.
                    self.accept(index);
                }
                None => self.serve(Key::from_bits(number), event.flags),
            }
        }
        self.events = events;
        self.shake_hands();
    }
}

/// Runs a shard on the executor of this thread until the node has drained.
///
/// Two tasks share it: one serves whenever a socket is ready, this one ticks. Neither holds it across a wait.
async fn run(seed: Seed, sockets: Rc<Vec<Listening>>) -> Result<(), Errno> {
    let mut shard = Shard::new(seed)?;
    shard.open(sockets)?;
    let ready = Rc::clone(&shard.ready);
    let shard = Rc::new(RefCell::new(shard));
    let served = Rc::clone(&shard);
    let serving = glommio::spawn_local(async move {
        loop {
            ready.wait().await;
            served.borrow_mut().turn();
        }
    });
    loop {
        let next = shard.borrow_mut().tick(Instant::now(), SystemTime::now());
        let Some(pause) = next else { break };
        Timer::new(pause).await;
    }
    serving.cancel().await;
    Ok(())
}
