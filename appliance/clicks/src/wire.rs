//! What receivers get: one JSON object per record, described in docs/clicks.md, and the block as the unit that is sent.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;

use crate::policy::shown;
use crate::record::{self, Click};
use crate::spool::record_id;
use crate::spool::segment::{BlockHeader, Header};

/// Version of the schema, in each row. Fields are only added within a version.
pub const SCHEMA: u8 = 1;

/// One record as receivers see it.
#[derive(Debug, Serialize)]
pub struct Row<'a> {
    schema: u8,
    id: String,
    node: &'a str,
    time: String,
    generation: u64,
    domain: Cow<'a, str>,
    code: Cow<'a, str>,
    host: Cow<'a, str>,
    status: u16,
    outcome: &'static str,
    variant: u8,
    bot: &'static str,
    device: &'static str,
    country: Cow<'a, str>,
    referrer: Cow<'a, str>,
    user_agent: Cow<'a, str>,
    address: String,
    address_kind: &'static str,
    protocol: &'static str,
    tls: bool,
    latency_ns_below: u64,
    gpc: bool,
    dnt: bool,
    no_track: bool,
    prefetch: bool,
    cut: bool,
    sample_rate: u32,
}

impl<'a> Row<'a> {
    /// The row of `click`, which is record `sequence` of the run that `header` names.
    pub fn new(header: &'a Header, sequence: u64, click: &Click<'a>) -> Self {
        let country: &[u8] = if click.country == [0; 2] { b"" } else { &click.country };
        Self {
            schema: SCHEMA,
            id: record_id(header.run, sequence),
            node: &header.node,
            time: time(click.unix_ms),
            generation: click.generation,
            domain: String::from_utf8_lossy(click.domain),
            code: String::from_utf8_lossy(click.code),
            host: String::from_utf8_lossy(click.host),
            status: click.status,
            outcome: click.outcome.label(),
            variant: click.variant,
            bot: click.bot.label(),
            device: click.device.label(),
            country: String::from_utf8_lossy(country).into_owned().into(),
            referrer: String::from_utf8_lossy(click.referrer),
            user_agent: String::from_utf8_lossy(click.user_agent),
            address: shown(click.address),
            address_kind: click.address.kind.label(),
            protocol: click.protocol.label(),
            tls: click.tls,
            latency_ns_below: 1_u64.checked_shl(u32::from(click.latency_log2_ns)).unwrap_or(u64::MAX),
            gpc: click.gpc,
            dnt: click.dnt,
            no_track: click.no_track,
            prefetch: click.prefetch,
            cut: click.referrer_cut || click.user_agent_cut,
            sample_rate: click.sample_rate,
        }
    }

    /// The row as one line of JSON with its line feed.
    pub fn append_to(&self, lines: &mut Vec<u8>) {
        serde_json::to_writer(&mut *lines, self).expect("a Vec takes every write, and a row has no maps");
        lines.push(b'\n');
    }
}

/// `2023-11-14 22:13:20.123`, UTC: what ClickHouse reads without being asked, and people, too.
pub fn time(unix_ms: u64) -> String {
    let time =
        i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default();
    format!("{time:.3}").replace('T', " ").replace('Z', "")
}

/// One block as it is sent: always the same records under the same id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Id of its first record.
    pub id: String,
    /// Its records as lines of JSON.
    pub lines: Vec<u8>,
    /// How many.
    pub records: u64,
    /// Sequence number of the first.
    pub first_sequence: u64,
    /// Time of its earliest record.
    pub unix_ms: u64,
}

impl Batch {
    /// Renders a block.
    pub fn new(header: &Header, block: &BlockHeader, records: &[u8]) -> Self {
        let mut lines = Vec::with_capacity(records.len() * 4);
        for (click, sequence) in record::all(records).zip(block.first_sequence..) {
            Row::new(header, sequence, &click).append_to(&mut lines);
        }
        Self {
            id: record_id(header.run, block.first_sequence),
            lines,
            records: u64::from(block.records),
            first_sequence: block.first_sequence,
            unix_ms: block.unix_ms_min,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{AddressPolicy, DayKey, kept};
    use crate::record::Address;

    #[test]
    fn a_record_becomes_one_line_of_json() {
        let header = Header { run: 0xabc, number: 1, created_unix_ms: 0, node: "node-a".into() };
        let whole = Address::whole("192.0.2.77".parse().unwrap());
        let click = Click {
            unix_ms: 1_700_000_000_123,
            generation: 7,
            status: 302,
            latency_log2_ns: 13,
            domain: b"go.example",
            code: b"\"debian\xff",
            referrer: b"news.example",
            user_agent: b"Firefox",
            address: kept(whole, AddressPolicy::Truncate, &DayKey([0; 16])),
            ..Click::default()
        };
        let mut lines = Vec::new();
        Row::new(&header, 5, &click).append_to(&mut lines);
        assert_eq!(
            String::from_utf8(lines).unwrap(),
            "{\"schema\":1,\"id\":\"0000000000000abc0000000000000005\",\"node\":\"node-a\",\
             \"time\":\"2023-11-14 22:13:20.123\",\"generation\":7,\"domain\":\"go.example\",\"code\":\"\\\"debian\u{fffd}\",\
             \"host\":\"\",\"status\":302,\"outcome\":\"redirected\",\"variant\":0,\"bot\":\"person\",\"device\":\"unknown\",\
             \"country\":\"\",\"referrer\":\"news.example\",\"user_agent\":\"Firefox\",\"address\":\"192.0.2.0/24\",\
             \"address_kind\":\"truncated\",\"protocol\":\"http/1.1\",\"tls\":false,\"latency_ns_below\":8192,\"gpc\":false,\
             \"dnt\":false,\"no_track\":false,\"prefetch\":false,\"cut\":false,\"sample_rate\":1}\n"
        );
    }
}
