//! The configuration as written: how a text becomes values with places, and what is wrong with it.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::nearest;
use super::problem::Problem;
use super::value::{Value, Wrong, shown};

/// The version of the configuration that this program reads.
pub const VERSION: u64 = 1;

/// A section as the generated documents need it.
pub(super) struct SectionInfo {
    pub(super) name: &'static str,
    pub(super) doc: &'static [&'static str],
    pub(super) keys: &'static [KeyInfo],
}

/// A key as the generated documents need it.
pub(super) struct KeyInfo {
    pub(super) name: &'static str,
    pub(super) doc: &'static [&'static str],
    /// TOML.
    pub(super) default: &'static str,
    pub(super) expected: fn() -> String,
    pub(super) reason: fn() -> Option<&'static str>,
}

/// Turns the table of keys into structs of values, a reader, and information for documents.
macro_rules! configuration {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $Keys:ident {
            $( $(#[doc = $doc:literal])+ $key:ident: $Type:ty = $default:tt, $rule:expr; )+
        }
    )+) => {
        /// A configuration as written: every key, those that the file leaves out at their defaults.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(super) struct File {
            $( $(#[doc = $section_doc])+ pub(super) $section: $Keys, )+
        }

        $(
            $(#[doc = $section_doc])+
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub(super) struct $Keys {
                $( $(#[doc = $doc])+ pub(super) $key: $Type, )+
            }
        )+

        impl File {
            /// Reads every section; keys that are missing or wrong get their defaults.
            pub(super) fn read(reader: &mut $crate::config::file::Reader<'_>) -> Self {
                Self {
                    $( $section: $Keys {
                        $( $key: reader.value::<$Type>(stringify!($section), stringify!($key), stringify!($default), $rule), )+
                    }, )+
                }
            }
        }

        /// Every section and key, in the order of the file.
        pub(super) const SECTIONS: &[$crate::config::file::SectionInfo] = &[$(
            $crate::config::file::SectionInfo {
                name: stringify!($section),
                doc: &[$($section_doc),+],
                keys: &[$(
                    $crate::config::file::KeyInfo {
                        name: stringify!($key),
                        doc: &[$($doc),+],
                        default: stringify!($default),
                        expected: || <$Type as $crate::config::value::Value>::expected($rule),
                        reason: || <$Type as $crate::config::value::Value>::reason($rule),
                    },
                )+],
            },
        )+];
    };
}

pub(super) use configuration;

/// Reads a text key by key and remembers where each stands and what is wrong.
pub(super) struct Reader<'t> {
    text: &'t str,
    root: DeTable<'t>,
    problems: Vec<Problem>,
    lines: BTreeMap<(&'static str, &'static str), usize>,
}

impl<'t> Reader<'t> {
    /// Parses `text`, checks its version, and complains about everything that `sections` does not name. `Err`: there is
    /// nothing to read, because the text is no TOML or has another version.
    pub(super) fn new(text: &'t str, sections: &[SectionInfo]) -> Result<Self, Vec<Problem>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(errors.iter().map(|error| no_toml(text, error)).collect());
        }
        let mut reader = Self { text, root: root.into_inner(), problems: Vec::new(), lines: BTreeMap::new() };
        let problem = reader.version_problem();
        match problem {
            Some(problem) if problem.line.is_some() => return Err(vec![problem]),
            // Without a version the rest is read as the only version there is.
            missing => reader.problems.extend(missing),
        }
        reader.refuse_unknown(sections);
        Ok(reader)
    }

    /// Everything that is wrong, and the lines of the keys that were written.
    pub(super) fn finish(self) -> (Vec<Problem>, Lines) {
        (self.problems, Lines(self.lines))
    }

    /// The value of a key, or its default.
    pub(super) fn value<T: Value>(
        &mut self,
        section: &'static str,
        key: &'static str,
        default: &'static str,
        rule: T::Rule,
    ) -> T {
        let written = self
            .root
            .get(section)
            .and_then(|section| section.get_ref().as_table())
            .and_then(|keys| keys.get(key));
        let Some(written) = written else { return read_default(default, rule) };
        self.lines.insert((section, key), line(self.text, written.span().start));
        T::read(written, rule).unwrap_or_else(|wrongs| {
            let problems = wrongs.into_iter().map(|wrong| {
                let Wrong { span, found, expected, fix } = wrong;
                let mut expected = if expected.is_empty() { T::expected(rule) } else { expected };
                if let Some(reason) = T::reason(rule) {
                    expected = format!("{expected}, because {reason}");
                }
                let fix = if fix.is_empty() { format!("remove it for the default {default}") } else { fix };
                let expected = format!("expected {expected}");
                Problem {
                    line: Some(line(self.text, span.start)),
                    key: format!("{section}.{key}"),
                    found,
                    expected,
                    fix,
                }
            });
            self.problems.extend(problems);
            read_default(default, rule)
        })
    }

    fn version_problem(&self) -> Option<Problem> {
        let fix = format!("write version = {VERSION} in its first line");
        let key = "version".to_owned();
        let expected = format!("this program reads version {VERSION}");
        let Some(written) = self.root.get("version") else {
            return Some(Problem { line: None, key, found: "missing".into(), expected, fix });
        };
        let version = written.get_ref().as_integer().and_then(|integer| integer.as_str().parse::<u64>().ok());
        (version != Some(VERSION)).then(|| Problem {
            line: Some(line(self.text, written.span().start)),
            key,
            found: shown(written.get_ref()),
            expected,
            fix: "convert the file (CHANGELOG.md says how), or run the program that it was written for"
                .into(),
        })
    }

    fn refuse_unknown(&mut self, sections: &[SectionInfo]) {
        let mut problems = Vec::new();
        for (name, written) in &self.root {
            if name.get_ref() == "version" {
                continue;
            }
            let at = Some(line(self.text, name.span().start));
            let Some(section) = sections.iter().find(|section| section.name == *name.get_ref()) else {
                let fix = unknown_top_level(name.get_ref(), written.get_ref(), sections);
                let what = if written.get_ref().is_table() { "unknown section" } else { "unknown key" };
                problems.push(Problem {
                    line: at,
                    key: name.get_ref().to_string(),
                    found: what.into(),
                    expected: format!(
                        "this version has {}",
                        names(sections.iter().map(|section| section.name))
                    ),
                    fix,
                });
                continue;
            };
            let Some(keys) = written.get_ref().as_table() else {
                problems.push(Problem {
                    line: at,
                    key: section.name.into(),
                    found: shown(written.get_ref()),
                    expected: "expected a section".into(),
                    fix: format!("write [{}] in a line of its own, and its keys below", section.name),
                });
                continue;
            };
            for key in keys.keys().filter(|key| section.keys.iter().all(|known| known.name != *key.get_ref()))
            {
                problems.push(Problem {
                    line: Some(line(self.text, key.span().start)),
                    key: format!("{}.{}", section.name, key.get_ref()),
                    found: "unknown key".into(),
                    expected: format!(
                        "[{}] has {}",
                        section.name,
                        names(section.keys.iter().map(|key| key.name))
                    ),
                    fix: unknown_key(key.get_ref(), section, sections),
                });
            }
        }
        self.problems.extend(problems);
    }
}

/// The lines of the keys that were written.
pub(super) struct Lines(BTreeMap<(&'static str, &'static str), usize>);

impl Lines {
    /// The line of a key; `None` if it has its default.
    pub(super) fn of(&self, section: &'static str, key: &'static str) -> Option<usize> {
        self.0.get(&(section, key)).copied()
    }
}

/// The default of a key, read as if it stood in a file.
fn read_default<T: Value>(default: &'static str, rule: T::Rule) -> T {
    let value = DeValue::parse(default).expect("defaults are TOML: a test reads them all");
    let Ok(value) = T::read(&value, rule) else { panic!("the default {default} is out of its own bounds") };
    value
}

fn no_toml(text: &str, error: &toml::de::Error) -> Problem {
    let at = error.span().map(|span| line(text, span.start));
    let found = at
        .and_then(|at| text.lines().nth(at - 1))
        .map_or("the end of the file".into(), |line| format!("{:?}", line.trim()));
    Problem {
        line: at,
        key: String::new(),
        found,
        expected: format!("not TOML: {}", error.message().replace('\n', ", ")),
        fix: "correct the line; https://toml.io shows the syntax".into(),
    }
}

fn unknown_top_level(name: &str, written: &DeValue<'_>, sections: &[SectionInfo]) -> String {
    if !written.is_table()
        && let Some(section) = sections.iter().find(|section| section.keys.iter().any(|key| key.name == name))
    {
        return format!("write it below [{}]", section.name);
    }
    match nearest(name, sections.iter().map(|section| section.name)) {
        Some(near) => format!("did you mean [{near}]?"),
        None => "remove it".into(),
    }
}

fn unknown_key(name: &str, section: &SectionInfo, sections: &[SectionInfo]) -> String {
    if let Some(other) = sections.iter().find(|other| other.keys.iter().any(|key| key.name == name)) {
        return format!("write it below [{}]", other.name);
    }
    match nearest(name, section.keys.iter().map(|key| key.name)) {
        Some(near) => format!("did you mean {near}?"),
        None => "remove it".into(),
    }
}

fn names<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// The line that holds the byte at `offset`, counted from 1.
fn line(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|&&byte| byte == b'\n').count()
}
