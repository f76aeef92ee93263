//! The desk at which acts are prepared: the channel as it is now, believed as nodes believe it, and the one way to change it.

use super::arguments::{ActArguments, ChannelArguments, now_unix_s, tool, who};
use anyhow::{Context, bail};
use snapshot_channel::document::{Kind, seal};
use snapshot_channel::failpoint;
use snapshot_channel::limits::{DOCUMENT_BYTES_MAX, ROOT_VERSIONS_MAX};
use snapshot_channel::manifest::Manifest;
use snapshot_channel::pointer::{Pointer, Served, Target, Wave, Waves};
use snapshot_channel::record::{Act, Chain, Changes, Override, Record};
use snapshot_channel::store::Fetched;
use snapshot_channel::{Access, PublicKey, SecretKey, Store, Trust};
use std::time::Duration;

/// A channel as it is now.
#[derive(Debug)]
pub struct Desk {
    /// Where it lies.
    pub store: Store,
    /// The root keys that everything is believed from.
    pub anchors: Vec<PublicKey>,
    /// What is believed of it.
    pub trust: Trust,
    /// The pointer, and its bytes.
    pub pointer: Option<(Pointer, Fetched)>,
    /// Where its log ends.
    pub chain: Chain,
}

/// What is announced beside the waves.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// What is done.
    pub act: Act,
    /// What each wave serves from now on.
    pub waves: Waves,
    /// What changed.
    pub changes: Option<Changes>,
    /// Gates that were gone through.
    pub overrides: Vec<Override>,
}

impl Desk {
    /// Opens a channel and believes what is in it. Expiry binds readers, not those who are about to write anew.
    ///
    /// # Errors
    /// There is no such channel, or something in it is not believed.
    pub fn open(arguments: &ChannelArguments, access: Access) -> anyhow::Result<Self> {
        let store = Store::open(&arguments.channel, access)?;
        let anchors = arguments.anchors()?;
        let trust = anchor(&store, &anchors)?;
        let (pointer, trust) = match store.get("pointer", DOCUMENT_BYTES_MAX)? {
            None => (None, trust),
            Some(fetched) => {
                let (pointer, trust) = trust.pointer(&fetched.bytes, 0)?;
                (Some((pointer, fetched)), trust)
            }
        };
        Ok(Self { store, anchors, trust, pointer, chain: Chain::default() })
    }

    /// The same, ready to act: the end of the log is known.
    ///
    /// # Errors
    /// As for `open`, or the log cannot be read.
    pub fn open_to_act(arguments: &ChannelArguments) -> anyhow::Result<Self> {
        let mut desk = Self::open(arguments, Access::Write)?;
        desk.chain = end_of_log(&desk.store)?;
        Ok(desk)
    }

    /// What each wave serves.
    pub fn waves(&self) -> Waves {
        self.pointer.as_ref().map(|(pointer, _)| pointer.waves.clone()).unwrap_or_default()
    }

    /// The number that the next act gets.
    pub fn next_number(&self) -> u64 {
        self.chain.number + 1
    }

    /// The manifest of a content.
    ///
    /// # Errors
    /// It is gone, or not believed.
    pub fn manifest(&self, target: &Target) -> anyhow::Result<Manifest> {
        let name = manifest_name(target);
        let fetched = self.store.get(&name, DOCUMENT_BYTES_MAX)?;
        let fetched =
            fetched.with_context(|| format!("version {} is gone from the channel", target.version))?;
        Ok(self.trust.manifest(target, &fetched.bytes)?)
    }

    /// Makes a wave serve a content from now on; what is pinned does not move.
    ///
    /// # Errors
    /// The wave is pinned.
    pub fn moved(&self, wave: Wave, to: Target) -> anyhow::Result<Waves> {
        let mut waves = self.waves();
        if let Some(reason) = waves.of(wave).and_then(|served| served.pinned.as_ref()) {
            bail!("wave {wave} is pinned ({reason}): snapshot-tool pin --release {wave} lets it go");
        }
        waves.set(wave, Served { target: to, since_unix_s: now_unix_s(), pinned: None });
        Ok(waves)
    }

    /// Writes the record, then the pointer. Whoever is faster wins; the other one is told.
    ///
    /// # Errors
    /// Somebody else has acted meanwhile, or the store fails. The pointer is as it was then.
    pub fn announce(
        &mut self,
        announcement: Announcement,
        key: &SecretKey,
        arguments: &ActArguments,
    ) -> anyhow::Result<Pointer> {
        let Announcement { act, waves, changes, overrides } = announcement;
        let number = self.next_number();
        let now = now_unix_s();
        let pointer = Pointer {
            channel: self.trust.channel().into(),
            sequence: number,
            root: self.trust.root().version,
            issued_unix_s: now,
            expires_unix_s: now.saturating_add(arguments.lifetime.as_secs()),
            waves,
            requires: Vec::new(),
        };
        let bytes = seal(Kind::Pointer, &serde_json::to_vec(&pointer)?, &[key]);
        // A pointer that no node would believe is not written: another key, another root, a clock that is wrong.
        let (_, trust) = self.trust.pointer(&bytes, now).context("nodes would refuse this pointer")?;
        self.record(act, changes, overrides, arguments.note.clone(), &[key])?;
        failpoint::reach("act-after-record");
        self.store.replace("pointer", bytes, self.pointer.as_ref().map(|(_, fetched)| fetched))?;
        failpoint::reach("act-after-pointer");
        self.trust = trust;
        Ok(pointer)
    }

    /// Writes the next record of the log.
    ///
    /// # Errors
    /// Somebody else has taken its number, or the store fails.
    pub fn record(
        &mut self,
        act: Act,
        changes: Option<Changes>,
        overrides: Vec<Override>,
        note: Option<String>,
        keys: &[&SecretKey],
    ) -> anyhow::Result<()> {
        let number = self.next_number();
        let record = Record {
            channel: self.trust.channel().into(),
            number,
            previous: self.chain.hash,
            at_unix_s: now_unix_s(),
            who: who(),
            tool: tool(),
            act,
            changes,
            overrides,
            note,
        };
        let bytes = seal(Kind::Record, &serde_json::to_vec(&record)?, keys);
        if !self.store.create(&record_name(number), bytes.clone())? {
            bail!(
                "somebody else has acted meanwhile (record {number}): look at `snapshot-tool list` and do it again"
            );
        }
        self.chain = Chain::after(number, &bytes);
        Ok(())
    }
}

/// Name of a root.
pub fn root_name(version: u64) -> String {
    format!("root/{version:08}")
}

/// Name of a record.
pub fn record_name(number: u64) -> String {
    format!("log/{number:020}")
}

/// Name of a manifest.
pub fn manifest_name(target: &Target) -> String {
    format!("manifest/{}", target.manifest)
}

/// Finds the first root that these keys have signed, and follows rotations to the newest.
///
/// # Errors
/// There is no such root, or a rotation is not believed.
pub fn anchor(store: &Store, keys: &[PublicKey]) -> anyhow::Result<Trust> {
    let mut trust: Option<Trust> = None;
    let mut refusal = None;
    for version in 1..=ROOT_VERSIONS_MAX {
        let Some(fetched) = store.get(&root_name(version), DOCUMENT_BYTES_MAX)? else { break };
        match &trust {
            Some(before) => trust = Some(before.next_root(&fetched.bytes)?),
            None => match Trust::anchor(keys, 1, &fetched.bytes) {
                Ok(anchored) => trust = Some(anchored),
                Err(error) => refusal = Some(error),
            },
        }
    }
    match (trust, refusal) {
        (Some(trust), _) => Ok(trust),
        (None, Some(refusal)) => {
            Err(refusal).with_context(|| format!("no root of {} is trusted", store.url()))
        }
        (None, None) => bail!("{} holds no channel: snapshot-tool trust init makes one", store.url()),
    }
}

/// Where the log ends: its last record, found by its name.
///
/// # Errors
/// The store fails.
pub fn end_of_log(store: &Store) -> anyhow::Result<Chain> {
    let Some(last) = store.list("log")?.pop() else { return Ok(Chain::default()) };
    let number = last.name.strip_prefix("log/").and_then(|digits| digits.parse().ok());
    let number = number.with_context(|| format!("{} is no name of a record", last.name))?;
    let fetched = store.get(&last.name, DOCUMENT_BYTES_MAX)?.context("the log changed while it was read")?;
    Ok(Chain::after(number, &fetched.bytes))
}

/// A span for people: 90 s, 15 min, 12 h, 7 d.
pub fn span(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}
