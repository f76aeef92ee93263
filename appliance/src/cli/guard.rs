//! `carom guard`: looks at the guard and changes it through what is pinned, whether a node runs or not.
//!
//! Modules in reading order: what it does now, its bans, what it drops, why it would, and how the gate is opened.

mod status;

mod bans;

mod watch;

mod explain;

mod pcap;

mod detach;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use ebpf_loader::{Cidr, Pins, Tables};

/// `carom guard`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct GuardArgs {
    /// Where the guard is pinned: guard.pins of the configuration.
    #[arg(
        long,
        global = true,
        value_name = "DIRECTORY",
        env = "CAROM_GUARD_PINS",
        default_value = "/sys/fs/bpf/carom"
    )]
    pins: PathBuf,
    /// Write JSON: one object, or one per line where lines come one by one.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  carom guard status                               modes, interfaces, bans, what was dropped and why
  carom guard watch                                samples of drops, as they happen
  carom guard explain 198.51.100.7:40000 192.0.2.1:80   what would happen to this client, and why
  carom guard unban 198.51.100.7                   let somebody in again

All of it needs root, or CAP_BPF with CAP_NET_ADMIN, and works while no node runs. docs/guard.md tells the whole story,
docs/runbooks/a-customer-says-we-block-them.md what to do when somebody complains.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what the guard does: modes, interfaces, lease, bans, and packets by reason.
    #[command(after_help = STATUS_EXAMPLES)]
    Status,
    /// Print samples of what is dropped, challenged or would be, until Ctrl-C.
    ///
    /// They are samples: at most guard.events_per_s per second and CPU; the counters in `carom guard status` are exact. One
    /// watcher at a time gets them.
    #[command(after_help = WATCH_EXAMPLES)]
    Watch {
        /// End after so many samples.
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
    /// List bans that have not expired, the longest first.
    #[command(after_help = BANS_EXAMPLES)]
    Bans,
    /// Ban a source for a while: an IPv4 address or /24, an IPv6 address (which means its /64), /64 or /48.
    ///
    /// The kernel ends the ban by itself, even if no node runs. What must last, or is of another size, belongs into a file
    /// of guard.deny_files.
    #[command(after_help = BAN_EXAMPLES)]
    Ban {
        /// Who.
        #[arg(value_name = "IP|CIDR")]
        source: Cidr,
        /// For how long: a number and s, m, h or d.
        #[arg(long = "for", value_name = "TIME", default_value = "10m", value_parser = duration)]
        duration: Duration,
        /// Let new connections prove their address by a SYN cookie instead of dropping everything.
        #[arg(long)]
        challenge: bool,
    },
    /// Lift a ban. The node does not ban that source again before the lifted ban would have ended.
    #[command(after_help = UNBAN_EXAMPLES)]
    Unban {
        /// Who.
        #[arg(value_name = "IP|CIDR")]
        source: Cidr,
    },
    /// Add networks to the first file of guard.allow_files: they skip deny lists, bans and limits.
    ///
    /// The allow list lives in files, because it must survive the machine and be reviewed; the node is its only writer in the
    /// kernel, and reads the files again on SIGHUP.
    #[command(after_help = ALLOW_EXAMPLES)]
    Allow {
        /// Which networks.
        #[arg(value_name = "CIDR", required = true)]
        networks: Vec<Cidr>,
        #[command(flatten)]
        config: super::ConfigFile,
    },
    /// Run packets through the attached program, and say what it would do with them and why.
    ///
    /// Nothing is sent, counted or remembered. The tables are the live ones. Packets come from a file that tcpdump wrote (of
    /// Ethernet frames, pcap format), or are the first one of a connection: client and service address, each with a port.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain {
        /// FILE.pcap, or CLIENT:PORT SERVER:PORT.
        #[arg(value_name = "FILE.pcap|CLIENT:PORT SERVER:PORT", num_args = 1..=2, required = true)]
        packets: Vec<String>,
        /// Ask about a UDP datagram instead of the first packet of a TCP connection.
        #[arg(long)]
        udp: bool,
    },
    /// Open the gate of an interface: remove the guard from it. Tables and bans stay for the next start.
    ///
    /// This is the only way to remove it: the end of a node, even by a crash, leaves it in place. A node that runs goes on
    /// without it, and attaches it again at its next start.
    #[command(after_help = DETACH_EXAMPLES)]
    Detach {
        /// Which interface.
        #[arg(long, value_name = "NAME")]
        interface: String,
    },
}

const STATUS_EXAMPLES: &str = "\
Examples:
  carom guard status
  carom guard status --json | jq '.packets[] | select(.action == \"drop\")'";

const WATCH_EXAMPLES: &str = "\
Examples:
  carom guard watch
  carom guard watch --count 100 --json | jq -r .source | sort | uniq -c | sort -n";

const BANS_EXAMPLES: &str = "\
Examples:
  carom guard bans
  carom guard bans --json | jq -r '.[] | select(.kind == \"drop\") | .source'";

const BAN_EXAMPLES: &str = "\
Examples:
  carom guard ban 198.51.100.7 --for 2h
  carom guard ban 2001:db8:1:2::/64 --challenge";

const UNBAN_EXAMPLES: &str = "\
Examples:
  carom guard unban 198.51.100.7

Exit status: 0 if there was a ban, 1 if not.";

const ALLOW_EXAMPLES: &str = "\
Examples:
  carom guard allow 198.51.100.0/24 && systemctl reload carom";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  carom guard explain 198.51.100.7:40000 192.0.2.1:80
  carom guard explain '[2001:db8::7]:40000' '[2001:db8:ffff::1]:80'
  tcpdump -i eth0 -c 100 -w seen.pcap host 198.51.100.7; carom guard explain seen.pcap";

const DETACH_EXAMPLES: &str = "\
Examples:
  carom guard detach --interface eth0";

/// Does what the arguments ask for.
pub(super) fn run(args: GuardArgs) -> anyhow::Result<ExitCode> {
    let GuardArgs { pins, json, command } = args;
    let pins = Pins::at(pins);
    match command {
        Command::Status => status::run(&pins, json),
        Command::Watch { count } => watch::run(&pins, count, json),
        Command::Bans => bans::list(&Tables::open(&pins)?, json),
        Command::Ban { source, duration, challenge } => {
            bans::ban(&mut Tables::open(&pins)?, source, duration, challenge, json)
        }
        Command::Unban { source } => bans::unban(&mut Tables::open(&pins)?, source, json),
        Command::Allow { networks, config } => bans::allow(&networks, &config.path, json),
        Command::Explain { packets, udp } => explain::run(&pins, &packets, udp, json),
        Command::Detach { interface } => detach::run(&pins, &interface, json),
    }
}

/// A number and its unit: 90s, 10m, 2h, 1d; at most a year.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err("expected a number and s, m, h or d, such as 10m".into()),
    };
    let number: u64 =
        number.parse().map_err(|_| "expected a number before the unit, such as 10m".to_owned())?;
    match number.checked_mul(seconds) {
        Some(seconds @ 1..=31_536_000) => Ok(Duration::from_secs(seconds)),
        _ => Err("expected between 1s and 365d".into()),
    }
}

/// A time span as people read it.
fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("2h", 7_200), ("365d", 31_536_000)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "10", "m", "0s", "366d", "1w", "-1s", "99999999999999999999s", "1h30m"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(
            [90, 600, 7_200, 172_800].map(|s| human(Duration::from_secs(s))),
            ["90s", "10m", "2h", "2d"]
        );
    }
}
