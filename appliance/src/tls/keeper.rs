//! The thread that keeps certificates and ticket keys fresh: files are read and checked where no client waits for it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};
use vitals::TlsVitals;

use super::certificates::{Caution, Directory, Flaw, Loaded, Store};
use super::tickets::{Secret, TicketKeys, Tickets};
use crate::config::settings;
use crate::limits::{FLAWS_LOGGED_MAX, TICKET_SECRET_BYTES_MAX, TICKET_TURN};

/// What is known about certificates and tickets, replaced as a whole.
#[derive(Debug)]
pub struct TlsFacts {
    /// What handshakes look into.
    pub store: Arc<Store>,
    /// Pairs that cannot be used as they are on disk.
    pub flaws: Arc<[Flaw]>,
    /// Why the directory could not be read the last time; `None`: it could.
    pub directory_failure: Option<String>,
    /// How often a new look-up came into service.
    pub swaps: u64,
    /// How long it took to read what was new.
    pub took: Duration,
    /// Days before its end from which a certificate is complained about.
    pub warning_days: u32,
    /// Whether tickets are those of the fleet; false: the node's own.
    pub fleet_tickets: bool,
    /// Why the secret could not be read the last time; `None`: it could, or there is none.
    pub secret_failure: Option<String>,
}

impl TlsFacts {
    /// How many names end within the warning.
    pub fn expiring(&self, unix_s: i64) -> usize {
        let by_expiry = self.store.by_expiry();
        by_expiry.partition_point(|expiry| expiry.days_left(unix_s) < i64::from(self.warning_days))
    }

    /// As a document.
    pub fn vitals(&self, unix_s: i64) -> TlsVitals {
        let soonest = self.store.by_expiry().first();
        TlsVitals {
            certificates: self.store.pairs().len() as u64,
            names: self.store.names() as u64,
            unusable: self.flaws.len() as u64,
            expiring: self.expiring(unix_s) as u64,
            soonest_name: soonest.map(|expiry| expiry.name.to_string()),
            soonest_days: soonest.map(|expiry| expiry.days_left(unix_s)),
            fleet_tickets: self.fleet_tickets,
            last_failure: self.directory_failure.clone().or_else(|| self.secret_failure.clone()),
        }
    }
}

/// Why a node cannot serve HTTPS.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The directory.
    #[error("cannot read {path} (tls.certificates): {error}")]
    Directory {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Nothing to serve with.
    #[error(
        "no certificate in {path} (tls.certificates) can be used{first}; put pairs of NAME.crt and NAME.key there, or remove \
         listen.https"
    )]
    NoCertificates {
        /// The directory.
        path: PathBuf,
        /// The first flaw, with punctuation, or nothing.
        first: String,
    },
    /// The secret of tickets.
    #[error("{0} (tls.ticket_secret)")]
    Secret(String),
    /// No randomness.
    #[error("cannot make keys for session tickets: {0}")]
    Randomness(String),
    /// The thread.
    #[error("cannot start the thread for certificates: {0}")]
    Thread(io::Error),
}

/// What shards share: certificates and tickets.
#[derive(Clone)]
pub struct Shared {
    /// Certificates by name.
    pub store: Arc<ArcSwap<Store>>,
    /// Seals and opens tickets.
    pub tickets: Arc<Tickets>,
    /// What is known.
    pub facts: Arc<ArcSwapOption<TlsFacts>>,
}

/// What the thread works with.
pub struct Work {
    directory: Directory,
    keys: TicketKeys,
    secret_path: Option<PathBuf>,
    poll_interval: Option<Duration>,
    warning_days: u32,
    shared: Shared,
    complained: Vec<Flaw>,
    /// How many certificates deserved each caution when the log last said so.
    cautions: [usize; Caution::ALL.len()],
    warned: Option<Instant>,
    swaps: u64,
}

impl Work {
    /// Reads certificates and secret for the first time.
    ///
    /// # Errors
    ///
    /// The directory cannot be read, nothing in it can be used, or the secret cannot be read.
    pub fn begin(settings: &settings::Tls) -> Result<Self, KeeperError> {
        let settings::Tls {
            certificates,
            poll_interval,
            default_certificate,
            min_version: _,
            handshake_timeout: _,
            ticket_secret,
            ticket_epoch,
            public_port: _,
            expiry_warning_days,
        } = settings;
        let secret = match ticket_secret {
            Some(path) => read_secret(path).map_err(KeeperError::Secret)?,
            None => Secret::own().map_err(KeeperError::Randomness)?,
        };
        let mut keys = TicketKeys::new(secret, *ticket_epoch);
        keys.turn(unix_s());
        let shared = Shared {
            store: Arc::default(),
            tickets: keys.tickets(),
            facts: Arc::new(ArcSwapOption::empty()),
        };
        let mut work = Self {
            directory: Directory::new(certificates.clone(), default_certificate.clone()),
            keys,
            secret_path: ticket_secret.clone(),
            poll_interval: *poll_interval,
            warning_days: *expiry_warning_days,
            shared,
            complained: Vec::new(),
            cautions: [0; Caution::ALL.len()],
            warned: None,
            swaps: 0,
        };
        let began = Instant::now();
        let loaded = work
            .directory
            .load(unix_s() as i64)
            .map_err(|error| KeeperError::Directory { path: certificates.clone(), error })?;
        if loaded.store.as_ref().is_none_or(|store| store.pairs().is_empty()) {
            let first = loaded.flaws.first();
            let first = first.map(|flaw| format!(" ({}: {})", flaw.file.display(), flaw.reason));
            return Err(KeeperError::NoCertificates {
                path: certificates.clone(),
                first: first.unwrap_or_default(),
            });
        }
        if ticket_secret.is_none() {
            tracing::warn!(
                "session tickets are sealed with a key of this node alone: sessions are not resumed on other nodes, nor \
                 after a restart (tls.ticket_secret)"
            );
        }
        work.take(loaded, began, None);
        Ok(work)
    }

    /// What shards share.
    pub fn shared(&self) -> Shared {
        self.shared.clone()
    }

    /// Looks at the directory, and at the secret if that was asked for.
    fn look(&mut self, asked: bool) {
        let began = Instant::now();
        let secret_failure = if asked { self.reread_secret() } else { self.last_secret_failure() };
        match self.directory.load(unix_s() as i64) {
            Ok(loaded) => self.take(loaded, began, secret_failure),
            Err(error) => {
                let path = self.directory.path().display();
                let failure = format!("cannot read {path} (tls.certificates): {error}");
                tracing::error!(failure, "certificates were not looked at: the old ones serve on");
                self.tell(Some(failure), secret_failure, None, began.elapsed());
            }
        }
    }

    fn reread_secret(&mut self) -> Option<String> {
        let path = self.secret_path.as_ref()?;
        match read_secret(path) {
            Ok(secret) => {
                if self.keys.replace(secret, unix_s()) {
                    tracing::info!("the secret of session tickets was replaced");
                }
                None
            }
            Err(failure) => {
                tracing::error!(failure, "the secret of session tickets stays as it was");
                Some(failure)
            }
        }
    }

    fn last_secret_failure(&self) -> Option<String> {
        self.shared.facts.load().as_ref().and_then(|facts| facts.secret_failure.clone())
    }

    /// Puts what was loaded into service.
    fn take(&mut self, loaded: Loaded, began: Instant, secret_failure: Option<String>) {
        let Loaded { store, flaws } = loaded;
        let took = began.elapsed();
        for flaw in flaws.iter().filter(|flaw| !self.complained.contains(flaw)).take(FLAWS_LOGGED_MAX) {
            let Flaw { file, reason, kept } = flaw;
            tracing::error!(file = %file.display(), reason, old_one_serves = kept, "certificate not usable");
        }
        let is_news = flaws != self.complained;
        if is_news && flaws.len() > FLAWS_LOGGED_MAX {
            tracing::error!(flaws = flaws.len(), "more certificates are not usable: `carom certs` names all");
        }
        if let Some(store) = store {
            self.swaps += 1;
            let now = unix_s() as i64;
            let soonest = store.pairs().iter().map(|pair| pair.days_left(now)).min();
            tracing::info!(
                certificates = store.pairs().len(),
                names = store.names(),
                unusable = flaws.len(),
                soonest_expiry_days = soonest,
                took_ms = took.as_millis() as u64,
                "certificates serve"
            );
            self.warn_of_cautions(&store);
            self.shared.store.store(Arc::new(store));
        }
        self.warn_of_expiry();
        self.complained.clone_from(&flaws);
        self.tell(None, secret_failure, Some(flaws), took);
    }

    /// Says for each caution how many certificates deserve it, and names one, when the number has changed.
    fn warn_of_cautions(&mut self, store: &Store) {
        for (caution, told) in Caution::ALL.into_iter().zip(&mut self.cautions) {
            let mut cautioned = store.pairs().iter().filter(|pair| pair.cautions.contains(&caution));
            let first = cautioned.next();
            let count = usize::from(first.is_some()) + cautioned.count();
            if std::mem::replace(told, count) != count
                && let Some(first) = first
            {
                tracing::warn!(
                    certificates = count,
                    first = first.label,
                    reason = caution.text(),
                    "certificates serve that are not as they should be (`carom certs` lists all)"
                );
            }
        }
    }

    /// Says once a day which certificate ends first, if one ends soon.
    fn warn_of_expiry(&mut self) {
        let now = unix_s() as i64;
        let store = self.shared.store.load();
        let soon =
            store.by_expiry().first().filter(|first| first.days_left(now) < i64::from(self.warning_days));
        if let Some(first) = soon
            && self.warned.is_none_or(|at| at.elapsed() >= WARNING_INTERVAL)
        {
            self.warned = Some(Instant::now());
            tracing::warn!(
                name = &*first.name,
                days = first.days_left(now),
                "a certificate is about to expire (said once a day; `carom certs` lists all)"
            );
        }
    }

    fn tell(
        &self,
        directory_failure: Option<String>,
        secret_failure: Option<String>,
        flaws: Option<Vec<Flaw>>,
        took: Duration,
    ) {
        let before = self.shared.facts.load_full();
        let flaws = match (flaws, &before) {
            (Some(flaws), _) => flaws.into(),
            (None, Some(before)) => Arc::clone(&before.flaws),
            (None, None) => Arc::default(),
        };
        self.shared.facts.store(Some(Arc::new(TlsFacts {
            store: self.shared.store.load_full(),
            flaws,
            directory_failure,
            swaps: self.swaps,
            took,
            warning_days: self.warning_days,
            fleet_tickets: self.secret_path.is_some(),
            secret_failure,
        })));
    }

    fn watch(mut self, asked: &Receiver<()>) {
        let mut looked_at = Instant::now();
        loop {
            let asked = match asked.recv_timeout(TICKET_TURN) {
                Ok(()) => true,
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.keys.turn(unix_s());
            if asked || self.poll_interval.is_some_and(|interval| looked_at.elapsed() >= interval) {
                // A file that makes us panic must not keep the others from being renewed.
                if catch_unwind(AssertUnwindSafe(|| self.look(asked))).is_err() {
                    tracing::error!(
                        "a certificate makes the program panic, which is a defect of the program: the log has the place"
                    );
                }
                looked_at = Instant::now();
            }
        }
    }
}

/// A handle to the thread, which ends when the handle is dropped.
pub struct Keeper {
    requests: Sender<()>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn start(work: Work) -> Result<Self, KeeperError> {
        let (requests, asked) = channel();
        let body = move || {
            // On Linux this is the priority of the thread: ten thousand certificates can wait for shards.
            if let Err(error) = rustix::process::setpriority_process(None, NICE) {
                tracing::warn!(%error, "cannot lower the priority of the thread for certificates");
            }
            work.watch(&asked);
        };
        thread::Builder::new().name("certificates".into()).spawn(body).map_err(KeeperError::Thread)?;
        Ok(Self { requests })
    }

    /// Looks at certificates and secret now.
    pub fn reload(&self) {
        // The thread lives as long as the handle.
        let _ = self.requests.send(());
    }
}

/// A certificate that is about to expire is complained about so often.
const WARNING_INTERVAL: Duration = Duration::from_secs(86_400);

/// A tenth of a shard's weight on a CPU that both want.
const NICE: i32 = 10;

fn read_secret(path: &Path) -> Result<Secret, String> {
    let read = std::fs::metadata(path).and_then(|metadata| {
        if metadata.len() > TICKET_SECRET_BYTES_MAX {
            return Err(io::Error::other(format!("it has more than {TICKET_SECRET_BYTES_MAX} bytes")));
        }
        std::fs::read(path)
    });
    let bytes = read.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    // A line end that an editor left differs between nodes, and says nothing.
    Secret::new(bytes.trim_ascii()).map_err(|error| format!("{}: {error}", path.display()))
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
