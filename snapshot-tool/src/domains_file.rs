//! The domain file: TOML that says what each domain does, read with a line for every complaint.

use crate::destination::{self, Schemes};
use crate::documents;
use crate::domain_name::DomainName;
use crate::hsts_text;
use crate::limits::CACHE_MAX_AGE_S_MAX;
use crate::nearest::suggestion;
use crate::settings::{DomainPlan, Settings, Target};
use snapshot_format::{CacheVisibility, CaseMode, Document, HttpsMode, QueryMode, Status, TrailingSlash};
use std::collections::HashMap;
use std::fmt::Write as _;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// The only version of the file so far.
const VERSION: i64 = 1;

/// What is wrong with a domain file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct Complaint {
    /// Line of the key or value at fault, counted from 1.
    pub line: usize,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Reads a domain file.
///
/// # Errors
/// The first complaint, in the order of the file.
pub fn parse(text: &str, schemes: &Schemes) -> Result<DomainPlan, Complaint> {
    let document = DeTable::parse(text).map_err(|error| Complaint {
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    let reader = FileReader { text, schemes };
    reader.document(document.get_ref())
}

/// Renders the domain file that leads to `plan`.
pub fn render(plan: &DomainPlan) -> String {
    let mut text = format!("version = {VERSION}\n\n[defaults]\n");
    render_settings(&plan.defaults, &mut text);
    for (name, settings) in &plan.listed {
        let _ = write!(text, "\n[domains.\"{name}\"]\n");
        render_settings(settings, &mut text);
    }
    text
}

type Entry<'t, 'i> = (&'t Spanned<DeString<'i>>, &'t Spanned<DeValue<'i>>);

struct FileReader<'t> {
    text: &'t str,
    schemes: &'t Schemes,
}

impl FileReader<'_> {
    fn document(&self, document: &DeTable<'_>) -> Result<DomainPlan, Complaint> {
        let entries = self.entries(document, &["version", "defaults", "domains"])?;
        let value =
            |key: &str| entries.iter().find(|(found, _)| found.get_ref() == key).map(|(_, value)| *value);
        match value("version") {
            None => return Err(self.complain(0, "version = 1 is missing")),
            Some(version) if integer(version) == Some(VERSION) => {}
            Some(version) => return Err(self.complain(version.span().start, "version must be 1")),
        }
        let mut defaults = Settings::default();
        if let Some(table) = value("defaults") {
            defaults = self.settings(table, "[defaults]", &defaults)?;
        }
        let mut listed = Vec::new();
        if let Some(table) = value("domains") {
            let mut lines: HashMap<DomainName, usize> = HashMap::new();
            for (key, value) in in_file_order(self.table(table, "[domains.\"go.example\"]")?) {
                let at = key.span().start;
                let name = DomainName::parse(key.get_ref())
                    .map_err(|error| self.complain(at, format!("domain \"{}\": {error}", key.get_ref())))?;
                if let Some(why) = name.reserved() {
                    return Err(self.complain(at, format!("domain {name}: {why}")));
                }
                let line = line_of(self.text, at);
                if let Some(first) = lines.insert(name.clone(), line) {
                    let message = format!("domain {name} is defined on line {first} already");
                    return Err(Complaint { line, message });
                }
                let settings = self.settings(value, &format!("[domains.\"{name}\"]"), &defaults)?;
                listed.push((name, settings));
            }
        }
        Ok(DomainPlan { defaults, listed })
    }

    fn settings(
        &self,
        table: &Spanned<DeValue<'_>>,
        heading: &str,
        base: &Settings,
    ) -> Result<Settings, Complaint> {
        let mut settings = base.clone();
        for (key, value) in self.entries(self.table(table, heading)?, &Key::ALL.map(Key::name))? {
            let at = value.span().start;
            let key = Key::ALL.into_iter().find(|known| known.name() == key.get_ref());
            match key.expect("unknown keys were refused above") {
                Key::Status => settings.status = self.status(value)?,
                Key::Case => settings.case = self.word(value, CaseMode::ALL, CaseMode::name)?,
                Key::TrailingSlash => {
                    settings.trailing_slash = self.word(value, TrailingSlash::ALL, TrailingSlash::name)?;
                }
                Key::Query => settings.query = self.word(value, QueryMode::ALL, QueryMode::name)?,
                Key::Cache => {
                    settings.cache.visibility =
                        self.word(value, CacheVisibility::ALL, CacheVisibility::name)?;
                }
                Key::CacheMaxAge => settings.cache.max_age_s = self.max_age(value)?,
                Key::NotFound => settings.not_found.destination = self.destination(value)?,
                Key::NotFoundStatus => {
                    settings.not_found.status = self.status(value)?;
                    if matches!(
                        settings.not_found.status,
                        Status::MovedPermanently | Status::PermanentRedirect
                    ) {
                        let message = "a miss is never permanent: 302, 303 or 307 are possible";
                        return Err(self.complain(at, message));
                    }
                }
                Key::Root => settings.root.destination = self.destination(value)?,
                Key::RootStatus => settings.root.status = self.status(value)?,
                Key::Https => settings.https = self.word(value, HttpsMode::ALL, HttpsMode::name)?,
                Key::Hsts => {
                    let hsts = hsts_text::parse(self.text(value)?);
                    settings.hsts = hsts.map_err(|message| self.complain(at, message))?;
                }
                Key::Document(document) => {
                    let content = documents::parse(document, self.text(value)?);
                    let content = content.map_err(|message| self.complain(at, message))?;
                    settings.documents.set(document, &content);
                }
            }
        }
        Ok(settings)
    }

    fn status(&self, value: &Spanned<DeValue<'_>>) -> Result<Status, Complaint> {
        let code = integer(value).and_then(|code| u16::try_from(code).ok());
        code.and_then(Status::from_code).ok_or_else(|| {
            self.complain(value.span().start, "a status is one of 301, 302, 303, 307, 308, without quotes")
        })
    }

    fn text<'v>(&self, value: &'v Spanned<DeValue<'_>>) -> Result<&'v str, Complaint> {
        let complaint = || self.complain(value.span().start, "a text in quotes is expected");
        value.get_ref().as_str().ok_or_else(complaint)
    }

    fn max_age(&self, value: &Spanned<DeValue<'_>>) -> Result<u32, Complaint> {
        let seconds = integer(value).and_then(|seconds| u32::try_from(seconds).ok());
        seconds.filter(|&seconds| seconds <= CACHE_MAX_AGE_S_MAX).ok_or_else(|| {
            let message = format!("cache_max_age_s is a number of seconds from 0 to {CACHE_MAX_AGE_S_MAX}");
            self.complain(value.span().start, message)
        })
    }

    fn word<T: Copy>(
        &self,
        value: &Spanned<DeValue<'_>>,
        all: &[T],
        name: fn(T) -> &'static str,
    ) -> Result<T, Complaint> {
        let names: Vec<&str> = all.iter().map(|&one| name(one)).collect();
        let at = value.span().start;
        let Some(word) = value.get_ref().as_str() else {
            return Err(
                self.complain(at, format!("a word in quotes is expected, one of {}", names.join(", ")))
            );
        };
        all.iter().copied().find(|&one| name(one) == word).ok_or_else(|| {
            self.complain(at, format!("\"{word}\" is not possible here, {}", suggestion(word, &names)))
        })
    }

    /// A destination; the empty text means none, so that a domain can do without what the defaults say.
    fn destination(&self, value: &Spanned<DeValue<'_>>) -> Result<Option<String>, Complaint> {
        let at = value.span().start;
        match value.get_ref().as_str() {
            None => Err(self.complain(at, "a URL in quotes is expected")),
            Some("") => Ok(None),
            Some(written) => match destination::check(written, self.schemes) {
                Ok(stored) => Ok(Some(stored.into_owned())),
                Err(refusal) => {
                    Err(self.complain(at, format!("\"{}\": {}", refusal.value, refusal.explanation)))
                }
            },
        }
    }

    fn table<'v, 'i>(
        &self,
        value: &'v Spanned<DeValue<'i>>,
        heading: &str,
    ) -> Result<&'v DeTable<'i>, Complaint> {
        let complaint = || self.complain(value.span().start, format!("a table is expected: {heading}"));
        value.get_ref().as_table().ok_or_else(complaint)
    }

    /// Entries in the order of the file, none of them unknown.
    fn entries<'v, 'i>(
        &self,
        table: &'v DeTable<'i>,
        known: &[&str],
    ) -> Result<Vec<Entry<'v, 'i>>, Complaint> {
        let entries = in_file_order(table);
        match entries.iter().find(|(key, _)| !known.contains(&&**key.get_ref())) {
            None => Ok(entries),
            Some((key, _)) => {
                let message =
                    format!("unknown key '{}', {}", key.get_ref(), suggestion(key.get_ref(), known));
                Err(self.complain(key.span().start, message))
            }
        }
    }

    fn complain(&self, at: usize, message: impl Into<String>) -> Complaint {
        Complaint { line: line_of(self.text, at), message: message.into() }
    }
}

/// Keys of `[defaults]` and of every domain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Status,
    Case,
    TrailingSlash,
    Query,
    Cache,
    CacheMaxAge,
    NotFound,
    NotFoundStatus,
    Root,
    RootStatus,
    Https,
    Hsts,
    Document(Document),
}

impl Key {
    const ALL: [Self; 17] = [
        Self::Status,
        Self::Case,
        Self::TrailingSlash,
        Self::Query,
        Self::Cache,
        Self::CacheMaxAge,
        Self::NotFound,
        Self::NotFoundStatus,
        Self::Root,
        Self::RootStatus,
        Self::Https,
        Self::Hsts,
        Self::Document(Document::Robots),
        Self::Document(Document::Security),
        Self::Document(Document::AssetLinks),
        Self::Document(Document::AppleAppSiteAssociation),
        Self::Document(Document::Favicon),
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Case => "case",
            Self::TrailingSlash => "trailing_slash",
            Self::Query => "query",
            Self::Cache => "cache",
            Self::CacheMaxAge => "cache_max_age_s",
            Self::NotFound => "not_found",
            Self::NotFoundStatus => "not_found_status",
            Self::Root => "root",
            Self::RootStatus => "root_status",
            Self::Https => "https",
            Self::Hsts => "hsts",
            Self::Document(document) => document.key(),
        }
    }
}

/// A decimal integer of the file.
fn integer(value: &Spanned<DeValue<'_>>) -> Option<i64> {
    let integer = value.get_ref().as_integer().filter(|integer| integer.radix() == 10)?;
    integer.as_str().parse().ok()
}

fn in_file_order<'v, 'i>(table: &'v DeTable<'i>) -> Vec<Entry<'v, 'i>> {
    let mut entries: Vec<Entry<'v, 'i>> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    memchr::memchr_iter(b'\n', before).count() + 1
}

fn render_settings(settings: &Settings, text: &mut String) {
    let Settings { status, case, trailing_slash, query, cache, not_found, root, https, hsts, documents } =
        settings;
    let (visibility, max_age_s) = (cache.visibility, cache.max_age_s);
    let _ = write!(
        text,
        "status = {status}\ncase = \"{case}\"\ntrailing_slash = \"{trailing_slash}\"\nquery = \"{query}\"\n\
         cache = \"{visibility}\"\ncache_max_age_s = {max_age_s}\n"
    );
    for (key, Target { status, destination }) in [("not_found", not_found), ("root", root)] {
        let destination = toml::Value::String(destination.clone().unwrap_or_default());
        let _ = write!(text, "{key} = {destination}\n{key}_status = {status}\n");
    }
    let hsts = hsts.map(|hsts| hsts_text::render(&hsts)).unwrap_or_default();
    let _ = write!(text, "https = \"{https}\"\nhsts = \"{hsts}\"\n");
    for document in Document::ALL {
        let content = documents.as_documents().get(document).unwrap_or_default();
        let content = toml::Value::String(documents::render(document, content));
        let _ = writeln!(text, "{} = {content}", document.key());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_complaint(text: &str, expected: &str) {
        let complaint = parse(text, &Schemes::default()).unwrap_err().to_string();
        assert!(complaint.starts_with(expected), "{text:?}: {complaint}");
    }

    #[test]
    fn a_domain_takes_from_the_defaults_what_it_does_not_say() {
        let text = r#"
version = 1
[defaults]
status = 307
not_found = "https://lost.example/"
cache_max_age_s = 5

https = "upgrade"
robots_txt = """
User-agent: *
Disallow:
"""

[domains."z.example"]
case = "insensitive"
not_found = ""
hsts = "max-age=300"
robots_txt = ""

[domains."*.A.example"]
trailing_slash = "strict"
query = "append"
cache = "no-store"
root = "https://root.example/"
root_status = 301
"#;
        let plan = parse(text, &Schemes::default()).unwrap();
        let names: Vec<String> = plan.listed.iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["z.example", "*.a.example"]);
        let (first, second) = (&plan.listed[0].1, &plan.listed[1].1);
        assert_eq!(first.status, Status::TemporaryRedirect);
        assert_eq!((first.case, second.case), (CaseMode::Insensitive, CaseMode::Sensitive));
        assert_eq!(first.not_found.destination, None);
        assert_eq!(second.not_found.destination.as_deref(), Some("https://lost.example/"));
        assert_eq!(second.cache.max_age_s, 5);
        assert_eq!(second.root.status, Status::MovedPermanently);
        assert_eq!((first.https, second.https), (HttpsMode::Upgrade, HttpsMode::Upgrade));
        assert_eq!((first.hsts.map(|hsts| hsts.max_age_s), second.hsts), (Some(300), None));
        assert!(first.documents.as_documents().is_empty());
        let robots = second.documents.as_documents().get(Document::Robots);
        assert_eq!(robots, Some(&b"User-agent: *\nDisallow:\n"[..]));
        assert_eq!(parse(&render(&plan), &Schemes::default()), Ok(plan));
    }

    #[test]
    fn complaints_name_the_line_and_the_nearest_key() {
        check_complaint("", "line 1: version = 1 is missing");
        check_complaint("version = 2", "line 1: version must be 1");
        check_complaint(
            "version = 1\n[default]\n",
            "line 2: unknown key 'default', did you mean 'defaults'?",
        );
        check_complaint(
            "version = 1\n[defaults]\n\ncasing = \"x\"",
            "line 4: unknown key 'casing', did you mean",
        );
        check_complaint(
            "version = 1\n[domains.\"a.example\"]\nquery = \"apend\"",
            "line 3: \"apend\" is not possible here, did you mean 'append'?",
        );
        check_complaint("version = 1\n[domains.\"a b\"]", "line 2: domain \"a b\"");
        check_complaint("version = 1\ndomains = 3", "line 2: a table is expected");
        check_complaint(
            "version = 1\n[domains.\"a.example\"]\n[domains.\"A.example\"]",
            "line 3: domain a.example is defined on line 2 already",
        );
        check_complaint("version = 1\n[defaults]\nstatus = 304", "line 3: a status is one of");
        check_complaint(
            "version = 1\n[defaults]\nnot_found_status = 301",
            "line 3: a miss is never permanent",
        );
        check_complaint("version = 1\n[defaults]\nroot = \"x\"", "line 3: \"x\": begins with no scheme");
        check_complaint(
            "version = 1\n[defaults]\ncache_max_age_s = -1",
            "line 3: cache_max_age_s is a number",
        );
        check_complaint("version = 1\n[defaults]\nhttps = \"always\"", "line 3: \"always\" is not possible");
        check_complaint("version = 1\n[defaults]\nhsts = \"on\"", "line 3: hsts begins with max-age=N");
        check_complaint(
            "version = 1\n[defaults]\nassetlinks_json = \"{\"",
            "line 3: assetlinks_json is no JSON",
        );
        check_complaint("version = 1\nversion = 1", "line 2: duplicate key");
    }
}
