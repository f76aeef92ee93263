//! The side of the node that serves: it waits for a successor, gives it what it needs, and goes on serving unless that one is ready.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use socket2::Socket;
use tokio::sync::mpsc::UnboundedSender;

use crate::build_info;
use crate::control::state::{NodeState, Phase};
use crate::control::swap::Brake;
use crate::guard::Reclaim;
use crate::limits::{CHILD_END, HANDOVER_ANSWER, HANDOVER_GLANCE, HANDOVER_PATIENCE};

use super::launch::CommandLine;
use super::socket_path;
use super::wire::{Line, Message, Offer, OfferedListener, PROTOCOL};

/// What there is to hand over. Sockets are known by weak handles: what a drain has closed stays closed.
pub struct Estate {
    /// The addresses of traffic: as configured, and with their ports.
    pub listeners: Vec<(SocketAddr, SocketAddr)>,
    /// Every listening socket with the index of its address.
    pub sockets: Vec<(usize, Weak<Socket>)>,
    /// The admin listener: as configured, as bound, and a descriptor of it.
    pub admin: (String, String, AdminDescriptor),
    /// The lock on the state directory.
    pub lock: Option<OwnedFd>,
    /// Keeps the node from touching snapshots meanwhile.
    pub brake: Brake,
    /// Puts the guard back, if a successor has changed it and then failed.
    pub reclaim: Reclaim,
}

/// A descriptor of the admin listener, until the drain takes it away.
pub type AdminDescriptor = Arc<Mutex<Option<OwnedFd>>>;

/// The node is to drain: its successor serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedOver {
    /// For each address, whether the successor took its sockets.
    pub taken: Vec<bool>,
}

/// A handle to the thread. When it is dropped, the name of the socket goes, unless it is a successor's by now.
pub struct Offering {
    path: PathBuf,
    inode: (u64, u64),
    admin: AdminDescriptor,
}

impl Offering {
    /// Waits for successors in the state directory, on a thread of its own. `handed_over` hears of the one that serves.
    ///
    /// # Errors
    ///
    /// The socket or the thread cannot be made: the node serves, and cannot be upgraded.
    pub fn start(
        state_dir: &Path,
        estate: Estate,
        state: Arc<NodeState>,
        handed_over: UnboundedSender<HandedOver>,
    ) -> io::Result<Self> {
        let path = socket_path(state_dir);
        let listener = Line::listen(&path)?;
        let inode = inode(&path)?;
        let admin = Arc::clone(&estate.admin.2);
        let waiting = Waiting {
            estate,
            state,
            handed_over,
            command: CommandLine::of_this_process(),
            child: None,
            asker: None,
        };
        thread::Builder::new().name("handover".into()).spawn(move || waiting.run(&listener))?;
        Ok(Self { path, inode, admin })
    }

    /// Lets go of the admin listener: from now on it is closed when its owner closes it.
    pub fn withdraw(&self) {
        self.admin.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Offering {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|there| there == self.inode) {
            // A name that stays is replaced by the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::symlink_metadata(path).map(|there| (there.dev(), there.ino()))
}

/// The state of the thread.
struct Waiting {
    estate: Estate,
    state: Arc<NodeState>,
    handed_over: UnboundedSender<HandedOver>,
    command: CommandLine,
    /// The successor that this node has started, and when.
    child: Option<(Child, Instant)>,
    /// Who wants to know how it went.
    asker: Option<Line>,
}

/// What came of one successor.
enum Outcome {
    Serves(Vec<bool>),
    Fails(String),
}

impl Waiting {
    fn run(mut self, listener: &Socket) {
        loop {
            // Only a child that was started and has not come yet needs to be looked after.
            let patience = self.child.is_some().then_some(HANDOVER_GLANCE);
            let accepted = listener.set_read_timeout(patience).and_then(|()| Line::accept(listener));
            match accepted {
                Ok(line) => {
                    if self.answer(line) {
                        return;
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {
                        self.look_after_child();
                    }
                    io::ErrorKind::PermissionDenied => {
                        tracing::warn!(%error, "a stranger wanted to take over");
                    }
                    _ => {
                        tracing::error!(%error, "cannot wait for successors any more: the next upgrade needs a restart");
                        return;
                    }
                },
            }
        }
    }

    /// Talks to whoever has connected. True if it is the successor, and serves.
    fn answer(&mut self, line: Line) -> bool {
        let heard = line.patience(Some(HANDOVER_ANSWER)).and_then(|()| line.hear());
        let unknown = |protocol| {
            format!(
                "it speaks version {protocol} of the hand-over, and this process speaks {PROTOCOL}: restart instead"
            )
        };
        match heard {
            Ok(Some(Message::TakeOver { protocol: PROTOCOL, pid, program })) => {
                tracing::info!(successor = pid, program, "a successor wants to take over");
                return self.hand_over(line, pid);
            }
            Ok(Some(Message::TakeOver { protocol, .. })) => {
                self.fail(unknown(protocol));
                let _ = line.say(&Message::Withdrawn { reason: unknown(PROTOCOL) });
            }
            Ok(Some(Message::Upgrade { protocol: PROTOCOL })) => self.start_child(line),
            Ok(Some(Message::Upgrade { protocol })) => {
                let _ = line.say(&Message::Failed { reason: unknown(protocol) });
            }
            Ok(None) => {}
            other => tracing::warn!(?other, "no successor, but something else has connected"),
        }
        false
    }

    fn start_child(&mut self, line: Line) {
        if self.child.is_some() {
            let _ = line.say(&Message::Failed { reason: "another upgrade is under way".into() });
            return;
        }
        match self.command.start() {
            Ok(child) => {
                tracing::info!(successor = child.id(), "the successor is started");
                let _ = line.say(&Message::Starting { pid: child.id() });
                self.child = Some((child, Instant::now()));
                self.asker = Some(line);
            }
            Err(error) => {
                self.asker = Some(line);
                self.fail(error.to_string());
            }
        }
    }

    /// A child that ends before it has come, or does not come, is a failed upgrade.
    fn look_after_child(&mut self) {
        let Some((child, began)) = &mut self.child else { return };
        match child.try_wait() {
            Ok(Some(status)) => {
                self.fail(format!("the new process ended at its start ({status}); its own lines say why"));
            }
            _ if began.elapsed() > HANDOVER_PATIENCE => {
                self.fail("the new process was started and never asked for the listeners".into());
            }
            _ => {}
        }
    }

    fn hand_over(&mut self, line: Line, successor: u32) -> bool {
        if let Err(reason) = self.offer(&line) {
            let _ = line.say(&Message::Withdrawn { reason: reason.clone() });
            self.estate.brake.release();
            self.fail(reason);
            return false;
        }
        match self.until_ready(&line) {
            Outcome::Serves(taken) => {
                tracing::info!(successor, "the successor serves: this process drains and ends");
                let _ = self.handed_over.send(HandedOver { taken });
                if let Some(asker) = self.asker.take() {
                    let _ = asker.say(&Message::Upgraded { pid: successor });
                }
                // The end of this connection tells the successor that this process has ended. It comes with the end of the
                // process, by whatever cause.
                std::mem::forget(line);
                true
            }
            Outcome::Fails(reason) => {
                // Before the successor's sockets can close, this process has everything back.
                self.estate.brake.release();
                self.estate.reclaim.reclaim();
                let _ = line.say(&Message::Withdrawn { reason: reason.clone() });
                drop(line);
                self.fail(reason);
                false
            }
        }
    }

    /// Sends the offer and its descriptors.
    fn offer(&self, line: &Line) -> Result<(), String> {
        if self.state.phase() == Phase::Draining {
            return Err("this node is ending".into());
        }
        if !self.estate.brake.hold() {
            return Err("a snapshot is just being brought into service; try again when it serves".into());
        }
        let broken = |error: io::Error| format!("the descriptors could not be sent: {error}");
        let sockets: Option<Vec<Arc<Socket>>> =
            self.estate.sockets.iter().map(|(_, socket)| socket.upgrade()).collect();
        let sockets = sockets.ok_or("this node has closed listeners: it is ending")?;
        let (configured, bound, admin) = &self.estate.admin;
        let admin = admin.lock().unwrap_or_else(PoisonError::into_inner);
        let offer = Offer {
            pid: std::process::id(),
            program: build_info::THIS.version.to_owned(),
            listeners: self
                .estate
                .listeners
                .iter()
                .map(|&(configured, bound)| OfferedListener { configured, bound })
                .collect(),
            sockets: self.estate.sockets.iter().map(|&(address, _)| address).collect(),
            admin: admin.is_some().then(|| (configured.clone(), bound.clone())),
            lock: self.estate.lock.is_some(),
        };
        let descriptors: Vec<BorrowedFd<'_>> = sockets
            .iter()
            .map(|socket| socket.as_fd())
            .chain(admin.as_ref().map(AsFd::as_fd))
            .chain(self.estate.lock.as_ref().map(AsFd::as_fd))
            .collect();
        line.say(&Message::Offer(offer)).and_then(|()| line.pass(&descriptors)).map_err(broken)
    }

    /// Waits until the successor is ready, gives up, or is gone.
    fn until_ready(&mut self, line: &Line) -> Outcome {
        let began = Instant::now();
        if let Err(error) = line.patience(Some(HANDOVER_GLANCE)) {
            return Outcome::Fails(error.to_string());
        }
        loop {
            match line.hear() {
                Ok(Some(Message::Ready { taken })) => {
                    // It must hear this: otherwise it has died meanwhile, and nobody would serve.
                    return match line.say(&Message::Yours) {
                        Ok(()) => Outcome::Serves(taken),
                        Err(_) => Outcome::Fails("the new process died when it was ready".into()),
                    };
                }
                Ok(Some(Message::GivesUp { reason })) => return Outcome::Fails(reason),
                Ok(Some(other)) => return Outcome::Fails(format!("the new process says {other:?}")),
                Ok(None) => {
                    let reason = "the new process ended before it was ready; its own lines say why";
                    return Outcome::Fails(reason.into());
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    if self.state.phase() == Phase::Draining {
                        return Outcome::Fails("this node was told to end meanwhile".into());
                    }
                    if began.elapsed() > HANDOVER_PATIENCE {
                        let seconds = HANDOVER_PATIENCE.as_secs();
                        return Outcome::Fails(format!("the new process was not ready within {seconds} s"));
                    }
                }
                Err(error) => return Outcome::Fails(error.to_string()),
            }
        }
    }

    /// Says that this process serves on, and sees a successor that it has started off.
    fn fail(&mut self, reason: String) {
        tracing::error!(reason, "the upgrade failed: this process serves on");
        self.state.handover_failed();
        if let Some((mut child, _)) = self.child.take() {
            let until = Instant::now() + CHILD_END;
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
                thread::sleep(Duration::from_millis(10));
            }
            // Nothing happens to one that has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Some(asker) = self.asker.take() {
            let _ = asker.say(&Message::Failed { reason });
        }
    }
}
