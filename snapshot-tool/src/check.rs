//! From rows of text to links: what is checked, and what is kept of a batch of rows.

use crate::column::Column;
use crate::destination::{self, Schemes};
use crate::digest::Digest;
use crate::domain_name::DomainName;
use crate::refusal::{Reason, Refusal};
use crate::settings::{DomainPlan, Settings};
use crate::source::{Batch, RawRow, Row};
use crate::terms::Terms;
use snapshot_format::{CODE_BYTES_MAX, CaseMode, CodeError, Link, TrailingSlash, canonical_code};
use std::borrow::Cow;
use std::collections::HashMap;

/// What rows are checked against.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    defaults: Settings,
    listed: HashMap<DomainName, Settings>,
    listed_only: bool,
    schemes: Schemes,
}

impl Rules {
    /// Rules from a domain plan. `listed_only`: rows of other domains are refused.
    pub fn new(plan: &DomainPlan, listed_only: bool, schemes: Schemes) -> Self {
        let listed = plan.listed.iter().cloned().collect();
        Self { defaults: plan.defaults.clone(), listed, listed_only, schemes }
    }

    /// The settings of a domain; `None`: its rows are refused.
    pub fn settings(&self, name: &DomainName) -> Option<&Settings> {
        self.listed.get(name).or_else(|| (!self.listed_only).then_some(&self.defaults))
    }
}

/// A batch of rows after the check.
#[derive(Debug)]
pub struct Checked {
    /// The rows as they were read.
    pub batch: Batch,
    /// Domains that rows name, each once, in the order of their first row; refused rows may be all that one has.
    pub domains: Vec<DomainName>,
    /// Rows that are refused, by their place in the batch.
    pub refused: Vec<(usize, Refusal)>,
    /// Links whose destination is stored in another spelling than it was written.
    pub rewritten: u64,
    /// Digest of all accepted rows.
    pub digest: Digest,
    accepted: Vec<Accepted>,
    /// Code and destination of each accepted row, one after the other.
    texts: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Accepted {
    row: usize,
    /// Place in `domains`.
    domain: u32,
    code_bytes: usize,
    destination_bytes: usize,
    terms: Terms,
}

impl Checked {
    /// Accepted rows in order: their line, and the link with its domain as a place in [`Checked::domains`].
    pub fn links(&self) -> impl Iterator<Item = (u64, Link<'_>)> {
        let mut rest = self.texts.as_slice();
        self.accepted.iter().map(move |accepted| {
            let (code, after) = rest.split_at(accepted.code_bytes);
            let (destination, after) = after.split_at(accepted.destination_bytes);
            rest = after;
            let line = self.batch.rows[accepted.row].line;
            (line, accepted.terms.link(accepted.domain, code, destination))
        })
    }

    /// How many rows were accepted.
    pub const fn accepted(&self) -> u64 {
        self.accepted.len() as u64
    }
}

/// Checks every row of a batch.
pub fn check(batch: Batch, rules: &Rules) -> Checked {
    let mut checker = Checker {
        rules,
        known: HashMap::new(),
        ids: HashMap::new(),
        last: (String::new(), 0),
        modes: Vec::new(),
        scratch: Vec::new(),
        checked: Checked {
            domains: Vec::new(),
            refused: Vec::new(),
            rewritten: 0,
            digest: Digest::default(),
            accepted: Vec::with_capacity(batch.rows.len()),
            texts: Vec::with_capacity(batch.bytes.len()),
            batch: Batch { rows: Vec::new(), bytes: Vec::new(), ..batch },
        },
    };
    for (place, row) in batch.rows.iter().enumerate() {
        if let Err(refusal) = checker.row(place, row, &batch.bytes[row.start..row.end]) {
            checker.checked.refused.push((place, refusal));
        }
    }
    let mut checked = checker.checked;
    checked.batch.rows = batch.rows;
    checked.batch.bytes = batch.bytes;
    checked
}

struct Checker<'r> {
    rules: &'r Rules,
    /// Domains of this batch by the text that rows have for them.
    known: HashMap<String, u32>,
    ids: HashMap<DomainName, u32>,
    /// The text of the row before and its domain: inputs are often sorted.
    last: (String, u32),
    /// How codes of each domain are read.
    modes: Vec<(CaseMode, TrailingSlash)>,
    scratch: Vec<u8>,
    checked: Checked,
}

impl Checker<'_> {
    fn row(&mut self, place: usize, raw: &RawRow, bytes: &[u8]) -> Result<(), Refusal> {
        let row = self.checked.batch.source.split(raw, bytes)?;
        let domain = self.domain(required(&row, Column::Domain)?)?;
        let mut buffer = [0; CODE_BYTES_MAX];
        let code = check_code(row.get(Column::Code).unwrap_or(""), self.modes[domain as usize], &mut buffer)?;
        let destination = destination::check(required(&row, Column::Destination)?, &self.rules.schemes)?;
        let terms = Terms::of_row(&row)?;

        let checked = &mut self.checked;
        let name = &checked.domains[domain as usize];
        let link = terms.link(domain, code, destination.as_bytes());
        checked.digest.add(name.host.as_bytes(), name.wildcard, &link, &mut self.scratch);
        checked.rewritten += u64::from(matches!(destination, Cow::Owned(_)));
        checked.texts.extend_from_slice(code);
        checked.texts.extend_from_slice(destination.as_bytes());
        let (code_bytes, destination_bytes) = (code.len(), destination.len());
        checked.accepted.push(Accepted { row: place, domain, code_bytes, destination_bytes, terms });
        Ok(())
    }

    fn domain(&mut self, written: &str) -> Result<u32, Refusal> {
        if self.last.0 == written {
            return Ok(self.last.1);
        }
        let id = match self.known.get(written) {
            Some(&id) => id,
            None => self.new_domain(written)?,
        };
        self.last = (written.to_owned(), id);
        Ok(id)
    }

    fn new_domain(&mut self, written: &str) -> Result<u32, Refusal> {
        let (name, settings) = check_domain(written, self.rules)?;
        let id = *self.ids.entry(name).or_insert_with_key(|name| {
            self.modes.push((settings.case, settings.trailing_slash));
            self.checked.domains.push(name.clone());
            (self.checked.domains.len() - 1) as u32
        });
        self.known.insert(written.to_owned(), id);
        Ok(id)
    }
}

/// Checks one row that came from elsewhere than an input of `build`; its domain and canonical code.
///
/// # Errors
/// Says why `build` would refuse it.
pub fn check_row(row: &Row<'_>, rules: &Rules) -> Result<(DomainName, Vec<u8>), Refusal> {
    let written = required(row, Column::Domain)?;
    let (name, settings) = check_domain(written, rules)?;
    let mut buffer = [0; CODE_BYTES_MAX];
    let modes = (settings.case, settings.trailing_slash);
    let code = check_code(row.get(Column::Code).unwrap_or(""), modes, &mut buffer)?.to_vec();
    destination::check(required(row, Column::Destination)?, &rules.schemes)?;
    Terms::of_row(row)?;
    Ok((name, code))
}

/// The domain of that name and its settings.
fn check_domain<'r>(written: &str, rules: &'r Rules) -> Result<(DomainName, &'r Settings), Refusal> {
    let refuse = |reason, explanation| Refusal::of_value(reason, Column::Domain, written, explanation);
    let name = DomainName::parse(written).map_err(|error| refuse(Reason::DomainInvalid, error))?;
    if let Some(explanation) = name.reserved() {
        return Err(refuse(Reason::DomainReserved, explanation));
    }
    let settings = rules
        .settings(&name)
        .ok_or_else(|| refuse(Reason::DomainUnlisted, format!("domain {name} is not in the domain file")))?;
    Ok((name, settings))
}

fn required<'r>(row: &'r Row<'_>, column: Column) -> Result<&'r str, Refusal> {
    let missing = || Refusal::of_value(Reason::MissingValue, column, "", "the value is missing");
    row.get(column).ok_or_else(missing)
}

/// The canonical code of a domain with these modes.
fn check_code<'b>(
    written: &str,
    (case, trailing_slash): (CaseMode, TrailingSlash),
    buffer: &'b mut [u8; CODE_BYTES_MAX],
) -> Result<&'b [u8], Refusal> {
    let refuse = |reason, explanation: Cow<'static, str>| {
        Refusal::of_value(reason, Column::Code, written, explanation)
    };
    if written.starts_with('/') {
        return Err(refuse(Reason::CodeLeadingSlash, "write the code without the slash in front".into()));
    }
    canonical_code(written.as_bytes(), case, trailing_slash, buffer).map_err(|error| match error {
        CodeError::Empty => refuse(
            Reason::CodeEmpty,
            "the code is empty; the key root of the domain file decides about /".into(),
        ),
        CodeError::TooLong => refuse(Reason::CodeTooLong, error.to_string().into()),
        CodeError::BadEscape => refuse(Reason::CodeBadEscape, error.to_string().into()),
        CodeError::Nul | CodeError::ControlByte(_) => {
            refuse(Reason::CodeControlByte, error.to_string().into())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domains_file;
    use crate::source::{Format, Input, read_inputs};
    use snapshot_format::{QueryMode, Status};
    use std::ops::ControlFlow;

    /// Checks the rows of a CSV text by a domain file.
    fn check_text(domains: &str, rows: &str) -> Checked {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), rows).unwrap();
        let plan = domains_file::parse(&format!("version = 1\n{domains}"), &Schemes::default()).unwrap();
        let rules = Rules::new(&plan, domains.contains("# listed only"), Schemes::default());
        let mut checked = Vec::new();
        let input = Input::File(file.path().to_owned());
        let read = read_inputs(&[input], Some(Format::Csv), &[], |batch| {
            checked.push(check(batch, &rules));
            ControlFlow::Continue(())
        });
        read.unwrap();
        checked.pop().unwrap()
    }

    fn check_row(domains: &str, row: &str, expected: Result<&str, Reason>) {
        let header = "domain,code,destination,status,disabled,deleted,query,not_before,expires,version";
        let commas = ",".repeat(9 - row.matches(',').count());
        let checked = check_text(domains, &format!("{header}\n{row}{commas}\n"));
        let found = match checked.links().next() {
            Some((line, link)) => {
                assert_eq!(line, 2);
                let domain = &checked.domains[link.domain as usize];
                Ok(format!("{domain}/{}", String::from_utf8_lossy(link.code)))
            }
            None => Err(checked.refused[0].1.reason),
        };
        assert_eq!(found.as_deref().map_err(|reason| *reason), expected, "{row:?}");
        assert_eq!(checked.accepted() + checked.refused.len() as u64, 1);
    }

    const URL: &str = "https://a.example/";

    #[test]
    fn keys_are_stored_in_the_form_that_the_node_looks_up() {
        let folding = "[domains.\"fold.example\"]\ncase = \"insensitive\"\ntrailing_slash = \"strict\"";
        check_row("", &format!("GO.example,Ab/,{URL}"), Ok("go.example/Ab"));
        check_row(folding, &format!("fold.example,Ab/,{URL}"), Ok("fold.example/ab/"));
        check_row(
            "",
            &format!("*.b\u{fc}cher.example,%c3%bc x,{URL}"),
            Ok("*.xn--bcher-kva.example/\u{fc}%20x"),
        );
    }

    #[test]
    fn every_wrong_value_has_its_reason() {
        let check = |row: &str, reason: Reason| check_row("", row, Err(reason));
        check(&format!(",a,{URL}"), Reason::MissingValue);
        check("go.example,a,", Reason::MissingValue);
        check(&format!("go.example:80,a,{URL}"), Reason::DomainInvalid);
        check(&format!("go.example,,{URL}"), Reason::CodeEmpty);
        check(&format!("go.example,/a,{URL}"), Reason::CodeLeadingSlash);
        check(&format!("go.example,50%,{URL}"), Reason::CodeBadEscape);
        check(&format!("go.example,a%0a,{URL}"), Reason::CodeControlByte);
        check(&format!("go.example,{},{URL}", "x".repeat(256)), Reason::CodeTooLong);
        check("go.example,a,gopher://a.example/", Reason::DestinationScheme);
        check(&format!("go.example,a,{URL},304"), Reason::StatusInvalid);
        check(&format!("go.example,a,{URL},,yes"), Reason::FlagInvalid);
        check(&format!("go.example,a,{URL},,,,keep"), Reason::QueryInvalid);
        check(&format!("go.example,a,{URL},,,,,soon"), Reason::TimeInvalid);
        check(&format!("go.example,a,{URL},,,,,20,20"), Reason::PeriodEmpty);
        check(&format!("go.example,a,{URL},,,,,,,-1"), Reason::VersionInvalid);
        check_row("# listed only", &format!("go.example,a,{URL}"), Err(Reason::DomainUnlisted));
    }

    #[test]
    fn optional_columns_reach_the_link() {
        let checked = check_text(
            "",
            "version,expires,not_before,query,deleted,disabled,status,destination,code,domain\n\
             7,2026-01-01T00:00:00Z,5,append,1,true,308,https://b\u{fc}.example,a,go.example\n\
             ,,,,0,false,,https://a.example,b,Go.example\n",
        );
        let links: Vec<_> = checked.links().collect();
        let first = links[0].1;
        assert_eq!((first.status, first.query), (Some(Status::PermanentRedirect), Some(QueryMode::Append)));
        assert_eq!((first.disabled, first.deleted, first.version), (true, true, 7));
        assert_eq!((first.not_before_unix_s, first.expires_unix_s), (Some(5), Some(1_767_225_600)));
        assert_eq!(first.destination, b"https://xn--b-eha.example/");
        let second = links[1].1;
        assert_eq!(second.destination, b"https://a.example");
        assert_eq!((second.disabled, second.deleted, second.status), (false, false, None));
        assert_eq!((checked.rewritten, checked.domains.len()), (1, 1));
    }
}
