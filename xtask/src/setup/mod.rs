//! Makes this machine fit for a chore: what is needed and why, what is there, what is installed, what is left out.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::Result;

use crate::workspace::{NotRun, Verdict, Workspace};

mod kernel;
mod packages;
mod python;

pub(crate) use python::{ANYCAST_HEALTHCHECKER, program as python_program};

/// Install what the chores need, from Debian's packages, and say what and why.
///
/// Every other command calls this for itself. It is quick when nothing is missing, and safe to repeat. Without root it
/// names what is missing and how to install it, and exits with 1.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to prepare for; everything when none is named
    #[arg(value_enum)]
    purposes: Vec<Purpose>,
}

/// What a person wants to do; each has its own needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Purpose {
    Demo,
    Test,
    Fuzz,
    Bench,
    Ebpf,
    Lab,
}

impl fmt::Display for Purpose {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Demo => "demo",
            Self::Test => "test",
            Self::Fuzz => "fuzz",
            Self::Bench => "bench",
            Self::Ebpf => "ebpf",
            Self::Lab => "lab",
        })
    }
}

/// One Debian package, who needs it, and what for.
struct Need {
    package: &'static str,
    purposes: &'static [Purpose],
    reason: &'static str,
}

/// Everything that a fresh Debian 12 with Rust lacks. A new need is a new line.
const NEEDS: &[Need] = &[
    Need {
        package: "bird2",
        purposes: &[Purpose::Test, Purpose::Bench, Purpose::Lab],
        reason: "speaks BGP on the nodes and routers of the lab",
    },
    Need {
        package: "bpftool",
        purposes: &[Purpose::Test, Purpose::Bench],
        reason: "damages the guard's tables from outside, and loads xdp-filter beside the guard",
    },
    Need { package: "chromium", purposes: &[Purpose::Test], reason: "a browser that follows a short link" },
    Need {
        package: "curl",
        purposes: &[Purpose::Demo, Purpose::Test, Purpose::Bench],
        reason: "runs the lines that the demo prints, and asks for the health checks of peers",
    },
    Need {
        package: "dirb",
        purposes: &[Purpose::Test],
        reason: "the path lists that scanners try, for the cases of the guard",
    },
    Need {
        package: "ethtool",
        purposes: &[Purpose::Test],
        reason: "whole checksums on the cables of the guard's cases",
    },
    Need {
        package: "exabgp",
        purposes: &[Purpose::Bench],
        reason: "its health check is a peer of the failover benchmark",
    },
    Need {
        package: "faketime",
        purposes: &[Purpose::Test],
        reason: "lets the wall clock of the sidecar jump while it runs",
    },
    Need {
        package: "frr",
        purposes: &[Purpose::Test, Purpose::Bench],
        reason: "another neighbour than BIRD in the lab",
    },
    Need {
        package: "g++",
        purposes: &[Purpose::Fuzz],
        reason: "compiles libFuzzer, which is written in C++",
    },
    Need {
        package: "gcc",
        purposes: &[Purpose::Demo, Purpose::Test, Purpose::Bench],
        reason: "compiles the cryptography of TLS, and LMDB, a peer of the lookup benchmark",
    },
    Need { package: "gobgpd", purposes: &[Purpose::Test], reason: "a third neighbour in the lab" },
    Need { package: "haproxy", purposes: &[Purpose::Bench], reason: "peer of the HTTP benchmark" },
    Need {
        package: "iproute2",
        purposes: &[Purpose::Test, Purpose::Bench, Purpose::Lab],
        reason: "makes the namespaces and cables of the lab",
    },
    Need {
        package: "kcat",
        purposes: &[Purpose::Test],
        reason: "brings a broker that speaks the Kafka protocol, and a consumer, for the cases about clicks",
    },
    Need {
        package: "llvm-22-dev",
        purposes: &[Purpose::Ebpf],
        reason: "bpf-linker is built against it: the LLVM of rustc-web",
    },
    Need {
        package: "nats-server",
        purposes: &[Purpose::Test],
        reason: "the NATS server with JetStream that the cases about clicks ship to",
    },
    Need {
        package: "nghttp2-client",
        purposes: &[Purpose::Test, Purpose::Bench],
        reason: "nghttp and h2load, clients of HTTP/2",
    },
    Need { package: "nftables", purposes: &[Purpose::Bench], reason: "peer of the guard's benchmark" },
    Need { package: "nginx-light", purposes: &[Purpose::Bench], reason: "peer of the HTTP benchmark" },
    Need { package: "openssl", purposes: &[Purpose::Test], reason: "a TLS client that nobody here wrote" },
    Need {
        package: "python3",
        purposes: &[Purpose::Test],
        reason: "an HTTP client that others wrote, and frames that no socket would send",
    },
    Need {
        package: "python3-venv",
        purposes: &[Purpose::Bench],
        reason: "the environment of anycast-healthchecker, a peer of the failover benchmark",
    },
    Need {
        package: "rust-web-src",
        purposes: &[Purpose::Ebpf],
        reason: "the sources of core, compiled for the kernel",
    },
    Need {
        package: "rustc-web",
        purposes: &[Purpose::Ebpf],
        reason: "a compiler whose sources of core and LLVM can be had",
    },
    Need { package: "slowhttptest", purposes: &[Purpose::Test], reason: "clients that are slow on purpose" },
    Need {
        package: "testssl.sh",
        purposes: &[Purpose::Test],
        reason: "looks for flaws of TLS that have a name",
    },
    Need {
        package: "xdp-tools",
        purposes: &[Purpose::Bench],
        reason: "xdp-filter, peer of the guard's benchmark",
    },
    Need { package: "wrk", purposes: &[Purpose::Bench], reason: "load generator of the HTTP benchmark" },
];

pub(crate) fn run(options: &Options, workspace: &Workspace) -> Result<Verdict> {
    let all = [Purpose::Demo, Purpose::Test, Purpose::Fuzz, Purpose::Bench, Purpose::Ebpf, Purpose::Lab];
    let purposes = if options.purposes.is_empty() { &all[..] } else { &options.purposes };
    let mut complete = prepare(purposes).is_empty();
    if purposes.contains(&Purpose::Bench)
        && let Err(error) = python_program(&workspace.target()?, ANYCAST_HEALTHCHECKER)
    {
        println!("set-up: left out anycast-healthchecker: {error:#}");
        complete = false;
    }
    Ok(Verdict::passed_if(complete))
}

/// Brings the machine to where the purposes can be served, and returns what had to be left out.
///
/// This is the one place that installs anything. It never fails: what is left out, the caller works without or
/// reports at its end.
pub(crate) fn prepare(purposes: &[Purpose]) -> Vec<NotRun> {
    let needs = needs_of(purposes);
    let wanted: Vec<&str> = needs.iter().map(|need| need.package).collect();
    let missing = packages::missing(&wanted);
    let mut left_out = Vec::new();
    if missing.is_empty() {
        println!("set-up: nothing to install for {}", listed(purposes));
    } else {
        println!("set-up: Debian packages that are missing: {}", missing.len());
        for need in needs.iter().filter(|need| missing.contains(need.package)) {
            println!("  {:<14} for {}: {}", need.package, listed(need.purposes), need.reason);
        }
        left_out.extend(install(&missing));
    }
    left_out.extend(kernel::complaints());
    for NotRun { what, why } in &left_out {
        println!("set-up: left out {what}: {why}");
    }
    left_out
}

fn install(missing: &BTreeSet<&str>) -> Vec<NotRun> {
    let names: Vec<&str> = missing.iter().copied().collect();
    match packages::install(&names) {
        Ok(()) => {
            println!("set-up: installed {}", names.join(", "));
            Vec::new()
        }
        Err(error) => {
            let why = format!("{error}; as root: apt-get install {}", names.join(" "));
            names.iter().map(|name| NotRun::new(format!("package {name}"), why.clone())).collect()
        }
    }
}

fn needs_of(purposes: &[Purpose]) -> Vec<&'static Need> {
    NEEDS.iter().filter(|need| need.purposes.iter().any(|purpose| purposes.contains(purpose))).collect()
}

fn listed(purposes: &[Purpose]) -> String {
    purposes.iter().map(Purpose::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_need_names_a_package_once_and_gives_a_reason() {
        let mut seen = BTreeSet::new();
        for need in NEEDS {
            assert!(seen.insert(need.package), "{} is listed twice", need.package);
            assert!(!need.purposes.is_empty() && need.reason.len() > 10, "{} lacks a reason", need.package);
        }
    }

    #[test]
    fn the_demo_needs_nothing_of_the_benchmarks() {
        let names: Vec<_> = needs_of(&[Purpose::Demo]).iter().map(|need| need.package).collect();
        assert_eq!(names, ["curl", "gcc"]);
    }
}
