//! `renew`: the same pointer with a new expiry, so that a channel without news does not look like one that is cut off.

use super::arguments::{ActArguments, ChannelArguments};
use super::desk::{Announcement, Desk, anchor, record_name};
use crate::exit::Exit;
use crate::moment;
use crate::output::say;
use anyhow::Context;
use snapshot_channel::document::{Document, Kind};
use snapshot_channel::limits::DOCUMENT_BYTES_MAX;
use snapshot_channel::pointer::Pointer;
use snapshot_channel::record::Act;
use snapshot_channel::{Access, Refusal, Store};

/// Sign the pointer anew, with a new expiry: from a timer, at least once per lifetime, and after a rotation of its key.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    channel: ChannelArguments,
    #[command(flatten)]
    act: ActArguments,
}

/// Runs `renew`.
///
/// # Errors
/// There is no pointer yet, or the store fails.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Arguments { channel, act } = arguments;
    let key = channel.secret("pointer")?;
    let mut desk = open_with_any_signer(channel)?;
    let waves = desk.waves();
    let announcement = Announcement { act: Act::Renew, waves, changes: None, overrides: Vec::new() };
    let pointer = desk.announce(announcement, &key, act)?;
    say(format!(
        "sequence {} is believed until {}",
        pointer.sequence,
        moment::render(pointer.expires_unix_s)
    ));
    Ok(Exit::Success)
}

/// Right after a rotation the pointer is signed by a key that the newest root no longer knows. It is believed here if a root
/// before it knew that key, and the log, which only grows, has a record under its sequence.
fn open_with_any_signer(channel: &ChannelArguments) -> anyhow::Result<Desk> {
    match Desk::open_to_act(channel) {
        Ok(desk) => return Ok(desk),
        Err(error) => match error.downcast_ref() {
            Some(Refusal::NotSigned { kind: Kind::Pointer, .. }) => {}
            Some(_) | None => return Err(error),
        },
    }
    let store = Store::open(&channel.channel, Access::Write)?;
    let anchors = channel.anchors()?;
    let trust = anchor(&store, &anchors)?;
    let fetched = store.get("pointer", DOCUMENT_BYTES_MAX)?.context("nothing has been published yet")?;
    let known = super::audit::keys_of_all_roots(&store, &anchors, |root| root.pointer.keys.clone())?;
    let body = Document::parse(Kind::Pointer, &fetched.bytes)?.body_signed_by(&known, 1)?.to_vec();
    let pointer = Pointer::parse(&body, trust.channel())?;
    store
        .get(&record_name(pointer.sequence), DOCUMENT_BYTES_MAX)?
        .context("the log does not know this pointer")?;
    let mut desk = Desk {
        store,
        anchors,
        trust,
        pointer: Some((pointer, fetched)),
        chain: snapshot_channel::record::Chain::default(),
    };
    desk.chain = super::desk::end_of_log(&desk.store)?;
    Ok(desk)
}
