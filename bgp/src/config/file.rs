//! The configuration as written: how a text becomes values with places, and what is wrong with it.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::nearest;
use super::problem::Problem;
use super::value::{Value, Wrong, shown};

/// The version of the configuration that this program reads.
pub const VERSION: u64 = 1;

/// A section as the generated documents need it.
pub(super) struct SectionInfo {
    pub(super) name: &'static str,
    /// Whether it may stand more than once, as `[[name]]`.
    pub(super) repeated: bool,
    pub(super) doc: &'static [&'static str],
    pub(super) keys: &'static [KeyInfo],
}

/// A key as the generated documents need it.
pub(super) struct KeyInfo {
    pub(super) name: &'static str,
    pub(super) doc: &'static [&'static str],
    /// TOML; empty: the key must be written.
    pub(super) default: &'static str,
    pub(super) expected: fn() -> String,
    pub(super) reason: fn() -> Option<&'static str>,
}

/// Turns one section into a struct, a reader, and information for documents. A key without default must be written.
macro_rules! section {
    (
        $(#[doc = $section_doc:literal])+
        $info:ident: $Keys:ident = $name:literal, repeated $repeated:literal, below [$($below:literal),*] {
            $( $(#[doc = $doc:literal])+ $key:ident: $Type:ty $(= $default:tt)?, $rule:expr; )+
        }
    ) => {
        $(#[doc = $section_doc])+
        #[derive(Clone, Debug)]
        pub(super) struct $Keys {
            $( $(#[doc = $doc])+ pub(super) $key: $Type, )+
            /// Lines of the keys that were written, and of the section.
            #[allow(dead_code, reason = "not every section has keys that can contradict others")]
            pub(super) lines: $crate::config::file::Lines,
        }

        impl $Keys {
            /// Reads the section; keys that are missing or wrong get their defaults, or what stands for nothing.
            pub(super) fn read(
                reader: &mut $crate::config::file::Reader,
                table: &toml::de::DeTable<'_>,
                at: Option<usize>,
            ) -> Self {
                reader.refuse_unknown($name, table, $info.keys, &[$($below),*]);
                let mut lines = $crate::config::file::Lines::new(at);
                Self {
                    $( $key: reader.value::<$Type>(
                        table, &mut lines, $name, stringify!($key), concat!("", $(stringify!($default))?), $rule,
                    ), )+
                    lines,
                }
            }
        }

        pub(super) const $info: $crate::config::file::SectionInfo = $crate::config::file::SectionInfo {
            name: $name,
            repeated: $repeated,
            doc: &[$($section_doc),+],
            keys: &[$(
                $crate::config::file::KeyInfo {
                    name: stringify!($key),
                    doc: &[$($doc),+],
                    default: concat!("", $(stringify!($default))?),
                    expected: || <$Type as $crate::config::value::Value>::expected($rule),
                    reason: || <$Type as $crate::config::value::Value>::reason($rule),
                },
            )+],
        };
    };
}

pub(super) use section;

/// Collects what is wrong while a text is read key by key.
pub(super) struct Reader {
    line_starts: Vec<usize>,
    problems: Vec<Problem>,
}

impl Reader {
    /// Parses `text` and checks its version. `Err`: there is nothing to read, because the text is no TOML or has another
    /// version.
    pub(super) fn open(text: &str) -> Result<(DeTable<'_>, Self), Vec<Problem>> {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut reader = Self { line_starts, problems: Vec::new() };
        let (root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(errors.iter().map(|error| reader.no_toml(text, error)).collect());
        }
        let root = root.into_inner();
        match reader.version_problem(&root) {
            Some(problem) if problem.line.is_some() => return Err(vec![problem]),
            // Without a version the rest is read as the only version there is.
            missing => reader.problems.extend(missing),
        }
        Ok((root, reader))
    }

    /// Everything that is wrong.
    pub(super) fn finish(self) -> Vec<Problem> {
        self.problems
    }

    /// Adds what only several keys together show.
    pub(super) fn complain(
        &mut self,
        line: Option<usize>,
        key: &str,
        found: impl Into<String>,
        expected: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let (key, found, expected, fix) = (key.into(), found.into(), expected.into(), fix.into());
        self.problems.push(Problem { line, key, found, expected, fix });
    }

    /// The table of a section that may stand once.
    pub(super) fn table<'a, 't>(
        &mut self,
        root: &'a DeTable<'t>,
        name: &str,
    ) -> (Option<&'a DeTable<'t>>, Option<usize>) {
        let Some(written) = root.get(name) else { return (None, None) };
        let line = Some(self.line(&written.span()));
        match written.get_ref().as_table() {
            Some(table) => (Some(table), line),
            None => {
                let fix = format!("write [{name}] in a line of its own, and its keys below");
                self.complain(line, name, shown(written.get_ref()), "expected a section", fix);
                (None, line)
            }
        }
    }

    /// The tables of a section that may stand more than once.
    pub(super) fn tables<'a, 't>(
        &mut self,
        root: &'a DeTable<'t>,
        name: &str,
        shown_name: &str,
    ) -> Vec<(&'a DeTable<'t>, Option<usize>)> {
        let Some(written) = root.get(name) else { return Vec::new() };
        let entries: Vec<_> = match written.get_ref() {
            DeValue::Array(entries) => {
                entries.iter().map(|entry| (entry.get_ref().as_table(), entry.span())).collect()
            }
            _ => vec![(None, written.span())],
        };
        let mut tables = Vec::new();
        for (table, span) in entries {
            let line = Some(self.line(&span));
            match table {
                Some(table) => tables.push((table, line)),
                None => {
                    let fix =
                        format!("write [[{shown_name}]] with two pairs of brackets, and its keys below");
                    self.complain(
                        line,
                        shown_name,
                        "no list of sections",
                        "expected one section for each",
                        fix,
                    );
                }
            }
        }
        tables
    }

    /// The value of a key, or its default; a key that must be written and is not gets what stands for nothing.
    pub(super) fn value<T: Value>(
        &mut self,
        table: &DeTable<'_>,
        lines: &mut Lines,
        section: &str,
        key: &'static str,
        default: &'static str,
        rule: T::Rule,
    ) -> T {
        let Some(written) = table.get(key) else {
            if default.is_empty() {
                let fix = format!("write {key} = … below [{section}]");
                self.complain(
                    lines.section,
                    &format!("{section}.{key}"),
                    "missing",
                    format!("expected {}", T::expected(rule)),
                    fix,
                );
            }
            return read_default(default, rule);
        };
        lines.keys.insert(key, self.line(&written.span()));
        T::read(written, rule).unwrap_or_else(|wrongs| {
            for Wrong { span, found, expected, fix } in wrongs {
                let mut expected = if expected.is_empty() { T::expected(rule) } else { expected };
                if let Some(reason) = T::reason(rule) {
                    expected = format!("{expected}, because {reason}");
                }
                let fix = match (fix.is_empty(), default.is_empty()) {
                    (false, _) => fix,
                    (true, false) => format!("remove it for the default {default}"),
                    (true, true) => "correct it".into(),
                };
                let line = Some(self.line(&span));
                self.complain(line, &format!("{section}.{key}"), found, format!("expected {expected}"), fix);
            }
            read_default(default, rule)
        })
    }

    /// Complains about keys of a section that it does not have.
    pub(super) fn refuse_unknown(
        &mut self,
        section: &str,
        table: &DeTable<'_>,
        keys: &[KeyInfo],
        below: &[&str],
    ) {
        let known = || keys.iter().map(|key| key.name).chain(below.iter().copied());
        for name in table.keys().filter(|name| known().all(|known| known != *name.get_ref())) {
            let fix = match nearest(name.get_ref(), known()) {
                Some(near) => format!("did you mean {near}?"),
                None => "remove it".into(),
            };
            let line = Some(self.line(&name.span()));
            let expected = format!("[{section}] has {}", known().collect::<Vec<_>>().join(", "));
            self.complain(line, &format!("{section}.{}", name.get_ref()), "unknown key", expected, fix);
        }
    }

    /// Complains about top-level names that are no sections.
    pub(super) fn refuse_unknown_sections(&mut self, root: &DeTable<'_>, sections: &[&SectionInfo]) {
        let known = || sections.iter().map(|section| section.name).filter(|name| !name.contains('.'));
        for (name, written) in root {
            let text: &str = name.get_ref();
            if text == "version" || known().any(|known| known == text) {
                continue;
            }
            let holder = sections.iter().find(|section| section.keys.iter().any(|key| key.name == text));
            let is_table = written.get_ref().is_table();
            let fix = match (holder, nearest(text, known())) {
                (Some(section), _) if !is_table => format!("write it below [{}]", section.name),
                (_, Some(near)) => format!("did you mean [{near}]?"),
                (_, None) => "remove it".into(),
            };
            let what = if is_table { "unknown section" } else { "unknown key" };
            let line = Some(self.line(&name.span()));
            let expected = format!("this version has {}", known().collect::<Vec<_>>().join(", "));
            self.complain(line, text, what, expected, fix);
        }
    }

    fn version_problem(&self, root: &DeTable<'_>) -> Option<Problem> {
        let fix = format!("write version = {VERSION} in its first line");
        let key = "version".to_owned();
        let expected = format!("this program reads version {VERSION}");
        let Some(written) = root.get("version") else {
            return Some(Problem { line: None, key, found: "missing".into(), expected, fix });
        };
        let version = written.get_ref().as_integer().and_then(|integer| integer.as_str().parse::<u64>().ok());
        (version != Some(VERSION)).then(|| Problem {
            line: Some(self.line(&written.span())),
            key,
            found: shown(written.get_ref()),
            expected,
            fix: "convert the file (CHANGELOG.md says how), or run the program that it was written for"
                .into(),
        })
    }

    fn no_toml(&self, text: &str, error: &toml::de::Error) -> Problem {
        let line = error.span().map(|span| self.line(&span));
        let found = line
            .and_then(|at| text.lines().nth(at - 1))
            .map_or("the end of the file".into(), |line| format!("{:?}", line.trim()));
        Problem {
            line,
            key: String::new(),
            found,
            expected: format!("not TOML: {}", error.message().replace('\n', ", ")),
            fix: "correct the line; https://toml.io shows the syntax".into(),
        }
    }

    /// The line that a span begins in, counted from 1.
    fn line(&self, span: &Range<usize>) -> usize {
        self.line_starts.partition_point(|start| *start <= span.start).max(1)
    }
}

/// Where a section and its keys were written.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    /// `None`: the section was left out.
    pub(super) section: Option<usize>,
    keys: BTreeMap<&'static str, usize>,
}

impl Lines {
    pub(super) fn new(section: Option<usize>) -> Self {
        Self { section, keys: BTreeMap::new() }
    }

    /// The line of a key, or of its section where it has its default.
    pub(super) fn of(&self, key: &'static str) -> Option<usize> {
        self.keys.get(key).copied().or(self.section)
    }
}

/// The default of a key, read as if it stood in a file.
fn read_default<T: Value>(default: &'static str, rule: T::Rule) -> T {
    if default.is_empty() {
        return T::nothing();
    }
    let value: Spanned<DeValue<'_>> =
        DeValue::parse(default).expect("defaults are TOML: a test reads them all");
    let Ok(value) = T::read(&value, rule) else { panic!("the default {default} is out of its own bounds") };
    value
}
