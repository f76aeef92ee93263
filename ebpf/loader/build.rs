//! Embeds the object of the guard where one has been built; without it the crate still builds, and says so when asked.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

const OBJECT: &str = "CAROM_GUARD_OBJECT";
/// Files by which the root of a target directory is known.
const TARGET_MARKS: [&str; 2] = ["CACHEDIR.TAG", ".rustc_info.json"];

fn main() {
    println!("cargo::rustc-check-cfg=cfg(guard_embedded)");
    println!("cargo::rerun-if-env-changed={OBJECT}");
    let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else { return };
    let object = match env::var_os(OBJECT) {
        Some(path) => PathBuf::from(path),
        None => match directory(&out) {
            // A directory that exists is watched cheaply; a file that is missing would mean to run on every build.
            Some(directory) => {
                println!("cargo::rerun-if-changed={}", directory.display());
                directory.join("guard.o")
            }
            None => return,
        },
    };
    if let Ok(bytes) = fs::read(&object)
        && fs::write(out.join("guard.o"), bytes).is_ok()
    {
        println!("cargo::rustc-cfg=guard_embedded");
    }
}

/// `target/ebpf`, seen from this package's place in the build output, which is `target/PROFILE/build/NAME/out` or
/// `target/TRIPLE/PROFILE/build/NAME/out`. The tag is there from a target directory's first moment; what cargo keeps of rustc is
/// not there yet in the first build of a fresh clone, but stands in for the tag where somebody made the directory by hand.
fn directory(out: &Path) -> Option<PathBuf> {
    let target = out.ancestors().find(|path| TARGET_MARKS.iter().any(|mark| path.join(mark).is_file()))?;
    let directory = target.join("ebpf");
    fs::create_dir_all(&directory).ok()?;
    Some(directory)
}
