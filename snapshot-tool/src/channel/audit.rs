//! `audit`: the log of the channel, every record checked, and what it says held against what is there.

use super::arguments::ChannelArguments;
use super::desk::{Desk, record_name, root_name};
use crate::exit::Exit;
use crate::moment;
use crate::output::{counted, say};
use anyhow::{Context, bail};
use serde_json::json;
use snapshot_channel::limits::{DOCUMENT_BYTES_MAX, ROOT_VERSIONS_MAX};
use snapshot_channel::pointer::{Target, Wave};
use snapshot_channel::record::{Act, Chain, Record};
use snapshot_channel::root::Root;
use snapshot_channel::{Access, PublicKey, Store, Trust};
use std::collections::BTreeMap;

/// Show who did what, and check that nothing was changed or left out.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    #[command(flatten)]
    channel: ChannelArguments,
    /// Only the last N acts; all are checked.
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    last: usize,
    /// Print one JSON object per act.
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Each record names the hash of the one before it and is signed by whoever acted. Whoever keeps the hash of the last record \
(the last line) can prove later that nothing before it was changed. After a rotation of the root key, name the first root key \
too (--trust OLD,NEW): older records are believed from it.

Exit codes: 0 the log is whole and the pointer follows from it, 1 it is not.";

/// The log of a channel.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Every record, the oldest first.
    pub records: Vec<Record>,
    /// Where it ends.
    pub chain: Chain,
}

/// Runs `audit`.
///
/// # Errors
/// The log is not whole, or does not say what is there.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let desk = Desk::open(&arguments.channel, Access::Read)?;
    let log = read_log(&desk)?;
    let silent = never_announced(&log);
    let skipped = log.records.len().saturating_sub(arguments.last);
    for record in &log.records[skipped..] {
        let announced = !silent.contains(&record.number);
        if arguments.json {
            let mut object = json!(record);
            object["announced"] = announced.into();
            say(object);
        } else {
            say(line(record, announced));
        }
    }
    check_waves(&desk, &log, &silent)?;
    let hash = log.chain.hash.map(|hash| hash.to_string()).unwrap_or_default();
    if arguments.json {
        say(json!({ "records": log.chain.number, "hash": hash }));
    } else {
        say(format!(
            "{} in an unbroken chain; the last one has the hash {hash}",
            counted(log.chain.number, "record")
        ));
    }
    Ok(Exit::Success)
}

/// Reads and checks every record.
///
/// # Errors
/// A record is missing, changed, or signed by nobody who ever might.
pub fn read_log(desk: &Desk) -> anyhow::Result<Log> {
    let keys = keys_of_all_roots(&desk.store, &desk.anchors, Root::all_keys)?;
    let mut log = Log::default();
    loop {
        let name = record_name(log.chain.number + 1);
        let Some(fetched) = desk.store.get(&name, DOCUMENT_BYTES_MAX)? else { break };
        let record =
            log.chain.follow(&fetched.bytes, desk.trust.channel(), &keys).with_context(|| name.clone())?;
        log.records.push(record);
    }
    if let Some((pointer, _)) = &desk.pointer
        && pointer.sequence > log.chain.number
    {
        bail!(
            "the pointer has sequence {}, and the log ends with record {}",
            pointer.sequence,
            log.chain.number
        );
    }
    Ok(log)
}

/// The keys that any root of this channel has known for a purpose, from the first trusted one on.
///
/// # Errors
/// A rotation is not believed, or the store fails.
pub fn keys_of_all_roots(
    store: &Store,
    anchors: &[PublicKey],
    purpose: impl Fn(&Root) -> Vec<PublicKey>,
) -> anyhow::Result<Vec<PublicKey>> {
    let mut trust: Option<Trust> = None;
    let mut keys = Vec::new();
    for version in 1..=ROOT_VERSIONS_MAX {
        let Some(fetched) = store.get(&root_name(version), DOCUMENT_BYTES_MAX)? else { break };
        trust = match trust {
            Some(before) => Some(before.next_root(&fetched.bytes)?),
            None => Trust::anchor(anchors, 1, &fetched.bytes).ok(),
        };
        keys.extend(trust.iter().flat_map(|trust| purpose(trust.root())));
    }
    Ok(keys)
}

/// Numbers of moves that no pointer ever showed: whoever wrote them died, or lost a race. The next move of the same wave does
/// not come from where they went.
pub fn never_announced(log: &Log) -> Vec<u64> {
    let mut last: BTreeMap<Wave, (u64, Target)> = BTreeMap::new();
    let mut silent = Vec::new();
    for record in &log.records {
        if let Act::Move { wave, to, from, .. } = &record.act {
            if let Some((number, went)) = last.get(wave)
                && Some(*went) != *from
            {
                silent.push(*number);
            }
            last.insert(*wave, (record.number, *to));
        }
    }
    silent
}

/// What the pointer says must follow from the log.
fn check_waves(desk: &Desk, log: &Log, silent: &[u64]) -> anyhow::Result<()> {
    let waves = desk.waves();
    for wave in Wave::EVERY {
        let moves = log.records.iter().rev().filter(|record| !silent.contains(&record.number));
        let mut said = moves.filter_map(|record| match &record.act {
            Act::Move { wave: moved, to, .. } if *moved == wave => Some(*to),
            _ => None,
        });
        let (served, newest) = (waves.of(wave).map(|served| served.target), said.next());
        // The very last move may still wait for its pointer.
        if served != newest && served != said.next() {
            bail!(
                "wave {wave} serves what the log does not say: somebody has written a pointer without a record"
            );
        }
    }
    Ok(())
}

fn line(record: &Record, announced: bool) -> String {
    let version =
        |target: &Option<Target>| target.map_or("nothing".into(), |target| target.version.to_string());
    let act = match &record.act {
        Act::Trust { version } => format!("trust: root {version}"),
        Act::Move { verb, wave, to, from } => format!("{verb}: {wave} {} → {}", version(from), to.version),
        Act::Pin { wave, reason: Some(reason) } => format!("pin: {wave} ({reason})"),
        Act::Pin { wave, reason: None } => format!("pin: {wave} let go"),
        Act::Renew => "renew".into(),
        Act::Deny { added, removed } => format!("deny: {added} added, {removed} removed"),
        Act::Collect { objects, bytes } => format!("gc: {objects} objects, {bytes} bytes"),
    };
    let mut text = format!("{:>6} {} {} {act}", record.number, moment::render(record.at_unix_s), record.who);
    if let Some(changes) = &record.changes {
        let (added, removed, changed) = (changes.added, changes.removed, changes.changed);
        text.push_str(&format!(" [+{added} -{removed} ~{changed}]"));
    }
    for through in &record.overrides {
        text.push_str(&format!(" [override {}: {}; {}]", through.gate, through.finding, through.reason));
    }
    if let Some(note) = &record.note {
        text.push_str(&format!(" – {note}"));
    }
    if !announced {
        text.push_str(" (never announced)");
    }
    text
}
