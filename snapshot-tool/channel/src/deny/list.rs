//! The signed list of rules: a line of JSON that says whose and which it is, then one line per rule, sorted.

use super::rule::{Answer, Rule};
use crate::document::Kind;
use crate::refusal::Refusal;
use crate::root::{check_channel, check_requires, json};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Rules of one list: their index fits in memory beside the snapshot, and a longer list belongs into it.
pub const RULES_MAX: usize = 1_000_000;

/// Longest note of a rule, in bytes.
pub const NOTE_BYTES_MAX: usize = 200;

/// What a rule is answered with, and why it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The answer.
    pub answer: Answer,
    /// For people; one line.
    pub note: String,
}

/// What is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenyList {
    /// Name of the channel.
    pub channel: String,
    /// Counts up with each change; independent of pointers.
    pub sequence: u64,
    /// When it was made, in seconds since 1970.
    pub issued_unix_s: u64,
    /// Rules by their texts.
    pub rules: BTreeMap<Rule, Entry>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    channel: String,
    sequence: u64,
    issued_unix_s: u64,
    rules: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    requires: Vec<String>,
}

impl DenyList {
    /// Reads the body of a deny list of this channel.
    ///
    /// # Errors
    /// A body with anything that is not understood: a rule that is skipped would be a block that is not there.
    pub fn parse(body: &[u8], channel: &str) -> Result<Self, Refusal> {
        let malformed = |what: String| Refusal::Malformed { kind: Kind::Deny, what };
        let text = str::from_utf8(body).map_err(|error| malformed(error.to_string()))?;
        let (head, lines) =
            text.split_once('\n').ok_or_else(|| malformed("its first line does not end".into()))?;
        let head: Head = json(Kind::Deny, head.as_bytes())?;
        check_requires(Kind::Deny, &head.requires)?;
        check_channel(Kind::Deny, &head.channel, channel)?;
        if head.rules > RULES_MAX as u64 {
            return Err(malformed(format!("{} rules, at most {RULES_MAX} are possible", head.rules)));
        }
        let mut rules = BTreeMap::new();
        for (index, line) in lines.lines().enumerate() {
            let number = index + 2;
            let (rule, entry) =
                parse_line(line).map_err(|what| malformed(format!("line {number}: {what}")))?;
            if rules.insert(rule, entry).is_some() {
                return Err(malformed(format!("line {number}: a rule that is there already")));
            }
        }
        if rules.len() as u64 != head.rules {
            return Err(malformed(format!("{} rules instead of {}", rules.len(), head.rules)));
        }
        let Head { channel, sequence, issued_unix_s, .. } = head;
        Ok(Self { channel, sequence, issued_unix_s, rules })
    }

    /// The body as bytes.
    pub fn to_body(&self) -> Vec<u8> {
        let head = Head {
            channel: self.channel.clone(),
            sequence: self.sequence,
            issued_unix_s: self.issued_unix_s,
            rules: self.rules.len() as u64,
            requires: Vec::new(),
        };
        let mut text = serde_json::to_string(&head).expect("strings and numbers are always JSON");
        text.push('\n');
        for (rule, entry) in &self.rules {
            text.push_str(&line(rule, entry));
            text.push('\n');
        }
        text.into_bytes()
    }
}

/// `ANSWER KIND VALUE[ NOTE]`.
pub fn line(rule: &Rule, entry: &Entry) -> String {
    let Entry { answer, note } = entry;
    let space = if note.is_empty() { "" } else { " " };
    format!("{} {rule}{space}{note}", answer.code())
}

/// Reads a line of a list, or of a file that people write.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse_line(line: &str) -> Result<(Rule, Entry), String> {
    let mut words = line.splitn(4, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (answer, kind, value, note) = (word(), word(), word(), word());
    let answer = answer.parse().ok().and_then(Answer::from_code);
    let answer = answer.ok_or_else(|| format!("{line:?}: write 410 or 451, the kind, the value"))?;
    let rule = Rule::new(kind, value).map_err(|error| error.to_string())?;
    if note.len() > NOTE_BYTES_MAX || note.chars().any(char::is_control) {
        return Err(format!("a note is one line of at most {NOTE_BYTES_MAX} bytes"));
    }
    Ok((rule, Entry { answer, note: note.to_owned() }))
}
