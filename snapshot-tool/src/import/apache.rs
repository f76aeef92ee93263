//! Apache httpd's RewriteMap of type txt: a key, white space, a value, and nothing more.

use super::collector::{Collector, Entry};
use super::haproxy::lines;
use super::loss::Kind;

/// Reads a map file (Apache httpd 2.4, "Using RewriteMap").
pub(super) fn import(bytes: &[u8], collector: &mut Collector) -> anyhow::Result<()> {
    for (line, text) in lines(bytes, collector) {
        let mut words = text.split_whitespace();
        let Some(key) = words.next().filter(|key| !key.starts_with('#')) else { continue };
        let Some(value) = words.next() else {
            collector.lose(Kind::Malformed, line, key, "a key without a value");
            continue;
        };
        if let Some(more) = words.next().filter(|more| !more.starts_with('#')) {
            let what = format!("something follows the value: {more}");
            collector.lose(Kind::Malformed, line, key, what);
            continue;
        }
        if value.contains('|') {
            let what = "several values to choose from (rnd:); a link has one destination";
            collector.lose(Kind::Condition, line, key, what);
            continue;
        }
        collector.mapped(key, Entry { line, destination: value, ..Entry::default() })?;
    }
    Ok(())
}
