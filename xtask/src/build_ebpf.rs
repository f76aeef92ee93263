//! Builds the guard for the kernel: finds a compiler with the sources of `core`, a linker of the same LLVM, and uses both.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::setup::{self, Purpose};
use crate::workspace::{NotRun, Verdict, Workspace, spoken, succeeds};

/// Build the guard for the kernel: target/ebpf/guard.o, which the next build of the loader embeds.
///
/// A rustup nightly with rust-src is used if a bpf-linker of the same LLVM is on the PATH; otherwise Debian's rustc-web,
/// rust-web-src and llvm-22-dev, with a bpf-linker that is built once into target/tools.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Build even if nothing has changed since the last time
    #[arg(long)]
    force: bool,
}

const LINKER_VERSION: &str = "0.13.0";
const LLVM_MAJOR: &str = "22";
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const TARGET: &str = "bpfel-unknown-none";
/// What the object is made from.
const SOURCES: [&str; 4] = ["ebpf/abi", "ebpf/logic", "ebpf/programs", "xtask/src/build_ebpf.rs"];

pub(crate) fn run(options: &Options, workspace: &Workspace) -> Result<Verdict> {
    match build(workspace, options.force)? {
        None => Ok(Verdict::Passed),
        Some(NotRun { what, why }) => {
            println!("{what}: {why}");
            Ok(Verdict::Failed)
        }
    }
}

/// Builds the object if it is older than its sources; what stands in the way comes back, an error is a failed build.
pub(crate) fn build(workspace: &Workspace, force: bool) -> Result<Option<NotRun>> {
    let target = workspace.target()?;
    let object = target.join("ebpf/guard.o");
    if !force && is_fresh(workspace, &object)? && is_fresh(workspace, &bench_object(&target))? {
        println!("build-ebpf: {} is up to date", workspace.display(&object));
        return Ok(None);
    }
    let toolchain = match find(&target) {
        Some(toolchain) => toolchain,
        None => {
            setup::prepare(&[Purpose::Ebpf]);
            match find(&target).map_or_else(|| install_linker(workspace, &target), |found| Ok(Ok(found)))? {
                Ok(toolchain) => toolchain,
                Err(why) => return Ok(Some(NotRun::new("the guard for the kernel", why))),
            }
        }
    };
    println!("build-ebpf: {}", toolchain.spoken());
    let built = compile(workspace, &target, &toolchain)?;
    fs::create_dir_all(target.join("ebpf")).context("cannot make target/ebpf")?;
    for (program, object) in [("bench", &bench_object(&target)), ("guard", &object)] {
        let built = built.join(program);
        // Renamed into place: a build of the loader that runs meanwhile sees the old object or the new one.
        let fresh = target.join("ebpf-build").join(format!("{program}.o.new"));
        fs::copy(&built, &fresh).with_context(|| format!("cannot read {}", built.display()))?;
        fs::rename(&fresh, object).with_context(|| format!("cannot write {}", object.display()))?;
    }
    let bytes = fs::metadata(&object)?.len();
    println!("build-ebpf: {} ({bytes} bytes)", workspace.display(&object));
    Ok(None)
}

/// Where the programs are that benchmarks stand on. Not beside the guard: the loader's build watches that directory.
pub(crate) fn bench_object(target: &Path) -> PathBuf {
    target.join("ebpf-build/bench.o")
}

/// A compiler and its linker.
struct Toolchain {
    /// How to start cargo and which compiler it uses.
    compiler: Compiler,
    linker: PathBuf,
}

enum Compiler {
    /// `cargo +nightly` of rustup.
    Nightly,
    /// The cargo that runs us, with Debian's compiler.
    Debian,
}

impl Toolchain {
    fn spoken(&self) -> String {
        let compiler = match self.compiler {
            Compiler::Nightly => "rustup's nightly",
            Compiler::Debian => DEBIAN_RUSTC,
        };
        format!("compiler {compiler}, linker {}", self.linker.display())
    }
}

/// What is on this machine already.
fn find(target: &Path) -> Option<Toolchain> {
    if let (Some(llvm), Some(linker)) = (nightly_llvm(), on_path("bpf-linker"))
        && linker_llvm(&linker).is_some_and(|major| major == llvm)
    {
        return Some(Toolchain { compiler: Compiler::Nightly, linker });
    }
    if !debian_is_complete() {
        return None;
    }
    let candidates = [Some(own_linker(target)), on_path("bpf-linker")];
    let linker = candidates.into_iter().flatten().find(|linker| {
        said(Command::new(linker).arg("--version")).is_some_and(|text| text.contains(LINKER_VERSION))
            && linker_llvm(linker).as_deref() == Some(LLVM_MAJOR)
    })?;
    Some(Toolchain { compiler: Compiler::Debian, linker })
}

/// Builds the linker into target/tools.
fn install_linker(workspace: &Workspace, target: &Path) -> Result<Result<Toolchain, String>> {
    if !debian_is_complete() {
        let why = "no nightly with rust-src and bpf-linker, and rustc-web, rust-web-src and llvm-22-dev are not installed";
        return Ok(Err(why.to_owned()));
    }
    println!("build-ebpf: building bpf-linker {LINKER_VERSION} once, about a minute");
    let mut install = workspace.cargo(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked"]);
    install.args(["--no-default-features", "--features", &format!("llvm-{LLVM_MAJOR}"), "--root"]);
    install.arg(target.join("tools")).env("LLVM_PREFIX", LLVM_PREFIX);
    if succeeds(&mut install)? {
        Ok(Ok(Toolchain { compiler: Compiler::Debian, linker: own_linker(target) }))
    } else {
        Ok(Err(format!("bpf-linker {LINKER_VERSION} could not be built; its messages are above")))
    }
}

fn compile(workspace: &Workspace, target: &Path, toolchain: &Toolchain) -> Result<PathBuf> {
    let build_directory = target.join("ebpf-build");
    let mut cargo = match toolchain.compiler {
        Compiler::Nightly => {
            let mut cargo = Command::new("cargo");
            cargo.arg("+nightly");
            for inherited in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN"] {
                cargo.env_remove(inherited);
            }
            cargo
        }
        Compiler::Debian => {
            let mut cargo = workspace.cargo::<&str>([]);
            cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
            cargo
        }
    };
    // Wrappers are for the other compiler.
    cargo.env_remove("RUSTC_WRAPPER").env_remove("RUSTC_WORKSPACE_WRAPPER").env_remove("RUSTFLAGS");
    let flags = [
        format!("--cfg=bpf_target_arch=\"{}\"", env::consts::ARCH),
        "-Cdebuginfo=2".to_owned(),
        "-Ctarget-cpu=v3".to_owned(),
        format!("-Clinker={}", toolchain.linker.display()),
        "-Clink-arg=--btf".to_owned(),
        // Without this, the linker leaves every memset as a call of a loop.
        "-Clink-arg=--disable-expand-memcpy-in-order".to_owned(),
    ];
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}")).env("CARGO_TARGET_DIR", &build_directory);
    cargo.current_dir(workspace.root().join("ebpf/programs"));
    cargo.args(["build", "--quiet", "--locked", "--release", "-Zbuild-std=core", "--target", TARGET]);
    if !succeeds(&mut cargo)? {
        bail!("the guard does not compile: {}", spoken(&cargo));
    }
    Ok(build_directory.join(TARGET).join("release"))
}

/// Whether the object is newer than everything that it is made from.
fn is_fresh(workspace: &Workspace, object: &Path) -> Result<bool> {
    let Ok(built) = fs::metadata(object).and_then(|metadata| metadata.modified()) else { return Ok(false) };
    for source in SOURCES {
        if newest(&workspace.root().join(source))? > built {
            return Ok(false);
        }
    }
    Ok(true)
}

fn newest(path: &Path) -> Result<SystemTime> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut newest_time = metadata.modified()?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            // Directories change when an editor or git saves beside the file; only files count.
            let time = newest(&entry.path())?;
            newest_time = newest_time.max(time);
        }
    }
    Ok(newest_time)
}

fn debian_is_complete() -> bool {
    let compiler = said(Command::new(DEBIAN_RUSTC).args(["--version", "--verbose"]));
    compiler.is_some_and(|text| llvm_of(&text).as_deref() == Some(LLVM_MAJOR))
        && Path::new("/usr/lib/rustlib/src/rust/library/core").is_dir()
        && Path::new(LLVM_PREFIX).join("bin/llvm-config").exists()
}

/// The LLVM of a nightly that has the sources of `core`.
fn nightly_llvm() -> Option<String> {
    let root =
        said(Command::new("rustc").args(["+nightly", "--print", "sysroot"]).env_remove("RUSTUP_TOOLCHAIN"))?;
    if !Path::new(root.trim()).join("lib/rustlib/src/rust/library/core").is_dir() {
        return None;
    }
    llvm_of(&said(
        Command::new("rustc").args(["+nightly", "--version", "--verbose"]).env_remove("RUSTUP_TOOLCHAIN"),
    )?)
}

/// The major version in a line `LLVM version: 22.1.8`, as `rustc --version --verbose` prints it.
fn llvm_of(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    line.split('.').next().map(str::to_owned)
}

/// The LLVM that a linker was built with; it names it in its help or version, by its features.
fn linker_llvm(linker: &Path) -> Option<String> {
    let version = said(Command::new(linker).arg("--version"))?;
    let major = version.split_once("LLVM ").map(|(_, rest)| rest.split(['.', ' ', ')', '\n']).next());
    match major {
        Some(major) => major.map(str::to_owned),
        // Ours does not say, and we have built it for one LLVM only.
        None => linker.ends_with("tools/bin/bpf-linker").then(|| LLVM_MAJOR.to_owned()),
    }
}

fn own_linker(target: &Path) -> PathBuf {
    target.join("tools/bin/bpf-linker")
}

fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// What a program prints, if it succeeds.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_llvm_of_a_compiler_is_read_from_what_it_prints() {
        let text = "rustc 1.96.0\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        assert_eq!(llvm_of(text).as_deref(), Some("22"));
        assert_eq!(llvm_of("rustc 1.96.0\n"), None);
    }

    #[test]
    fn an_object_that_is_not_there_is_not_fresh() {
        let workspace = Workspace::find().expect("tests run inside a checkout");
        assert!(!is_fresh(&workspace, Path::new("/nonexistent/guard.o")).expect("the sources can be read"));
    }
}
