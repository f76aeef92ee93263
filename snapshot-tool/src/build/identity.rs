//! Which generation a snapshot is, and how old its truth.

use crate::source::Input;
use anyhow::{Context, bail};
use snapshot_format::layout::{Header, SECTION_ALIGNMENT, parse_first_page};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, SystemTime};
use std::{env, fs};

/// Reads the header of the snapshot at `path` and checks that page alone; `None` if there is no such file.
pub fn header_at(path: &Path) -> anyhow::Result<Option<Header>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let mut page = Vec::new();
    file.take(SECTION_ALIGNMENT).read_to_end(&mut page).with_context(|| path.display().to_string())?;
    let (header, _) = parse_first_page(&page).with_context(|| path.display().to_string())?;
    Ok(Some(header))
}

/// The generation of a new snapshot: the one that is wanted, else one more than any before it.
///
/// # Errors
/// A generation that is not newer than that of the file it replaces, which no node would take.
pub fn generation(
    wanted: Option<u64>,
    replaced: Option<u64>,
    previous: Option<u64>,
    force: bool,
) -> anyhow::Result<u64> {
    match (wanted, replaced) {
        (Some(wanted), Some(replaced)) if wanted <= replaced && !force => bail!(
            "generation {wanted} is not newer than {replaced}, which the output has now: nodes would refuse it \
             (--force writes it all the same)"
        ),
        (Some(wanted), _) => Ok(wanted),
        (None, _) => {
            let newest = replaced.max(previous).unwrap_or(0);
            newest.checked_add(1).context("there is no generation after the last one")
        }
    }
}

/// How old the truth is: as wanted, else SOURCE_DATE_EPOCH, else the newest of the files read; now for a pipe.
pub fn built_at_unix_s(
    wanted: Option<u64>,
    inputs: &[Input],
    domain_file: Option<&Path>,
) -> anyhow::Result<u64> {
    if let Some(wanted) = wanted {
        return Ok(wanted);
    }
    if let Some(text) = env::var_os("SOURCE_DATE_EPOCH") {
        let seconds = text.to_str().and_then(|text| text.parse().ok());
        return seconds.with_context(|| format!("SOURCE_DATE_EPOCH is {text:?}, not a number of seconds"));
    }
    let mut newest = SystemTime::UNIX_EPOCH;
    let files = inputs.iter().map(|input| match input {
        Input::File(path) => Some(path.as_path()),
        Input::Stdin => None,
    });
    for file in files.chain(domain_file.map(Some)) {
        let modified = match file {
            Some(path) => fs::metadata(path).and_then(|metadata| metadata.modified()),
            None => Ok(SystemTime::now()),
        };
        newest = newest.max(modified.with_context(|| file.unwrap_or(Path::new("-")).display().to_string())?);
    }
    Ok(newest.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_count_up_and_never_back() {
        let check = |wanted, replaced, previous, force, expected: Option<u64>| {
            assert_eq!(generation(wanted, replaced, previous, force).ok(), expected);
        };
        check(None, None, None, false, Some(1));
        check(None, Some(4), None, false, Some(5));
        check(None, Some(4), Some(9), false, Some(10));
        check(Some(5), Some(4), Some(9), false, Some(5));
        check(Some(4), Some(4), None, false, None);
        check(Some(4), Some(4), None, true, Some(4));
        check(None, Some(u64::MAX), None, false, None);
    }

    #[test]
    fn a_file_that_is_no_snapshot_is_an_error_and_no_file_is_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(header_at(file.path()).is_err());
        assert_eq!(header_at(Path::new("/no/such/file")).unwrap(), None);
    }
}
