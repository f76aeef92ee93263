//! Runs every fuzz target for a bounded time with libFuzzer, on the stable compiler and without cargo-fuzz.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::setup::{self, Purpose};
use crate::workspace::{NotRun, Verdict, Workspace, quoted, succeeds};

/// Feed every parser with inputs that libFuzzer invents, for a bounded time each.
///
/// Targets are the files in tests/fuzz/src/bin. Seeds come from tests/fuzz/corpus/TARGET and stay untouched; what a run
/// finds is kept in target/fuzz/corpus/TARGET, so that the next run goes on from there. A crash ends the target, is kept
/// in target/fuzz/artifacts/TARGET, and is reported with the command that repeats it.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Seconds for each target
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Only this target; may be repeated
    #[arg(long = "target", value_name = "TARGET")]
    targets: Vec<String>,
    /// Feed this one file to the target instead of fuzzing: repeats a crash
    #[arg(long, value_name = "FILE", requires = "targets")]
    reproduce: Option<PathBuf>,
    /// Afterwards copy the inputs that reach new code into tests/fuzz/corpus, to be committed as seeds
    #[arg(long)]
    keep: bool,
}

/// What one session of fuzzing came to.
pub(crate) struct Outcome {
    pub(crate) targets: usize,
    pub(crate) inputs: u64,
    pub(crate) crashes: Vec<String>,
    pub(crate) not_run: Vec<NotRun>,
}

pub(crate) fn run(options: &Options, workspace: &Workspace) -> Result<Verdict> {
    setup::prepare(&[Purpose::Fuzz]);
    let fuzzer = Fuzzer::build(workspace, &options.targets)?;
    if let Some(input) = &options.reproduce {
        return fuzzer.reproduce(input);
    }
    let outcome = fuzzer.run(options.seconds)?;
    if options.keep {
        fuzzer.keep()?;
    }
    for NotRun { what, why } in &outcome.not_run {
        println!("not run: {what}: {why}");
    }
    println!("{} targets, {} inputs, {} crashes", outcome.targets, outcome.inputs, outcome.crashes.len());
    Ok(Verdict::passed_if(outcome.crashes.is_empty()))
}

/// The short run that is part of `cargo xtask test`.
pub(crate) fn run_briefly(workspace: &Workspace, seconds: u32) -> Result<Outcome> {
    Fuzzer::build(workspace, &[])?.run(seconds)
}

/// Whether there is anything to fuzz in this checkout.
pub(crate) fn has_targets(workspace: &Workspace) -> bool {
    found_targets(workspace.root()).is_ok_and(|targets| !targets.is_empty())
}

/// Every target built, and the places where it reads and writes.
struct Fuzzer<'w> {
    workspace: &'w Workspace,
    targets: Vec<String>,
    binaries: PathBuf,
    output: PathBuf,
    sanitizer: Sanitizer,
}

/// Flags that make LLVM report coverage and operands of comparisons to libFuzzer; all of them stable.
const COVERAGE: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Whether out-of-bounds reads in unsafe code stop a target at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sanitizer {
    Address,
    /// The toolchain brings no runtime for it (Debian's does not).
    None,
}

impl<'w> Fuzzer<'w> {
    fn build(workspace: &'w Workspace, wanted: &[String]) -> Result<Self> {
        let found = found_targets(workspace.root())?;
        if let Some(unknown) = wanted.iter().find(|name| !found.contains(name)) {
            bail!("no fuzz target {unknown}; there are: {}", found.join(", "));
        }
        let targets = if wanted.is_empty() { found } else { wanted.to_vec() };
        let host = Host::ask(workspace)?;
        let sanitizer = host.sanitizer();
        let output = workspace.target()?.join("fuzz");
        let mut flags = COVERAGE.to_vec();
        if sanitizer == Sanitizer::Address {
            flags.push("-Zsanitizer=address");
        }
        // An explicit --target keeps these flags away from build scripts and procedural macros.
        let mut build = workspace.cargo(["build", "--release", "--manifest-path", "tests/fuzz/Cargo.toml"]);
        build.args(["--target", &host.triple, "--target-dir"]).arg(&output);
        for target in &targets {
            build.args(["--bin", target]);
        }
        // The sanitizer is the one unstable flag; this makes the stable compiler take it.
        build.env("RUSTC_BOOTSTRAP", "1").env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        if !succeeds(&mut build)? {
            bail!("the fuzz targets do not build");
        }
        let binaries = output.join(&host.triple).join("release");
        Ok(Self { workspace, targets, binaries, output, sanitizer })
    }

    fn run(&self, seconds: u32) -> Result<Outcome> {
        let mut outcome = Outcome { targets: 0, inputs: 0, crashes: Vec::new(), not_run: Vec::new() };
        if self.sanitizer == Sanitizer::None {
            outcome.not_run.push(NotRun::new("address sanitizer", "this toolchain has no runtime for it"));
        }
        for target in &self.targets {
            let began = Instant::now();
            let log = self.fuzz(target, seconds)?;
            let tally = Tally::of(&log.text);
            outcome.targets += 1;
            outcome.inputs += tally.inputs;
            let elapsed = began.elapsed().as_secs_f64();
            println!(
                "fuzz {target}: {} inputs in {elapsed:.0} s, {} edges covered",
                tally.inputs, tally.edges
            );
            if !log.succeeded {
                outcome.crashes.push(target.clone());
                self.report_crash(target, &log);
            }
        }
        Ok(outcome)
    }

    fn fuzz(&self, target: &str, seconds: u32) -> Result<Log> {
        let found = self.made(&["corpus", target])?;
        let artifacts = self.made(&["artifacts", target])?;
        let mut command = self.command(target);
        command
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .args(["-timeout=10", "-rss_limit_mb=4096", "-print_final_stats=1", "-reload=0"]);
        let dictionary = self.seeds("dictionaries").join(format!("{target}.dict"));
        if dictionary.is_file() {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        // libFuzzer writes into the first directory only.
        command.arg(found);
        let seeds = self.seeds("corpus").join(target);
        if seeds.is_dir() {
            command.arg(seeds);
        }
        let path = self.output.join(format!("{target}.log"));
        let file = fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let status = command
            .stdout(Stdio::null())
            .stderr(file)
            .status()
            .with_context(|| format!("cannot start fuzz target {target}"))?;
        let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        Ok(Log { path, text, succeeded: status.success() })
    }

    fn report_crash(&self, target: &str, log: &Log) {
        println!("fuzz {target}: CRASH, log in {}", self.workspace.display(&log.path));
        let telling = |line: &&str| line.contains("panicked at") || line.starts_with("SUMMARY:");
        for line in log.text.lines().filter(telling).take(3) {
            println!("  {line}");
        }
        match crash_file(&log.text) {
            Some(file) => println!(
                "  repeat it: cargo xtask fuzz --target {target} --reproduce {}",
                quoted(&self.workspace.display(Path::new(file)).to_string())
            ),
            None => println!("  libFuzzer kept no input"),
        }
    }

    fn reproduce(&self, input: &Path) -> Result<Verdict> {
        let Some(target) = self.targets.first() else { bail!("--reproduce needs --target") };
        let input = fs::canonicalize(input).with_context(|| format!("cannot read {}", input.display()))?;
        Ok(Verdict::passed_if(succeeds(self.command(target).arg(input))?))
    }

    /// Merges what was found into the seeds: only inputs that reach code which no seed reaches.
    fn keep(&self) -> Result<()> {
        for target in &self.targets {
            let seeds = self.seeds("corpus").join(target);
            fs::create_dir_all(&seeds).with_context(|| format!("cannot make {}", seeds.display()))?;
            let found = self.made(&["corpus", target])?;
            let mut merge = self.command(target);
            merge.args(["-merge=1"]).arg(&seeds).arg(found).stderr(Stdio::null());
            if !succeeds(&mut merge)? {
                bail!("libFuzzer could not merge the finds of {target}");
            }
        }
        Ok(())
    }

    fn command(&self, target: &str) -> Command {
        let mut command = Command::new(self.binaries.join(target));
        // The crate and libFuzzer both define some symbols; the sanitizer need not mind.
        command.env("ASAN_OPTIONS", "detect_odr_violation=0").current_dir(self.workspace.root());
        command
    }

    fn seeds(&self, kind: &str) -> PathBuf {
        self.workspace.root().join("tests/fuzz").join(kind)
    }

    fn made(&self, parts: &[&str]) -> Result<PathBuf> {
        let directory = parts.iter().fold(self.output.clone(), |path, part| path.join(part));
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(directory)
    }
}

struct Log {
    path: PathBuf,
    text: String,
    succeeded: bool,
}

/// The compiler's own triple and home.
struct Host {
    triple: String,
    sysroot: PathBuf,
}

impl Host {
    fn ask(workspace: &Workspace) -> Result<Self> {
        let rustc = |arguments: &[&str]| -> Result<String> {
            let output = Command::new("rustc").args(arguments).current_dir(workspace.root()).output();
            Ok(String::from_utf8(output.context("cannot run rustc")?.stdout)?)
        };
        let version = rustc(&["-vV"])?;
        let triple = version.lines().find_map(|line| line.strip_prefix("host: "));
        let sysroot = rustc(&["--print", "sysroot"])?;
        Ok(Self {
            triple: triple.context("rustc names no host")?.to_owned(),
            sysroot: PathBuf::from(sysroot.trim()),
        })
    }

    fn sanitizer(&self) -> Sanitizer {
        let libraries = self.sysroot.join("lib/rustlib").join(&self.triple).join("lib");
        let runtime = |entry: fs::DirEntry| entry.file_name().to_string_lossy().ends_with("_rt.asan.a");
        let found = fs::read_dir(libraries).is_ok_and(|entries| entries.flatten().any(runtime));
        if found { Sanitizer::Address } else { Sanitizer::None }
    }
}

/// What libFuzzer says of one run.
#[derive(Debug, PartialEq, Eq)]
struct Tally {
    inputs: u64,
    edges: u64,
}

impl Tally {
    fn of(log: &str) -> Self {
        let inputs = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        let edges = log.lines().rev().find_map(|line| line.split_once(" cov: ")).map(|(_, rest)| rest);
        Self {
            inputs: inputs.and_then(|number| number.trim().parse().ok()).unwrap_or(0),
            edges: edges.and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or(0),
        }
    }
}

fn crash_file(log: &str) -> Option<&str> {
    log.lines().find_map(|line| line.split_once("Test unit written to ")).map(|(_, file)| file.trim())
}

fn found_targets(root: &Path) -> Result<Vec<String>> {
    let directory = root.join("tests/fuzz/src/bin");
    let entries = fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".rs")?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "INFO: Seed: 1\n#2\tINITED cov: 7 ft: 8 corp: 1/1b exec/s: 0 rss: 41Mb\n\
        #1024\tDONE   cov: 31 ft: 40 corp: 5/9b exec/s: 512 rss: 44Mb\n\
        Done 1024 runs in 2 second(s)\nstat::number_of_executed_units: 1024\n";

    #[test]
    fn the_tally_is_read_from_the_last_line_of_coverage() {
        assert_eq!(Tally::of(LOG), Tally { inputs: 1024, edges: 31 });
        assert_eq!(Tally::of(""), Tally { inputs: 0, edges: 0 });
    }

    #[test]
    fn a_crash_names_the_file_that_holds_its_input() {
        let log = "==1== ERROR\nartifact_prefix='/a/'; Test unit written to /a/crash-0f\nBase64: RlU=\n";
        assert_eq!(crash_file(log), Some("/a/crash-0f"));
        assert_eq!(crash_file(LOG), None);
    }
}
