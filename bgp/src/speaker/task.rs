//! The task that keeps BIRD at what is wanted: file first, then commands, then reading back; and again whenever something differs.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::bird::{BirdError, Client, Command, Reply, contents};
use super::state_file::{self, StateFile};
use super::{Enabled, Report, Session, steps};
use crate::announcement::{Announcement, Rung};
use crate::config::settings::Bird;
use crate::ladder::Others;
use crate::limits::REPAIRS_PER_MINUTE_MAX;

/// Who is told: BIRD by its socket, or a recorder.
pub trait Voice {
    /// Says everything and hears all replies; refusals are in the replies.
    fn say(&mut self, commands: &[Command]) -> impl Future<Output = Result<Vec<Reply>, BirdError>>;
}

/// BIRD by its socket: one connection that is kept, and made anew when it breaks.
#[derive(Debug)]
pub struct BirdVoice {
    socket: PathBuf,
    timeout: Duration,
    client: Option<Client>,
}

impl BirdVoice {
    /// Not connected yet.
    pub fn new(bird: &Bird) -> Self {
        Self { socket: bird.socket.clone(), timeout: bird.timeout, client: None }
    }
}

impl Voice for BirdVoice {
    async fn say(&mut self, commands: &[Command]) -> Result<Vec<Reply>, BirdError> {
        // A connection that was kept may belong to a BIRD that has ended: then a new one is tried at once.
        if let Some(mut client) = self.client.take() {
            match client.ask_all(commands).await {
                Ok(replies) => {
                    self.client = Some(client);
                    return Ok(replies);
                }
                Err(error @ (BirdError::Silent { .. } | BirdError::Protocol(_))) => return Err(error),
                Err(_) => {}
            }
        }
        let mut client = Client::connect(&self.socket, self.timeout).await?;
        let replies = client.ask_all(commands).await?;
        self.client = Some(client);
        Ok(replies)
    }
}

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its number, which the report repeats.
    pub number: u64,
    /// In the order of the announcements.
    pub rungs: Vec<Rung>,
    /// When it was decided.
    pub at: Instant,
}

/// What wakes the task besides orders.
#[derive(Debug, Default)]
pub struct Wakes {
    /// Somebody waits to hear whether other nodes announce.
    pub others: Notify,
    /// Something happened at BIRD: read it.
    pub read: Notify,
}

/// The task.
#[derive(Debug)]
pub struct Speaker<V> {
    voice: V,
    announcements: Vec<Announcement>,
    bird: Bird,
    file: StateFile,
    reports: mpsc::Sender<Report>,
    order: Option<Order>,
    /// Whether the order was carried out and confirmed since it was given.
    done: bool,
    reached: bool,
    status: contents::Status,
    repairs: VecDeque<Instant>,
    file_failure: Option<String>,
}

impl<V: Voice> Speaker<V> {
    /// A task for these announcements.
    pub fn new(
        voice: V,
        announcements: Vec<Announcement>,
        bird: &Bird,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        Self {
            voice,
            announcements,
            file: StateFile::new(&bird.state_file),
            bird: bird.clone(),
            reports,
            order: None,
            done: true,
            reached: false,
            status: contents::Status::default(),
            repairs: VecDeque::new(),
            file_failure: None,
        }
    }

    /// Works until nobody gives orders any more.
    pub async fn run(mut self, mut orders: mpsc::Receiver<Order>, wakes: Arc<Wakes>) {
        let mut look = interval(self.bird.reconcile);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => {
                    let Some(mut order) = order else { return };
                    while let Ok(newer) = orders.try_recv() {
                        order = newer;
                    }
                    self.obey(order).await;
                }
                () = wakes.others.notified() => self.ask_others().await,
                () = wakes.read.notified() => self.read().await,
                _ = look.tick() => self.read().await,
            }
        }
    }

    async fn report(&self, report: Report) {
        // Nobody listens any more: the sidecar ends.
        let _ = self.reports.send(report).await;
    }

    /// Carries an order out.
    pub async fn obey(&mut self, order: Order) {
        let before = self.order.replace(order);
        let was_done = std::mem::replace(&mut self.done, false);
        let order = self.order.as_ref().expect("just put there");
        let raises = match &before {
            Some(before) => order.rungs.iter().zip(&before.rungs).any(|(new, old)| new > old),
            None => true,
        };
        let text = state_file::text(&self.announcements, &order.rungs);
        // Announcing after a power failure what was never decided is worse than waiting for a disk; withdrawing waits for nothing.
        let written = self.file.put(&text, raises);
        self.note_file(written).await;
        self.bring_about(before.filter(|_| was_done)).await;
        if !raises {
            let settled = self.file.settle();
            self.note_file(settled).await;
        }
    }

    async fn note_file(&mut self, written: std::io::Result<()>) {
        let failure =
            written.err().map(|error| format!("cannot write {}: {error}", self.bird.state_file.display()));
        if failure != self.file_failure {
            self.file_failure.clone_from(&failure);
            self.report(Report::StateFile(failure.unwrap_or_default())).await;
        }
    }

    /// Makes BIRD announce what is wanted, whatever it announces now; where `before` is in force, only what differs is said.
    async fn bring_about(&mut self, before: Option<Order>) {
        let Some(order) = self.order.clone() else { return };
        match self.try_to(&order, before.as_ref()).await {
            Ok(()) => {
                self.done = true;
                self.report(Report::Done { order: order.number, took: order.at.elapsed() }).await;
            }
            Err(error) => self.report(Report::Failed { order: order.number, error }).await,
        }
    }

    async fn try_to(&mut self, order: &Order, before: Option<&Order>) -> Result<(), String> {
        // Commands are sent whatever BIRD was last seen to do: `already disabled` costs nothing, and a look before would.
        let changes = |index: usize| before.is_none_or(|before| before.rungs[index] != order.rungs[index]);
        let commands: Vec<_> = self
            .announcements
            .iter()
            .zip(&order.rungs)
            .enumerate()
            .filter(|(index, _)| changes(*index))
            .flat_map(|(_, (announcement, rung))| {
                let to = Enabled::up_to(*rung);
                let mut from = Enabled::up_to(Rung::Normal);
                for rung in Rung::ANNOUNCED {
                    from.set(rung, !to.has(rung));
                }
                steps(announcement, from, to)
            })
            .collect();
        let replies = self.voice.say(&commands).await.map_err(|error| error.to_string())?;
        let refused =
            commands.iter().zip(&replies).find_map(|(command, reply)| Some((command, reply.failure()?)));
        match refused {
            None => Ok(()),
            Some((command, line)) => Err(format!(
                "BIRD refused `{command}`: {} {}; is the file of `carom-bgp bird-config --part services` included?",
                line.code, line.text
            )),
        }
    }

    /// Asks whether other nodes announce.
    async fn ask_others(&mut self) {
        let commands = self.others_commands();
        if let Ok(replies) = self.voice.say(&commands).await {
            let others = self.others_from(&replies);
            self.report(Report::Others(others)).await;
        }
    }

    fn others_commands(&self) -> Vec<Command> {
        self.announcements
            .iter()
            .flat_map(|announcement| announcement.vips.iter().copied().map(Command::ShowOthers))
            .collect()
    }

    /// Another node announces if every address was learned; whoever announces only some of them cannot take over.
    fn others_from(&self, replies: &[Reply]) -> Vec<Others> {
        let mut replies = replies.iter();
        let of = |announcement: &Announcement| {
            let own: Vec<_> =
                replies.by_ref().take(announcement.vips.len()).map(contents::has_path).collect();
            match () {
                () if own.contains(&None) => Others::Unknown,
                () if own.contains(&Some(false)) => Others::Unseen,
                () => Others::Seen,
            }
        };
        self.announcements.iter().map(of).collect()
    }

    /// Reads what BIRD does, and puts right what somebody else changed.
    pub async fn read(&mut self) {
        let mut commands = vec![Command::ShowStatus, Command::ShowVips];
        commands.extend(self.bird.peers.iter().cloned().map(Command::ShowProtocol));
        let others_at = commands.len();
        commands.extend(self.others_commands());
        let exports_at = commands.len();
        for peer in &self.bird.peers {
            let first_vips = self.announcements.iter().map(|announcement| announcement.vips[0]);
            commands.extend(first_vips.map(|vip| Command::ShowExport(vip, peer.clone())));
        }
        let replies = match self.voice.say(&commands).await {
            Ok(replies) => replies,
            Err(error) => {
                self.reached = false;
                self.report(Report::Lost(error.to_string())).await;
                return;
            }
        };
        self.note_status(&replies[0]).await;
        let rows = contents::protocols(&replies[1]);
        let found: Vec<_> =
            self.announcements.iter().map(|announcement| enabled(announcement, &rows)).collect();
        let sessions = self.sessions(&replies[2..others_at], &replies[exports_at..]);
        let others = self.others_from(&replies[others_at..exports_at]);
        let rungs = found.iter().map(|enabled| enabled.map(Enabled::rung)).collect();
        self.report(Report::Read { rungs, sessions }).await;
        self.report(Report::Others(others)).await;
        self.put_right(&found).await;
    }

    async fn note_status(&mut self, reply: &Reply) {
        let status = contents::status(reply);
        let known = !self.status.version.is_empty();
        let restarted = known && status.last_reboot != self.status.last_reboot;
        let reconfigured =
            known && !restarted && status.last_reconfiguration != self.status.last_reconfiguration;
        if !self.reached || restarted {
            self.reached = true;
            self.report(Report::Reached { version: status.version.clone(), restarted }).await;
        }
        if reconfigured {
            self.report(Report::Reconfigured(status.last_reconfiguration.clone())).await;
        }
        self.status = status;
    }

    fn sessions(&self, states: &[Reply], exports: &[Reply]) -> Vec<Session> {
        let count = self.announcements.len();
        let of = |(index, peer): (usize, &String)| {
            let row = contents::protocols(&states[index]).remove(peer);
            let info = row.as_ref().map_or("no such protocol".into(), |row| row.info.clone());
            let exported = exports[index * count..][..count].iter().map(contents::exported_rung).collect();
            let established = row.is_some_and(|row| row.state == "up");
            Session { peer: peer.clone(), established, info, exported }
        };
        self.bird.peers.iter().enumerate().map(of).collect()
    }

    async fn put_right(&mut self, found: &[Option<Enabled>]) {
        let Some(order) = self.order.clone() else { return };
        let text = state_file::text(&self.announcements, &order.rungs);
        if !self.file.holds(&text) {
            let written = self.file.put(&text, true);
            self.note_file(written).await;
        }
        let differs = |(found, wanted): (&Option<Enabled>, &Rung)| {
            found.is_some_and(|found| found != Enabled::up_to(*wanted))
        };
        let foreign: Vec<_> = found
            .iter()
            .zip(&order.rungs)
            .enumerate()
            .filter(|(_, pair)| differs(*pair))
            .map(|(index, _)| index)
            .collect();
        if !self.done {
            // Ours, and not carried out yet: this is a repetition, not a repair.
            self.bring_about(None).await;
            return;
        }
        if foreign.is_empty() {
            return;
        }
        let repaired = self.may_repair();
        if repaired {
            self.bring_about(None).await;
        }
        for index in foreign {
            let found = found[index].map_or(Rung::Withdrawn, Enabled::rung);
            self.report(Report::Foreign { announcement: index, found, repaired }).await;
        }
    }

    fn may_repair(&mut self) -> bool {
        let now = Instant::now();
        while self.repairs.front().is_some_and(|first| now.duration_since(*first) >= Duration::from_secs(60))
        {
            self.repairs.pop_front();
        }
        let may = self.repairs.len() < REPAIRS_PER_MINUTE_MAX as usize;
        if may {
            self.repairs.push_back(now);
        }
        may
    }
}

/// What BIRD does with an announcement; `None`: a protocol is missing, so that its configuration is not ours.
fn enabled(
    announcement: &Announcement,
    rows: &std::collections::BTreeMap<String, contents::Protocol>,
) -> Option<Enabled> {
    let mut enabled = Enabled::default();
    for rung in Rung::ANNOUNCED {
        let row = rows.get(&announcement.protocol(rung))?;
        // On their way down protocols are `flush` or `stop`, on their way up `start`.
        enabled.set(rung, matches!(row.state.as_str(), "up" | "start"));
    }
    Some(enabled)
}

/// Listens to what BIRD logs and wakes the speaker when it concerns us: a foreign change is seen at once, not at the next look.
pub async fn listen(bird: Bird, wakes: Arc<Wakes>) {
    let mut wait = crate::limits::BIRD_RETRY_FIRST;
    loop {
        if let Ok(mut ears) = Client::connect(&bird.socket, bird.timeout).await
            && ears.ask(&Command::EchoAll).await.is_ok()
        {
            wait = crate::limits::BIRD_RETRY_FIRST;
            wakes.read.notify_one();
            while let Ok(aside) = ears.aside().await {
                let ours =
                    ["vip_", "econfigur", "Graceful", "hutdown"].iter().any(|word| aside.contains(word));
                let peers = bird.peers.iter().any(|peer| aside.starts_with(peer.as_str()));
                if ours || peers {
                    wakes.read.notify_one();
                }
            }
            // The connection is gone: BIRD ended, or threw us out.
            wakes.read.notify_one();
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(crate::limits::BIRD_RETRY_MAX);
    }
}

#[cfg(test)]
mod tests;
