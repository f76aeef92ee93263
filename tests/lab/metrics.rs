//! A strict reader of the Prometheus text format.

use std::collections::{BTreeMap, BTreeSet};

/// One scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
    families: BTreeMap<String, String>,
}

impl Metrics {
    /// Reads a scrape.
    ///
    /// # Errors
    /// Says which line is wrong: syntax, a sample without HELP and TYPE, a sample or family that comes twice.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut metrics = Self::default();
        let mut helped = BTreeSet::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let wrong = |what: &str| format!("{what}: {line}");
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').ok_or_else(|| wrong("no help"))?;
                if help.len() < 10 || !helped.insert(name.to_owned()) {
                    return Err(wrong("empty or repeated help"));
                }
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or_else(|| wrong("no type"))?;
                if !helped.contains(name) || metrics.families.insert(name.into(), kind.into()).is_some() {
                    return Err(wrong("a type without help, or twice"));
                }
            } else {
                let (key, value) = line.rsplit_once(' ').ok_or_else(|| wrong("no value"))?;
                let value = value.parse().map_err(|_| wrong("no number"))?;
                let (name, labels) = parse_key(key).ok_or_else(|| wrong("no sample"))?;
                if metrics.family_of(&name).is_none() {
                    return Err(wrong("a sample before its type"));
                }
                if metrics.samples.insert((name, labels), value).is_some() {
                    return Err(wrong("a sample that comes twice"));
                }
            }
        }
        Ok(metrics)
    }

    /// The sum of all samples of this name that carry `labels`. A name that is not there is a mistake of the case.
    #[track_caller]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        assert!(self.samples.keys().any(|(other, _)| other == name), "there is no metric {name}");
        let carries = |own: &BTreeMap<String, String>| {
            labels.iter().all(|(label, value)| own.get(*label).is_some_and(|own| own == value))
        };
        let chosen = self.samples.iter().filter(|((other, own), _)| other == name && carries(own));
        chosen.map(|(_, value)| value).sum()
    }

    /// Names and types of all families.
    pub fn families(&self) -> &BTreeMap<String, String> {
        &self.families
    }

    /// Every sample.
    pub fn samples(&self) -> impl Iterator<Item = (&str, &BTreeMap<String, String>, f64)> {
        self.samples.iter().map(|((name, labels), value)| (&**name, labels, *value))
    }

    fn family_of(&self, sample: &str) -> Option<&str> {
        let parts = ["_bucket", "_sum", "_count"].iter().filter_map(|part| sample.strip_suffix(part));
        let kind = std::iter::once(sample).chain(parts).find_map(|name| self.families.get(name));
        kind.map(String::as_str)
    }
}

/// `name{label="value",…}`
fn parse_key(key: &str) -> Option<(String, BTreeMap<String, String>)> {
    let Some((name, rest)) = key.split_once('{') else { return Some((key.to_owned(), BTreeMap::new())) };
    let mut rest = rest.strip_suffix('}')?;
    let mut labels = BTreeMap::new();
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(characters.next()?.1),
                (_, character) => value.push(character),
            }
        };
        labels.insert(label.to_owned(), value).is_none().then_some(())?;
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    Some((name.to_owned(), labels))
}
