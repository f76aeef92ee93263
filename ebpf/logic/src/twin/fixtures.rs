//! Golden packets: what arrives, under which settings, what happens to it, what leaves, and which counter moves.
//!
//! The files in `ebpf/logic/fixtures` are data that neither side computes; both are held to them. Their form: a block of
//! `name: value` lines per packet, an empty line between blocks, `#` before comments.

use std::string::{String, ToString};
use std::vec::Vec;

use ebpf_abi::{Action, Protocol, Reason};

const FILES: [(&str, &str); 3] = [
    ("ipv4.txt", include_str!("../../fixtures/ipv4.txt")),
    ("ipv6.txt", include_str!("../../fixtures/ipv6.txt")),
    ("tags.txt", include_str!("../../fixtures/tags.txt")),
];

/// One packet and what must come of it.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// File and line, for messages.
    pub place: String,
    /// What the packet is, in words.
    pub what: String,
    /// The name of the settings; the tests of each side know what it means.
    pub settings: String,
    /// So many of the same packet came just before.
    pub before: u32,
    /// What must exist besides: a `socket` that owns the flow, or a `cookie` that the segment acknowledges.
    pub needs: Option<String>,
    /// The frame that arrives.
    pub frame: Vec<u8>,
    /// What happens to it.
    pub action: Action,
    /// The counter that moves: reason and protocol.
    pub reason: Reason,
    /// The other half of the counter's name.
    pub protocol: Protocol,
    /// The reason for which a stage that only monitors would have acted.
    pub monitored: Option<Reason>,
    /// Cause of the ban or number of the list.
    pub rule: u32,
    /// The frame that leaves; bytes that depend on the kernel's secret are unknown.
    pub answer: Option<Vec<Option<u8>>>,
}

/// All of them, in the order of their files.
///
/// # Panics
/// A file cannot be read: the test that asked has failed then.
pub fn all() -> Vec<Fixture> {
    FILES.iter().flat_map(|(name, text)| read(name, text)).collect()
}

impl Fixture {
    /// Whether the frame that left is the one that must.
    pub fn is_answered_by(&self, answer: Option<&[u8]>) -> bool {
        match (&self.answer, answer) {
            (None, None) => true,
            (Some(expected), Some(found)) => {
                expected.len() == found.len()
                    && expected
                        .iter()
                        .zip(found)
                        .all(|(expected, found)| expected.is_none_or(|byte| byte == *found))
            }
            _ => false,
        }
    }
}

fn read(file: &str, text: &str) -> Vec<Fixture> {
    let mut fixtures = Vec::new();
    let mut block: Vec<(&str, &str)> = Vec::new();
    let lines = text.lines().chain([""]).enumerate();
    for (index, line) in lines.filter(|(_, line)| !line.starts_with('#')) {
        match line.split_once(": ") {
            Some(pair) => block.push(pair),
            None if line.is_empty() && block.is_empty() => {}
            None if line.is_empty() => {
                fixtures.push(fixture(std::format!("{file}, before line {}", index + 1), &block));
                block.clear();
            }
            None => panic!("{file}:{}: `{line}` is no `name: value`", index + 1),
        }
    }
    fixtures
}

fn fixture(place: String, block: &[(&str, &str)]) -> Fixture {
    let value = |name: &str| block.iter().find(|(found, _)| *found == name).map(|(_, value)| *value);
    let must = |name: &str| value(name).unwrap_or_else(|| panic!("{place}: no `{name}`"));
    let known =
        ["what", "settings", "before", "needs", "in", "action", "counter", "monitored", "rule", "out"];
    if let Some((name, _)) = block.iter().find(|(name, _)| !known.contains(name)) {
        panic!("{place}: `{name}` is unknown");
    }
    let reason = |name: &str| {
        let found = Reason::ALL.iter().find(|reason| reason.name() == name);
        *found.unwrap_or_else(|| panic!("{place}: no reason `{name}`"))
    };
    let (counted, protocol) = must("counter")
        .split_once(' ')
        .unwrap_or_else(|| panic!("{place}: a counter is reason and protocol"));
    let protocol = Protocol::ALL.into_iter().find(|known| known.name() == protocol);
    let actions = [Action::Drop, Action::Pass, Action::Transmit];
    let action = actions.into_iter().find(|action| action.name() == must("action"));
    let number = |name: &str| value(name).map_or(0, |text| text.parse().expect("a number"));
    Fixture {
        what: must("what").to_string(),
        settings: must("settings").to_string(),
        before: number("before"),
        needs: value("needs").map(ToString::to_string),
        frame: bytes(must("in")).map(|byte| byte.expect("what arrives is known")).collect(),
        action: action.expect("an action"),
        reason: reason(counted),
        protocol: protocol.expect("a protocol"),
        monitored: value("monitored").map(reason),
        rule: number("rule"),
        answer: value("out").map(|text| bytes(text).collect()),
        place,
    }
}

/// Pairs of hexadecimal digits; `xx` is a byte that nobody knows before.
fn bytes(text: &str) -> impl Iterator<Item = Option<u8>> {
    let digits: Vec<char> = text.chars().filter(|character| *character != ' ').collect();
    assert!(digits.len().is_multiple_of(2), "digits come in pairs");
    let pairs: Vec<_> = digits.chunks(2).map(String::from_iter).collect();
    pairs.into_iter().map(|pair| match pair.as_str() {
        "xx" => None,
        digits => Some(u8::from_str_radix(digits, 16).expect("hexadecimal digits")),
    })
}
