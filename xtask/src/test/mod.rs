//! Runs everything that proves the repository, in the order in which a person wants to hear of trouble.

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::setup::{self, Purpose};
use crate::workspace::{NotRun, Profile, Verdict, Workspace, succeeds};
use crate::{build_ebpf, demo, fuzz, miri, tidy};

mod tally;

use tally::Tally;

/// Run all tests: set-up, tidy, format, the guard's object, lints, build, tests, a short fuzz run, the demo; then say what
/// could not run.
///
/// With a FILTER only the tests whose name contains it are run, and nothing else. Tests that need what this machine lacks
/// name themselves in the final table; with CAROM_REQUIRE_LAB=1 (continuous integration) they fail instead.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only tests whose name contains this, without the other stages
    filter: Option<String>,
    /// Leave a stage out; may be repeated
    #[arg(long, value_enum, value_name = "STAGE")]
    skip: Vec<Stage>,
    /// Seconds of fuzzing for each target
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    fuzz_seconds: u32,
}

/// The stages in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Stage {
    Tidy,
    Format,
    Guard,
    Lints,
    Build,
    Tests,
    Fuzz,
    Demo,
}

/// Where the tests append `name<TAB>reason` for what this machine did not let them do.
const NOT_RUN_FILE: &str = "CAROM_NOT_RUN_FILE";
/// Where the tests find the binaries that were built for them.
const BINARIES: &str = "CAROM_BIN_DIR";
/// Set to 1 where a test that cannot run must fail.
const REQUIRE_LAB: &str = "CAROM_REQUIRE_LAB";

pub(crate) fn run(options: &Options, workspace: &Workspace) -> Result<Verdict> {
    let mut run = Run::new(workspace)?;
    run.not_run.extend(setup::prepare(&[Purpose::Demo, Purpose::Test, Purpose::Fuzz]));
    if let Some(filter) = &options.filter {
        run.stage(Stage::Guard, Run::guard)?;
        run.stage(Stage::Build, Run::build)?;
        run.stage(Stage::Tests, |run| run.tests(Some(filter)))?;
        return run.conclude();
    }
    for stage in [
        Stage::Tidy,
        Stage::Format,
        Stage::Guard,
        Stage::Lints,
        Stage::Build,
        Stage::Tests,
        Stage::Fuzz,
        Stage::Demo,
    ] {
        if options.skip.contains(&stage) {
            run.not_run.push(NotRun::new(stage.name(), "left out by --skip"));
            continue;
        }
        run.stage(stage, |run| match stage {
            Stage::Tidy => tidy::check(run.workspace),
            Stage::Format => run.format(),
            Stage::Guard => run.guard(),
            Stage::Lints => run.lints(),
            Stage::Build => run.build(),
            Stage::Tests => run.tests(None),
            Stage::Fuzz => run.fuzz(options.fuzz_seconds),
            Stage::Demo => run.demo(),
        })?;
    }
    run.not_run.extend(miri::not_run(workspace));
    run.conclude()
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Tidy => "tidy",
            Self::Format => "format",
            Self::Guard => "guard",
            Self::Lints => "lints",
            Self::Build => "build",
            Self::Tests => "tests",
            Self::Fuzz => "fuzz",
            Self::Demo => "demo",
        }
    }

    /// Without binaries there is nothing to test; every other failure leaves the rest worth knowing.
    fn needs_build(self) -> bool {
        match self {
            Self::Tests | Self::Demo => true,
            Self::Tidy | Self::Format | Self::Guard | Self::Lints | Self::Build | Self::Fuzz => false,
        }
    }
}

/// One stage that ran: what it found, how long it took, and a remark.
struct Finished {
    stage: Stage,
    verdict: Verdict,
    took: Duration,
}

/// The state of one `cargo xtask test`.
struct Run<'w> {
    workspace: &'w Workspace,
    binaries: PathBuf,
    not_run_file: PathBuf,
    finished: Vec<Finished>,
    not_run: Vec<NotRun>,
    tally: Tally,
}

impl<'w> Run<'w> {
    fn new(workspace: &'w Workspace) -> Result<Self> {
        let target = workspace.target()?;
        fs::create_dir_all(&target).with_context(|| format!("cannot make {}", target.display()))?;
        let not_run_file = target.join("not-run.tsv");
        fs::write(&not_run_file, "").with_context(|| format!("cannot write {}", not_run_file.display()))?;
        Ok(Self {
            workspace,
            binaries: workspace.binaries(Profile::Dev)?,
            not_run_file,
            finished: Vec::new(),
            not_run: Vec::new(),
            tally: Tally::default(),
        })
    }

    fn stage(&mut self, stage: Stage, work: impl FnOnce(&mut Self) -> Result<Verdict>) -> Result<()> {
        let unbuilt =
            |finished: &Finished| finished.stage == Stage::Build && finished.verdict == Verdict::Failed;
        if stage.needs_build() && self.finished.iter().any(unbuilt) {
            self.not_run.push(NotRun::new(stage.name(), "the build failed"));
            return Ok(());
        }
        println!("\n== {} ==", stage.name());
        let began = Instant::now();
        let verdict = match work(self) {
            Ok(verdict) => verdict,
            Err(error) => {
                println!("{}: {error:#}", stage.name());
                Verdict::Failed
            }
        };
        self.finished.push(Finished { stage, verdict, took: began.elapsed() });
        Ok(())
    }

    fn format(&mut self) -> Result<Verdict> {
        let members = succeeds(&mut self.workspace.cargo(["fmt", "--all", "--check"]))?;
        let fuzz = ["fmt", "--manifest-path", "tests/fuzz/Cargo.toml", "--check"];
        let targets = !fuzz::has_targets(self.workspace) || succeeds(&mut self.workspace.cargo(fuzz))?;
        Ok(Verdict::passed_if(members && targets))
    }

    /// The object comes before everything that compiles the loader, which embeds it.
    fn guard(&mut self) -> Result<Verdict> {
        let missing = build_ebpf::build(self.workspace, false)?;
        let forbidden = required() && missing.is_some();
        self.not_run.extend(missing);
        Ok(Verdict::passed_if(!forbidden))
    }

    fn lints(&mut self) -> Result<Verdict> {
        let clippy = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-Dwarnings"];
        Ok(Verdict::passed_if(succeeds(&mut self.workspace.cargo(clippy))?))
    }

    /// Binaries and tests in one graph: the same features and profile, so that nothing is compiled twice.
    fn build(&mut self) -> Result<Verdict> {
        let build = ["build", "--workspace", "--bins", "--tests"];
        Ok(Verdict::passed_if(succeeds(&mut self.workspace.cargo(build))?))
    }

    fn tests(&mut self, filter: Option<&str>) -> Result<Verdict> {
        let mut test = self.workspace.cargo(["test", "--workspace", "--no-fail-fast"]);
        test.env(BINARIES, &self.binaries).env(NOT_RUN_FILE, &self.not_run_file);
        if let Some(filter) = filter {
            test.args(["--", filter]);
        }
        let (tally, succeeded) = tally::watched(&mut test, &mut io::stdout().lock())?;
        self.tally = tally;
        let noted = fs::read_to_string(&self.not_run_file).unwrap_or_default();
        let noted = tally::not_run(&noted);
        let forbidden = required() && !noted.is_empty();
        if forbidden {
            println!("tests: {REQUIRE_LAB} is set, and yet {} tests did not run", noted.len());
        }
        self.tally.skipped += noted.len() as u64;
        self.not_run.extend(noted);
        Ok(Verdict::passed_if(succeeded && !forbidden))
    }

    fn fuzz(&mut self, seconds: u32) -> Result<Verdict> {
        if !fuzz::has_targets(self.workspace) {
            self.not_run.push(NotRun::new("fuzz", "no targets in tests/fuzz/src/bin"));
            return Ok(Verdict::Passed);
        }
        let outcome = fuzz::run_briefly(self.workspace, seconds)?;
        self.not_run.extend(outcome.not_run);
        Ok(Verdict::passed_if(outcome.crashes.is_empty()))
    }

    fn demo(&mut self) -> Result<Verdict> {
        let one = demo::run_once(self.workspace, Profile::Dev)?;
        let lab = demo::run_lab_once(self.workspace, Profile::Dev)?;
        let forbidden = required() && !lab.not_run.is_empty();
        let good = [one.verdict, lab.verdict].iter().all(|verdict| *verdict == Verdict::Passed);
        self.not_run.extend(one.not_run.into_iter().chain(lab.not_run));
        Ok(Verdict::passed_if(good && !forbidden))
    }

    /// The table at the end: stages, what did not run, and the sum of all test binaries as the last line.
    fn conclude(self) -> Result<Verdict> {
        println!("\n== summary ==");
        for Finished { stage, verdict, took } in &self.finished {
            let verdict = match verdict {
                Verdict::Passed => "passed",
                Verdict::Failed => "FAILED",
            };
            println!("{:<8} {verdict:<7} {:>6.1} s", stage.name(), took.as_secs_f64());
        }
        println!("not run: {}", self.not_run.len());
        for NotRun { what, why } in &self.not_run {
            println!("  {what}: {why}");
        }
        let good = self.finished.iter().all(|finished| finished.verdict == Verdict::Passed);
        println!("\n{}", self.tally);
        Ok(Verdict::passed_if(good))
    }
}

fn required() -> bool {
    env::var_os(REQUIRE_LAB).is_some_and(|value| value == "1")
}
