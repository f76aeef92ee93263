//! From the bytes of a command to the sidecar until the kernel of the neighbour has let the route go.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use anyhow::{Result, ensure};
use lab::topology::{Bfd, Daemon, Lab, Plan, RouteWatch, Shape, VIP4, VIP6};
use lab::wait::SOON;

use super::ledger::{Measure, Rounds};
use super::{OURS, since, start, until_all};

/// The neighbours, each over both families.
pub(super) fn run(rounds: &mut Rounds, runs: usize) -> Result<()> {
    for (daemon, name) in [(Daemon::Bird, "BIRD"), (Daemon::Frr, "FRR")] {
        let bfd = if daemon == Daemon::Bird { Bfd::Hard } else { Bfd::Off };
        let lab = start(&Plan { daemon, bfd, ..Plan::of(Shape::Single) }, |_| {})?;
        for (family, vip) in [("v4", VIP4), ("v6", VIP6)] {
            let case = format!("command, neighbour {name}, {family}");
            for _ in 0..runs {
                rounds.add(&case, Measure::Gone, OURS, withdrawal(&lab, family, vip)?)?;
            }
        }
    }
    Ok(())
}

fn withdrawal(lab: &Lab, family: &str, vip: &str) -> Result<f64> {
    until_all(lab);
    let watch = RouteWatch::open(&lab.routers[0].space);
    let mut stream = UnixStream::connect(lab.nodes[0].directory().join("control.sock"))?;
    let asked = Instant::now();
    writeln!(
        stream,
        r#"{{"action":{{"change":{{"command":"withdraw","scope":{{"services":["web"],"family":"{family}"}},"force":true}}}}}}"#
    )?;
    let gone = watch.first(vip, asked, SOON, "the route goes", |event| event.gone);
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    ensure!(answer.contains("done"), "{answer}");
    let said = lab.nodes[0].command(&["undrain"]);
    ensure!(said.code == Some(0), "{}", said.errors);
    Ok(since(asked, gone.at))
}
