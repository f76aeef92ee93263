//! HOT: the deny list as the redirect path asks it: one table of hashes over one block of bytes, built once and never changed.

use super::destination::{Leads, leads, odd_host, path_of};
use super::list::DenyList;
use super::rule::{Answer, Rule};
use snapshot_format::{CODE_BYTES_MAX, CaseMode, HOST_BYTES_MAX, TrailingSlash};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Slots that a search may touch, unless a list has more links than this that differ by case or slashes alone: these share a hash.
const PROBE_SLOTS: usize = 32;

/// Seeds that are tried before searches may be longer.
const SEEDS_TRIED: u64 = 8;

/// Longest key: host, slash, code.
const KEY_BYTES_MAX: usize = HOST_BYTES_MAX + 3 + CODE_BYTES_MAX;

/// What kind of key an entry has. Part of the hash and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Space {
    Link,
    Domain,
    DomainBelow,
    Host,
    HostBelow,
    /// A host that has prefixes; the value is the place of its first one.
    Prefixes,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    space: Space,
    answer: Answer,
    start: u32,
    bytes: u32,
    /// Of `Prefixes`: where its prefixes are.
    first: u32,
    count: u32,
}

/// What is blocked, ready to be asked millions of times per second. Asking allocates nothing and touches at most 32 slots
/// per name (more only if more links than that differ by case alone), with one exception: hosts and paths in spellings that only a whole URL parser understands, which real links hardly have.
#[derive(Debug, Default)]
pub struct DenySet {
    sequence: u64,
    seed: u64,
    /// Slots that the longest search touches at most.
    probe: usize,
    /// Entries by hash; 0 is empty, else one more than the place of the entry.
    slots: Vec<u32>,
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    prefixes: Vec<(u32, u32, Answer)>,
    has: [bool; 6],
}

impl DenySet {
    /// From a list that was believed.
    pub fn new(list: &DenyList) -> Self {
        let mut set = Self { sequence: list.sequence, ..Self::default() };
        let mut paths: Vec<(&str, Vec<u8>, Answer)> = Vec::new();
        for (rule, entry) in &list.rules {
            let mut add = |space, key: &[u8]| set.push(space, key, entry.answer);
            match rule {
                Rule::Link { host, code } => {
                    let mut key = host.clone().into_bytes();
                    key.push(b'/');
                    key.extend_from_slice(&unescaped(code));
                    add(Space::Link, &key);
                }
                Rule::Domain(host) => match host.strip_prefix("*.") {
                    Some(name) => add(Space::DomainBelow, name.as_bytes()),
                    None => add(Space::Domain, host.as_bytes()),
                },
                Rule::Host(host) => match host.strip_prefix("*.") {
                    Some(name) => add(Space::HostBelow, name.as_bytes()),
                    None => add(Space::Host, host.as_bytes()),
                },
                Rule::Prefix { host, path } => {
                    paths.push((host, path.chars().map(|character| character as u8).collect(), entry.answer));
                }
            }
        }
        set.push_prefixes(paths);
        set.index();
        set
    }

    /// Sequence of the list.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether nothing is blocked at all.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes in memory.
    pub fn bytes_len(&self) -> usize {
        self.slots.len() * 4
            + self.entries.len() * size_of::<Entry>()
            + self.bytes.len()
            + self.prefixes.len() * 12
    }

    /// Whether a request is blocked for what it asks: `host` and `code` in canonical form, the modes of their domain.
    #[inline]
    pub fn of_link(&self, host: &[u8], code: &[u8], case: CaseMode, slash: TrailingSlash) -> Option<Answer> {
        if self.is_empty() || host.len() > HOST_BYTES_MAX || code.len() > CODE_BYTES_MAX {
            return None;
        }
        self.of_name(Space::Domain, Space::DomainBelow, host)
            .or_else(|| self.of_code(host, code, case, slash))
    }

    /// Whether a request is blocked for where it would be sent.
    #[inline]
    pub fn of_destination(&self, destination: &[u8]) -> Option<Answer> {
        let asks = [Space::Host, Space::HostBelow, Space::Prefixes];
        if asks.iter().all(|&space| !self.has[space as usize]) {
            return None;
        }
        let mut buffer = [0; 253];
        match leads(destination, &mut buffer) {
            Leads::Nowhere => None,
            Leads::Plainly(host, behind) => self.of_target(host, destination, behind),
            Leads::Oddly => {
                let host = odd_host(str::from_utf8(destination).ok()?)?;
                // Not the plain way, so that the path is not looked for in these bytes.
                self.of_target(host.as_bytes(), destination, b"\\")
            }
        }
    }

    fn of_target(&self, host: &[u8], destination: &[u8], behind: &[u8]) -> Option<Answer> {
        if let Some(answer) = self.of_name(Space::Host, Space::HostBelow, host) {
            return Some(answer);
        }
        let group = self.find(Space::Prefixes, host, |key| key == host)?;
        let path = path_of(destination, behind)?;
        let range = group.first as usize..(group.first + group.count) as usize;
        let prefixes = self.prefixes.get(range)?;
        // No prefix of a group begins another one, so that only the last one that is not greater can begin the path.
        let place = prefixes.partition_point(|&(start, bytes, _)| self.text(start, bytes) <= &*path);
        let &(start, bytes, answer) = prefixes.get(place.checked_sub(1)?)?;
        path.starts_with(self.text(start, bytes)).then_some(answer)
    }

    /// By its own name, or by that of any name above.
    fn of_name(&self, exact: Space, below: Space, name: &[u8]) -> Option<Answer> {
        if let Some(entry) = self.find(exact, name, |key| key == name) {
            return Some(entry.answer);
        }
        if !self.has[below as usize] {
            return None;
        }
        parents(name)
            .find_map(|parent| self.find(below, parent, |key| key == parent))
            .map(|entry| entry.answer)
    }

    fn of_code(&self, host: &[u8], code: &[u8], case: CaseMode, slash: TrailingSlash) -> Option<Answer> {
        if !self.has[Space::Link as usize] {
            return None;
        }
        let mut buffer = [0; KEY_BYTES_MAX];
        let mut ask = |star: &[u8], host: &[u8]| {
            let key = joined(&mut buffer, [star, host, b"/", code]);
            self.find(Space::Link, key, |rule| same_link(rule, key, star.len() + host.len() + 1, case, slash))
        };
        let exact = ask(b"", host);
        exact.or_else(|| parents(host).find_map(|parent| ask(b"*.", parent))).map(|entry| entry.answer)
    }

    fn find(&self, space: Space, key: &[u8], is: impl Fn(&[u8]) -> bool) -> Option<&Entry> {
        if !self.has[space as usize] {
            return None;
        }
        let mask = self.slots.len() - 1;
        let home = hash(self.seed, space, key) as usize;
        for step in 0..self.probe {
            let slot = self.slots[home.wrapping_add(step) & mask];
            let entry = self.entries.get((slot as usize).checked_sub(1)?)?;
            if entry.space == space && is(self.text(entry.start, entry.bytes)) {
                return Some(entry);
            }
        }
        None
    }

    fn text(&self, start: u32, bytes: u32) -> &[u8] {
        &self.bytes[start as usize..(start + bytes) as usize]
    }

    fn push(&mut self, space: Space, key: &[u8], answer: Answer) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(key);
        self.entries.push(Entry { space, answer, start, bytes: key.len() as u32, first: 0, count: 0 });
        self.has[space as usize] = true;
    }

    fn push_prefixes(&mut self, mut paths: Vec<(&str, Vec<u8>, Answer)>) {
        paths.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        // What begins with a shorter prefix of the same host adds nothing.
        paths.dedup_by(|later, kept| later.0 == kept.0 && later.1.starts_with(&kept.1));
        for group in paths.chunk_by(|one, other| one.0 == other.0) {
            let first = self.prefixes.len() as u32;
            for (_, path, answer) in group {
                self.prefixes.push((self.bytes.len() as u32, path.len() as u32, *answer));
                self.bytes.extend_from_slice(path);
            }
            self.push(Space::Prefixes, group[0].0.as_bytes(), group[0].2);
            let entry = self.entries.last_mut().expect("it was pushed just now");
            (entry.first, entry.count) = (first, group.len() as u32);
        }
    }

    /// Places entries so that every search is short. With a table that is at most half full the first seed nearly always does.
    fn index(&mut self) {
        let count = (self.entries.len() * 2).next_power_of_two().max(2);
        let mut probe = PROBE_SLOTS.min(count);
        for seed in 0.. {
            if let Some(slots) = self.placed(count, seed, probe) {
                (self.slots, self.seed, self.probe) = (slots, seed, probe);
                return;
            }
            // A search through the whole table finds a place for everything, so that this ends.
            if seed % SEEDS_TRIED == SEEDS_TRIED - 1 {
                probe = (probe * 2).min(count);
            }
        }
    }

    fn placed(&self, count: usize, seed: u64, probe: usize) -> Option<Vec<u32>> {
        let mut slots = vec![0_u32; count];
        for (place, entry) in self.entries.iter().enumerate() {
            let home = hash(seed, entry.space, self.text(entry.start, entry.bytes)) as usize;
            let free = (0..probe)
                .map(|step| home.wrapping_add(step) & (count - 1))
                .find(|&slot| slots[slot] == 0)?;
            slots[free] = place as u32 + 1;
        }
        Some(slots)
    }
}

/// Links are hashed without case and without slashes at the end, so that one table serves every mode.
fn hash(seed: u64, space: Space, key: &[u8]) -> u64 {
    let seed = seed.wrapping_mul(8) + space as u64;
    if space != Space::Link {
        return xxh3_64_with_seed(key, seed);
    }
    let mut buffer = [0; KEY_BYTES_MAX];
    let end = key.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    let folded = &mut buffer[..end.min(KEY_BYTES_MAX)];
    for (to, from) in folded.iter_mut().zip(key) {
        *to = from.to_ascii_lowercase();
    }
    xxh3_64_with_seed(folded, seed)
}

/// Whether a rule means this link, under the modes of its domain. `code_at`: where the code begins in `asked`.
fn same_link(rule: &[u8], asked: &[u8], code_at: usize, case: CaseMode, slash: TrailingSlash) -> bool {
    if rule.len() < code_at || rule[..code_at] != asked[..code_at] {
        return false;
    }
    let ended = |code: &[u8]| match slash {
        TrailingSlash::Strict => code.len(),
        TrailingSlash::Ignore => code.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1),
    };
    let (rule, asked) = (&rule[code_at..], &asked[code_at..]);
    let (rule, asked) = (&rule[..ended(rule)], &asked[..ended(asked)]);
    match case {
        CaseMode::Sensitive => rule == asked,
        CaseMode::Insensitive => rule.eq_ignore_ascii_case(asked),
    }
}

/// The names above a name, the nearest first.
fn parents(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.iter().enumerate().filter(|&(_, &byte)| byte == b'.').map(|(dot, _)| &name[dot + 1..])
}

fn joined<'b>(buffer: &'b mut [u8; KEY_BYTES_MAX], parts: [&[u8]; 4]) -> &'b [u8] {
    let mut end = 0;
    for part in parts {
        buffer[end..end + part.len()].copy_from_slice(part);
        end += part.len();
    }
    &buffer[..end]
}

/// The code that a rule's text stands for: escapes of bytes beyond visible ASCII decoded, those of `canonical_code` kept.
fn unescaped(code: &str) -> Vec<u8> {
    let mut buffer = [0; CODE_BYTES_MAX];
    let strict = (CaseMode::Sensitive, TrailingSlash::Strict);
    let code = snapshot_format::canonical_code(code.as_bytes(), strict.0, strict.1, &mut buffer);
    code.map(<[u8]>::to_vec).unwrap_or_default()
}

#[cfg(test)]
mod tests;
