//! Samples of what the guard does, as they happen.

use std::net::{IpAddr, Ipv6Addr};
use std::process::ExitCode;

use ebpf_loader::abi::{Action, Address, Event, Reason};
use ebpf_loader::{Events, Pins, now_ns};
use jiff::{SignedDuration, Timestamp};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde::Serialize;

use crate::guard::cause;

#[derive(Serialize)]
struct Sample {
    /// When the packet came, by this machine's clock (UTC).
    time: String,
    /// How long before it was printed that was.
    ago_ms: u64,
    action: &'static str,
    reason: &'static str,
    monitored: bool,
    source: IpAddr,
    source_port: u16,
    destination: IpAddr,
    destination_port: u16,
    protocol: u8,
    bytes: u16,
    rule: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    rule_meaning: String,
}

pub(super) fn run(pins: &Pins, count: Option<u64>, json: bool) -> anyhow::Result<ExitCode> {
    let mut events = Events::open(pins)?;
    let mut left = count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(event) = events.next_event() else {
            match poll(&mut [PollFd::new(&events, PollFlags::IN)], None) {
                Ok(_) | Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
        };
        let sample = Sample::of(&event, now_ns(), Timestamp::now());
        let line = if json { serde_json::to_string(&sample)? + "\n" } else { sample.text() };
        super::super::print(&line)?;
        left -= 1;
    }
    Ok(ExitCode::SUCCESS)
}

impl Sample {
    fn of(event: &Event, now_ns: u64, now: Timestamp) -> Self {
        let Event {
            at_ns,
            source,
            destination,
            source_port,
            destination_port,
            frame_bytes,
            reason,
            action,
            protocol,
            tcp_flags: _,
            monitored,
            padding: _,
            rule,
        } = *event;
        let reason = Reason::from_number(reason);
        let rule_meaning = match reason {
            Some(Reason::Banned | Reason::ChallengedBan) => format!("banned for {}", cause::name(rule)),
            Some(Reason::Denied | Reason::Allowed) if rule > 0 => format!("file {rule} of the lists"),
            _ => String::new(),
        };
        let ago_ms = now_ns.saturating_sub(at_ns) / 1_000_000;
        let at = now - SignedDuration::from_millis(i64::try_from(ago_ms).unwrap_or(0));
        Self {
            // The kernel's coarse clock moves by some milliseconds at a time.
            time: format!("{at:.3}"),
            ago_ms,
            action: Action::from_number(action).map_or("unknown", Action::name),
            reason: reason.map_or("unknown", Reason::name),
            monitored: monitored != 0,
            source: ip(source),
            source_port,
            destination: ip(destination),
            destination_port,
            protocol,
            bytes: frame_bytes,
            rule,
            rule_meaning,
        }
    }

    fn text(&self) -> String {
        let Self {
            time,
            action,
            reason,
            monitored,
            source,
            source_port,
            destination,
            destination_port,
            bytes,
            ..
        } = self;
        let protocol = match self.protocol {
            6 => "tcp".into(),
            17 => "udp".into(),
            1 | 58 => "icmp".into(),
            other => format!("protocol {other}"),
        };
        let verb = if *monitored { format!("would {action}") } else { (*action).to_owned() };
        let end = |address: &IpAddr, port: u16| match address {
            IpAddr::V4(v4) => format!("{v4}:{port}"),
            IpAddr::V6(v6) => format!("[{v6}]:{port}"),
        };
        let (from, to) = (end(source, *source_port), end(destination, *destination_port));
        format!(
            "{time}  {verb:<14} {reason:<18} {protocol:<5} {from} > {to}  {bytes} bytes  {}\n",
            self.rule_meaning
        )
        .trim_end()
        .to_owned()
            + "\n"
    }
}

fn ip(address: Address) -> IpAddr {
    Ipv6Addr::from(address.octets()).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_says_who_what_and_why() {
        let event = Event {
            at_ns: 1_000_000,
            source: Address::from_v4(0xc633_6407),
            destination: Address::from_v4(0xc000_0201),
            source_port: 40_000,
            destination_port: 80,
            frame_bytes: 74,
            reason: Reason::Banned as u8,
            action: Action::Drop as u8,
            protocol: 6,
            rule: 1,
            ..Event::default()
        };
        let now = "2026-03-01T12:00:00.005Z".parse().unwrap();
        let sample = Sample::of(&event, 3_000_000, now);
        assert_eq!(sample.ago_ms, 2);
        assert_eq!(
            sample.text(),
            "2026-03-01T12:00:00.003Z  drop           banned             tcp   198.51.100.7:40000 > 192.0.2.1:80  74 bytes  banned for unknown codes\n"
        );
    }
}
