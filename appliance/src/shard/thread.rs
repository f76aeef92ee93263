//! The thread that a shard runs on: an executor bound to a CPU, and a word about how it ended.

use std::cell::Cell;
use std::io;
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};
use rustix::thread::{CpuSet, sched_getaffinity};

use crate::control::drain::StageCell;
use crate::limits::{RING_ENTRIES, RING_MEMORY_BYTES};

use super::listen::Listening;
use super::{Seed, run};

/// A shard whose executor is up. It serves as soon as it gets its sockets.
pub struct ShardThread {
    index: u32,
    sockets: Sender<Vec<Listening>>,
    thread: JoinHandle<()>,
}

/// How a shard ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardEnd {
    /// Which shard.
    pub index: u32,
    /// True if it was done: the node drained. False if it failed or panicked, which is a bug.
    pub in_order: bool,
}

/// Why a shard cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The thread.
    #[error("cannot start the thread of shard {index}: {error}; raise TasksMax= or `ulimit -u`")]
    Thread {
        /// Which shard.
        index: u32,
        /// What the kernel says.
        error: io::Error,
    },
    /// The executor.
    #[error("cannot start the executor of shard {index}: {reason}; {fix}")]
    Executor {
        /// Which shard.
        index: u32,
        /// What glommio says.
        reason: String,
        /// What an operator can do about it.
        fix: String,
    },
}

/// The CPUs that this process may use.
///
/// # Errors
///
/// What the kernel says about `sched_getaffinity`.
pub fn usable_cpus() -> io::Result<Vec<usize>> {
    let allowed = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).collect())
}

impl ShardThread {
    /// Starts the thread and its executor on `cpu`, and waits until the executor is up. `ended` is called on the thread when
    /// the shard ends, in whatever way.
    ///
    /// # Errors
    ///
    /// Says what is missing, and how to get it.
    pub fn start(
        seed: Seed,
        cpu: usize,
        ended: impl FnOnce(ShardEnd) + Send + 'static,
    ) -> Result<Self, StartError> {
        let index = seed.index;
        let (sockets, opened) = channel();
        let (up, started) = channel();
        let stage = Arc::clone(&seed.stage);
        let thread = thread::Builder::new()
            .name(format!("{THREAD_NAME}{index}"))
            .spawn(move || {
                live(seed, cpu, &opened, &up, Farewell::new(index, stage, ended));
            })
            .map_err(|error| StartError::Thread { index, error })?;
        match started.recv() {
            Ok(Ok(())) => Ok(Self { index, sockets, thread }),
            Ok(Err(reason)) => {
                Err(StartError::Executor { index, fix: executor_fix(&reason, &io_uring_disabled()), reason })
            }
            Err(_) => unreachable!("the thread says how its executor came up before anything can fail"),
        }
    }

    /// Lets the shard serve `sockets`.
    pub fn serve(&self, sockets: Vec<Listening>) {
        // A shard that is gone has said so by its end.
        let _ = self.sockets.send(sockets);
    }

    /// Which shard it is.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Waits for the end of the thread, which must have been announced.
    pub fn join(self) {
        let Self { index: _, sockets, thread } = self;
        drop(sockets);
        // A panic was told by its `ShardEnd`.
        let _ = thread.join();
    }
}

/// How threads of shards are named, before their index.
const THREAD_NAME: &str = "shard-";

/// Tells how the shard ended when it is dropped, which a panic does, too.
struct Farewell<F: FnOnce(ShardEnd)> {
    index: u32,
    in_order: bool,
    ended: Option<F>,
    listeners: Weak<Vec<Listening>>,
    stage: Arc<StageCell>,
}

impl<F: FnOnce(ShardEnd)> Farewell<F> {
    fn new(index: u32, stage: Arc<StageCell>, ended: F) -> Self {
        Self { index, in_order: false, ended: Some(ended), listeners: Weak::new(), stage }
    }
}

impl<F: FnOnce(ShardEnd)> Drop for Farewell<F> {
    fn drop(&mut self) {
        // glommio may leave a task behind when another panics. Its listeners would go on taking their share of connections,
        // for nobody; deaf ones leave that share to the other shards. Those that a predecessor uses too stay as they are.
        if !self.stage.shares_listeners() {
            for listening in self.listeners.upgrade().iter().flat_map(|listeners| listeners.iter()) {
                let _ = listening.socket.shutdown(Shutdown::Read);
            }
        }
        if let Some(ended) = self.ended.take() {
            ended(ShardEnd { index: self.index, in_order: self.in_order });
        }
    }
}

/// The life of the thread.
fn live<F: FnOnce(ShardEnd)>(
    seed: Seed,
    cpu: usize,
    opened: &Receiver<Vec<Listening>>,
    up: &Sender<Result<(), String>>,
    mut farewell: Farewell<F>,
) {
    let executor = match executor(cpu) {
        Ok(executor) => executor,
        Err(reason) => {
            farewell.ended = None;
            let _ = up.send(Err(reason));
            return;
        }
    };
    seed.counters.started(cpu as u32);
    let _ = up.send(Ok(()));
    // Without sockets the start was given up.
    let Ok(sockets) = opened.recv() else {
        farewell.ended = None;
        return;
    };
    let sockets = Rc::new(sockets);
    farewell.listeners = Rc::downgrade(&sockets);
    let index = seed.index;
    match executor.run(run(seed, sockets)) {
        Ok(()) => farewell.in_order = true,
        Err(error) => tracing::error!(shard = index, %error, "the shard cannot watch its sockets"),
    }
}

thread_local! {
    static STARTING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is starting its executor: a panic is then expected, and told as an error.
pub fn is_starting() -> bool {
    STARTING.get()
}

fn executor(cpu: usize) -> Result<LocalExecutor, String> {
    let builder = LocalExecutorBuilder::new(Placement::Fixed(cpu))
        // Every turn of a shard passes through the reactor, so that no task needs to be preempted. A short timer does harm:
        // if it fires between two steps of the executor, that one sleeps although a task is runnable (seen at 1 ms, whenever
        // the thread lost its CPU for so long).
        .preempt_timer(Duration::from_millis(500))
        .io_memory(RING_MEMORY_BYTES)
        .ring_depth(RING_ENTRIES);
    // glommio panics where the kernel refuses io_uring.
    STARTING.set(true);
    let made = catch_unwind(AssertUnwindSafe(|| builder.make()));
    STARTING.set(false);
    match made {
        Ok(Ok(executor)) => Ok(executor),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the kernel refuses io_uring".into()),
    }
}

/// The value of the sysctl, or nothing where there is none.
fn io_uring_disabled() -> String {
    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default().trim().to_owned()
}

/// What an operator can do about an executor that does not start.
fn executor_fix(reason: &str, io_uring_disabled: &str) -> String {
    let reason = reason.to_lowercase();
    if reason.contains("memlock") || reason.contains("memory lock") {
        return "it needs 512 KiB of locked memory: LimitMEMLOCK=infinity in the unit, or `ulimit -l`".into();
    }
    if reason.contains("too many open files") {
        return "raise LimitNOFILE= in the unit, or `ulimit -n`".into();
    }
    match io_uring_disabled {
        "" => "the kernel has no io_uring: carom needs Linux 5.15 or newer with CONFIG_IO_URING".into(),
        "0" => "a seccomp profile may forbid io_uring, as those of Docker and containerd do: run with \
                `--security-opt seccomp=PROFILE` that allows io_uring_setup, io_uring_enter and io_uring_register"
            .into(),
        value => format!("kernel.io_uring_disabled is {value}: `sysctl kernel.io_uring_disabled=0`"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpStream};
    use std::sync::Arc;
    use std::time::Instant;

    use crate::control::drain::Stage;
    use crate::limits::{ConnectionLimits, HttpLimits};
    use crate::metrics::{Closed, ShardCells};
    use crate::protocol::Speech;
    use crate::shard::listen::Bound;

    use super::*;

    #[test]
    fn a_refusal_of_io_uring_names_what_refuses_it() {
        let refused = "the kernel refuses io_uring";
        let cases = [
            (refused, "2", "kernel.io_uring_disabled is 2"),
            (refused, "0", "seccomp"),
            (refused, "", "CONFIG_IO_URING"),
            ("memlock resource limit is too low", "0", "LimitMEMLOCK"),
            ("Too many open files (os error 24)", "0", "LimitNOFILE"),
        ];
        for (reason, sysctl, expected) in cases {
            let fix = executor_fix(reason, sysctl);
            assert!(fix.contains(expected), "{reason}, {sysctl:?}: {fix}");
        }
    }

    fn seed(limits: HttpLimits) -> Seed {
        Seed {
            index: 0,
            limits,
            connections: ConnectionLimits { per_shard_max: 16, per_source_max: 16 },
            speech: Speech::Http1,
            shed_farewells_max: 1,
            server: Vec::new(),
            plain_listeners: 1,
            acceptor: None,
            handshake_timeout: Duration::from_secs(5),
            surroundings: Arc::default(),
            proxies: Arc::default(),
            slot: Arc::default(),
            stage: Arc::default(),
            counters: ShardCells::new(0, Instant::now()).0,
            sampler: None,
            scout: None,
            recorder: None,
        }
    }

    /// Starts a shard on a free port; the receiver gets its end.
    fn start(seed: Seed) -> (ShardThread, SocketAddr, Receiver<ShardEnd>) {
        let bound = Bound::new(&["127.0.0.1:0".parse().unwrap()], 1).unwrap();
        let address = bound.addresses()[0];
        let (end, ended) = channel();
        let shard = ShardThread::start(seed, usable_cpus().unwrap()[0], move |ended| {
            end.send(ended).unwrap();
        });
        let shard = shard.unwrap_or_else(|error| panic!("{error}"));
        shard.serve(bound.listen(16).unwrap().remove(0));
        (shard, address, ended)
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_shard_that_dies_says_so_and_takes_no_more_connections() {
        // A deadline that no clock can express is a bug that makes the shard panic at its first connection.
        let limits = HttpLimits { header_timeout: Duration::MAX, ..HttpLimits::default() };
        let (shard, address, ended) = start(seed(limits));
        let mut first = TcpStream::connect(address).unwrap();
        assert_eq!(ended.recv_timeout(PATIENCE), Ok(ShardEnd { index: 0, in_order: false }));
        let refused = TcpStream::connect(address).err().map(|error| error.kind());
        assert_eq!(refused, Some(io::ErrorKind::ConnectionRefused));
        shard.join();
        assert_eq!(first.read(&mut [0]).unwrap_or(0), 0);
    }

    #[test]
    fn a_request_that_makes_us_panic_costs_its_connection_alone() {
        // Here the protocol itself panics, when it has answered.
        let limits = HttpLimits { idle_timeout: Duration::MAX, ..HttpLimits::default() };
        let (counters, cells) = ShardCells::new(0, Instant::now());
        let seed = Seed { counters, ..seed(limits) };
        let stage = Arc::clone(&seed.stage);
        let (shard, address, ended) = start(seed);
        let mut neighbour = TcpStream::connect(address).unwrap();
        for _ in 0..3 {
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(b"GET /a HTTP/1.1\r\nHost: go.example\r\n\r\n").unwrap();
            assert_eq!(client.read(&mut [0; 64]).unwrap(), 0);
        }
        neighbour.write_all(b"GET /a HTTP/1.0\r\n\r\n").unwrap();
        let mut reply = [0; 12];
        neighbour.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"HTTP/1.1 503");
        assert_eq!(cells.closed(Closed::Defect), 3);
        drop(neighbour);
        stage.enter(Stage::Closing);
        assert_eq!(ended.recv_timeout(PATIENCE), Ok(ShardEnd { index: 0, in_order: true }));
        shard.join();
    }

    #[test]
    fn a_shard_without_a_snapshot_answers_503_and_ends_when_the_node_has_drained() {
        let seed = seed(HttpLimits::default());
        let stage = Arc::clone(&seed.stage);
        let (shard, address, ended) = start(seed);
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"GET /a HTTP/1.1\r\nHost: go.example\r\n\r\n").unwrap();
        let mut reply = [0; 12];
        client.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"HTTP/1.1 503");
        drop(client);
        stage.enter(Stage::Closing);
        assert_eq!(ended.recv_timeout(PATIENCE), Ok(ShardEnd { index: 0, in_order: true }));
        shard.join();
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn there_is_a_cpu_to_run_on() {
        assert!(!usable_cpus().unwrap().is_empty());
    }
}
