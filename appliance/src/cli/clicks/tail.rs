//! `carom clicks tail`: the last records, and those that come.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use clicks::spool::segment::Header;
use clicks::spool::{self, Piece, SegmentReader};
use clicks::wire::{Row, time};
use clicks::{Click, policy, record};

use super::SpoolArgs;
use super::filter::Filter;

/// How often new blocks are looked for.
const GLANCE: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct TailArgs {
    #[command(flatten)]
    spool: SpoolArgs,
    #[command(flatten)]
    filter: Filter,
    /// How many of the records that are there.
    #[arg(long, short = 'n', default_value_t = 20)]
    lines: usize,
    /// Go on with those that come, until interrupted.
    #[arg(long, short = 'f')]
    follow: bool,
    /// Print the rows that receivers get.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &TailArgs) -> anyhow::Result<ExitCode> {
    let directory = args.spool.directory()?;
    let mut last = VecDeque::with_capacity(args.lines.min(1_000));
    let mut follower = Follower::new(directory);
    follower.read(|header, sequence, click| {
        if args.lines > 0 && args.filter.wants(click) {
            if last.len() == args.lines {
                last.pop_front();
            }
            last.push_back(rendered(args.json, header, sequence, click));
        }
        Ok(())
    })?;
    let mut output = io::stdout().lock();
    let mut write = |line: &[u8]| output.write_all(line).and_then(|()| output.flush());
    let result = (|| -> anyhow::Result<()> {
        for line in last {
            write(&line)?;
        }
        if !args.follow {
            return Ok(());
        }
        loop {
            std::thread::sleep(GLANCE);
            follower.read(|header, sequence, click| {
                if args.filter.wants(click) {
                    write(&rendered(args.json, header, sequence, click))
                } else {
                    Ok(())
                }
            })?;
        }
    })();
    match result {
        // A reader that has seen enough is no error.
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) =>
        {
            Ok(ExitCode::SUCCESS)
        }
        result => result.map(|()| ExitCode::SUCCESS),
    }
}

fn rendered(json: bool, header: &Header, sequence: u64, click: &Click<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    if json {
        Row::new(header, sequence, click).append_to(&mut line);
        return line;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().to_string();
    let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let who = if click.prefetch { "prefetch" } else { click.bot.label() };
    writeln!(
        line,
        "{} {}/{} {} {} {who} {} {} {}{}",
        time(click.unix_ms),
        text(click.domain),
        text(click.code),
        click.status,
        click.outcome.label(),
        click.device.label(),
        dash(policy::shown(click.address)),
        dash(text(click.referrer)),
        if click.sample_rate > 1 { format!(" x{}", click.sample_rate) } else { String::new() },
    )
    .expect("a Vec takes every write");
    line
}

/// Reads a spool from its beginning, and later what was added.
pub(super) struct Follower {
    directory: PathBuf,
    open: Option<(u64, SegmentReader)>,
}

impl Follower {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, open: None }
    }

    /// Hands every record that was not seen before to `each`; damaged ones are passed over.
    pub(super) fn read(
        &mut self,
        mut each: impl FnMut(&Header, u64, &Click<'_>) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        let segments = segments(&self.directory)?;
        for (number, path) in segments {
            match &self.open {
                Some((open, _)) if *open > number => continue,
                Some((open, _)) if *open == number => {}
                _ => match SegmentReader::open(&path) {
                    Ok(reader) => self.open = Some((number, reader)),
                    // Removed meanwhile, or not begun yet.
                    Err(_) => continue,
                },
            }
            let Some((_, reader)) = &mut self.open else { continue };
            loop {
                match reader.next_piece()? {
                    Piece::Block(block, records) => {
                        for (click, sequence) in record::all(&records).zip(block.first_sequence..) {
                            each(reader.header(), sequence, &click)?;
                        }
                    }
                    Piece::Damaged(_) => {}
                    Piece::End { .. } => break,
                }
            }
        }
        Ok(())
    }
}

pub(super) fn segments(directory: &Path) -> anyhow::Result<Vec<(u64, PathBuf)>> {
    spool::list(directory).with_context(|| format!("cannot read the spool in {}", directory.display()))
}
