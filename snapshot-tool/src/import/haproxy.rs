//! HAProxy's map files: a key, white space, and the rest of the line as value.

use super::collector::{Collector, Entry};
use super::loss::Kind;

/// Reads a map file (HAProxy configuration manual, "Map files").
pub(super) fn import(bytes: &[u8], collector: &mut Collector) -> anyhow::Result<()> {
    for (line, text) in lines(bytes, collector) {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let Some((key, value)) = text.split_once(char::is_whitespace) else {
            collector.lose(Kind::Malformed, line, text, "a key without a value");
            continue;
        };
        if is_expression(key) {
            collector.lose(
                Kind::Pattern,
                line,
                key,
                "a regular expression; list the paths that it stands for",
            );
            continue;
        }
        collector.mapped(key, Entry { line, destination: value.trim(), ..Entry::default() })?;
    }
    Ok(())
}

/// Whether a key only makes sense for `map_reg`: an anchor, a group, a class or an escape.
fn is_expression(key: &str) -> bool {
    key.starts_with('^') || key.ends_with('$') || key.contains(['\\', '(', '[', '*'])
}

/// The lines of a text with their numbers; those that are no UTF-8 are lost.
pub(super) fn lines<'b>(bytes: &'b [u8], collector: &mut Collector) -> Vec<(u64, &'b str)> {
    let mut lines = Vec::new();
    for (line, bytes) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        match str::from_utf8(bytes) {
            Ok(text) => lines.push((line, text)),
            Err(error) => {
                let what = format!("byte {} of the line is not UTF-8", error.valid_up_to() + 1);
                collector.lose(Kind::Malformed, line, &String::from_utf8_lossy(bytes), what);
            }
        }
    }
    lines
}
