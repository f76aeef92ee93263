//! `deny`: blocks links, domains and destinations at once, whatever a snapshot says.

use super::arguments::{ChannelArguments, now_unix_s};
use super::desk::Desk;
use crate::exit::Exit;
use crate::output::{counted, say};
use anyhow::{Context, bail, ensure};
use serde_json::json;
use snapshot_channel::Access;
use snapshot_channel::DenyList;
use snapshot_channel::deny::list::{Entry, NOTE_BYTES_MAX, RULES_MAX, line, parse_line};
use snapshot_channel::deny::{Answer, Rule};
use snapshot_channel::document::{Kind, seal};
use snapshot_channel::failpoint;
use snapshot_channel::limits::DENY_BYTES_MAX;
use snapshot_channel::record::Act;
use snapshot_channel::store::Fetched;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, stdin};
use std::path::{Path, PathBuf};

/// Block links, domains and destinations, or let them go.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Block something.
    Add {
        #[command(flatten)]
        channel: ChannelArguments,
        /// link, domain, host or prefix.
        kind: String,
        /// What to block.
        value: String,
        /// What is answered: 410 (gone) or 451 (legal reasons).
        #[arg(long, value_name = "STATUS", default_value = "410", value_parser = parse_answer)]
        answer: Answer,
        /// Why; kept in the list and in the log.
        #[arg(long, short = 'm', value_name = "TEXT", default_value = "")]
        note: String,
    },
    /// Let something go.
    Remove {
        #[command(flatten)]
        channel: ChannelArguments,
        /// link, domain, host or prefix.
        kind: String,
        /// What to let go, spelled in any way that means the same.
        value: String,
        /// Why; kept in the log.
        #[arg(long, short = 'm', value_name = "TEXT")]
        note: Option<String>,
    },
    /// Show what is blocked.
    List {
        #[command(flatten)]
        channel: ChannelArguments,
        /// Print one JSON object per rule.
        #[arg(long)]
        json: bool,
    },
    /// Block everything that a file lists: lines `STATUS KIND VALUE [NOTE]`, as `deny list` writes them.
    Import {
        #[command(flatten)]
        channel: ChannelArguments,
        /// The file; - for standard input.
        file: PathBuf,
        /// The file is the whole list: what is not in it is let go.
        #[arg(long)]
        replace: bool,
        /// Why; kept in the log.
        #[arg(long, short = 'm', value_name = "TEXT")]
        note: Option<String>,
    },
}

const HELP: &str = "\
Kinds:
  link    HOST/CODE     one link, in every spelling that its domain takes for it
  domain  HOST          every link of a domain; *.HOST for every name below it
  host    HOST          every link that leads to this host; *.HOST for every name below it
  prefix  HOST/PATH     every link that leads below this path, whatever scheme and port

The list has a key and a sequence of its own: it is independent of snapshots and survives every rollback.

Examples:
  snapshot-tool deny add link go.example/promo --note 'phishing, ticket 4711'
  snapshot-tool deny add host '*.evil.example' --answer 451
  snapshot-tool deny list > blocked.txt
  snapshot-tool deny import --replace blocked.txt";

type Rules = BTreeMap<Rule, Entry>;

/// Runs `deny`.
///
/// # Errors
/// A rule is none, the list is not believed, or the store fails. The list is as it was then.
pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        Command::Add { channel, kind, value, answer, note } => {
            let rule = Rule::new(kind, value)?;
            let plain = note.len() <= NOTE_BYTES_MAX && !note.chars().any(char::is_control);
            ensure!(plain, "a note is one line of at most {NOTE_BYTES_MAX} bytes");
            let entry = Entry { answer: *answer, note: note.clone() };
            change(channel, Some(note.clone()).filter(|note| !note.is_empty()), |rules| {
                rules.insert(rule, entry);
                Ok(())
            })
        }
        Command::Remove { channel, kind, value, note } => {
            let rule = Rule::new(kind, value)?;
            change(channel, note.clone(), |rules| {
                rules.remove(&rule).map(|_| ()).with_context(|| format!("{rule} is not blocked"))
            })
        }
        Command::Import { channel, file, replace, note } => {
            let imported = read_rules(file)?;
            change(channel, note.clone(), |rules| {
                if *replace {
                    rules.clear();
                }
                rules.extend(imported);
                Ok(())
            })
        }
        Command::List { channel, json } => list(channel, *json),
    }
}

fn list(channel: &ChannelArguments, as_json: bool) -> anyhow::Result<Exit> {
    let desk = Desk::open(channel, Access::Read)?;
    let rules = current(&desk)?.map(|(list, _)| list.rules).unwrap_or_default();
    for (rule, entry) in &rules {
        if as_json {
            let text = rule.to_string();
            let value = text.split_once(' ').map(|(_, value)| value);
            say(
                json!({ "kind": rule.kind(), "value": value, "answer": entry.answer.code(), "note": entry.note }),
            );
        } else {
            say(line(rule, entry));
        }
    }
    Ok(Exit::Success)
}

/// The list as it is now, and its bytes.
fn current(desk: &Desk) -> anyhow::Result<Option<(DenyList, Fetched)>> {
    let Some(fetched) = desk.store.get("deny", DENY_BYTES_MAX)? else { return Ok(None) };
    let read = |body: &[u8]| {
        let list = DenyList::parse(body, desk.trust.channel())?;
        Ok((list.sequence, list))
    };
    let (list, _) = desk.trust.deny(&fetched.bytes, read)?;
    Ok(Some((list, fetched)))
}

fn change(
    channel: &ChannelArguments,
    note: Option<String>,
    edit: impl FnOnce(&mut Rules) -> anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    let key = channel.secret("deny")?;
    let mut desk = Desk::open_to_act(channel)?;
    let (before, fetched) =
        current(&desk)?.map_or((Rules::new(), None), |(list, fetched)| (list.rules, Some(fetched)));
    let mut rules = before.clone();
    edit(&mut rules)?;
    ensure!(rules.len() <= RULES_MAX, "{} rules, at most {RULES_MAX} are possible", rules.len());
    if rules == before {
        say(format!("unchanged: {}", counted(rules.len() as u64, "rule")));
        return Ok(Exit::Success);
    }
    let added = rules.iter().filter(|(rule, entry)| before.get(*rule) != Some(*entry)).count() as u64;
    let removed = before.keys().filter(|rule| !rules.contains_key(*rule)).count() as u64;
    let examples = rules.iter().filter(|(rule, entry)| before.get(*rule) != Some(*entry));
    let examples = examples.map(|(rule, _)| format!("+ {rule}"));
    let gone = before.keys().filter(|rule| !rules.contains_key(*rule)).map(|rule| format!("- {rule}"));
    let examples: Vec<String> = examples.chain(gone).take(10).collect();
    let count = rules.len() as u64;
    let list = DenyList {
        channel: desk.trust.channel().into(),
        sequence: desk.next_number(),
        issued_unix_s: now_unix_s(),
        rules,
    };
    let sequence = list.sequence;
    let body = list.to_body();
    ensure!(
        body.len() < DENY_BYTES_MAX / 2,
        "the list would have {} bytes: put these links into the snapshot",
        body.len()
    );
    let bytes = seal(Kind::Deny, &body, &[&key]);
    // A list that no node would believe blocks nothing.
    let believed = desk.trust.deny(&bytes, |body| {
        let list = DenyList::parse(body, desk.trust.channel())?;
        Ok((list.sequence, ()))
    });
    believed.context("nodes would refuse this list")?;
    let changes = snapshot_channel::record::Changes { added, removed, examples, ..Default::default() };
    desk.record(Act::Deny { added, removed }, Some(changes), Vec::new(), note, &[&key])?;
    failpoint::reach("deny-after-record");
    desk.store.replace("deny", bytes, fetched.as_ref())?;
    say(format!("{added} added, {removed} removed: {} blocked, sequence {sequence}", counted(count, "rule")));
    Ok(Exit::Success)
}

fn read_rules(path: &Path) -> anyhow::Result<Rules> {
    let mut text = String::new();
    if path == Path::new("-") {
        stdin().take(DENY_BYTES_MAX as u64).read_to_string(&mut text).context("standard input")?;
    } else {
        text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    }
    let mut rules = Rules::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match parse_line(line) {
            Ok((rule, entry)) => _ = rules.insert(rule, entry),
            Err(error) => bail!("{}:{}: {error}; nothing was changed", path.display(), index + 1),
        }
    }
    Ok(rules)
}

fn parse_answer(text: &str) -> Result<Answer, String> {
    let answer = text.parse().ok().and_then(Answer::from_code);
    answer.ok_or_else(|| format!("{text:?} is neither 410 nor 451"))
}
