//! Refused rows on their way to people: counted, the first ones printed, all of them in the reject file.

use super::publish::{Draft, explain};
use crate::check::Checked;
use crate::column::Column;
use crate::limits::REFUSALS_PRINTED_MAX;
use crate::output::io_error;
use crate::progress::Progress;
use crate::refusal::{Refusal, RefusalCounts};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Columns of a reject file behind those of an input: a mended file builds with `--ignore-column` for these.
pub const REJECT_COLUMNS: [&str; 5] = ["file", "line", "reason", "explanation", "row"];

/// What happens to refused rows.
#[derive(Debug)]
pub struct Rejects {
    counts: RefusalCounts,
    file: Option<RejectFile>,
}

#[derive(Debug)]
struct RejectFile {
    output: PathBuf,
    draft: Draft,
    writer: csv::Writer<File>,
}

impl Rejects {
    /// Nothing refused so far. `output`: where all refused rows go.
    ///
    /// # Errors
    /// If the reject file cannot be created.
    pub fn new(output: Option<&Path>) -> anyhow::Result<Self> {
        let file = output.map(RejectFile::create).transpose()?;
        Ok(Self { counts: RefusalCounts::default(), file })
    }

    /// Takes the refused rows of a batch.
    ///
    /// # Errors
    /// If the reject file cannot be written.
    pub fn take(&mut self, checked: &Checked, progress: &Progress) -> anyhow::Result<()> {
        for (place, refusal) in &checked.refused {
            self.counts.add(refusal.reason);
            let line = checked.batch.rows[*place].line;
            let source = &checked.batch.source.name;
            match self.counts.total() {
                ..=REFUSALS_PRINTED_MAX => {
                    progress
                        .print(&format!("refused {source}:{line}: {refusal} [{}]", refusal.reason.name()));
                }
                count if count == REFUSALS_PRINTED_MAX + 1 => {
                    progress.print("refused … (more rows follow, counted below)");
                }
                _ => {}
            }
            if let Some(file) = &mut self.file {
                file.write(checked, *place, refusal)?;
            }
        }
        Ok(())
    }

    /// The counts so far.
    pub const fn counts(&self) -> &RefusalCounts {
        &self.counts
    }

    /// Closes the reject file, which is there also when nothing was refused, and returns the counts.
    ///
    /// # Errors
    /// If the reject file cannot be written.
    pub fn finish(self) -> anyhow::Result<RefusalCounts> {
        let unprinted = self.counts.total().saturating_sub(REFUSALS_PRINTED_MAX);
        if unprinted > 0 {
            let hint =
                if self.file.is_some() { "the reject file has all" } else { "--reject-file keeps all" };
            eprintln!("refused … and {unprinted} more rows ({hint})");
        }
        if let Some(RejectFile { output, draft, writer }) = self.file {
            let file = writer.into_inner().map_err(|error| explain(&output, &error.into_error()))?;
            file.sync_all().map_err(|error| explain(&output, &error))?;
            draft.publish(&output)?;
        }
        Ok(self.counts)
    }
}

impl RejectFile {
    fn create(output: &Path) -> anyhow::Result<Self> {
        let draft = Draft::beside(output)?;
        let file = File::create_new(draft.path()).map_err(|error| explain(output, &error))?;
        let mut writer = csv::Writer::from_writer(file);
        let header = Column::ALL.iter().map(|column| column.name()).chain(REJECT_COLUMNS);
        writer.write_record(header).map_err(|error| explain(output, &io_error(error)))?;
        Ok(Self { output: output.to_owned(), draft, writer })
    }

    /// The values of the row as far as it could be split, where it stood, what is wrong, and all of it as it was.
    fn write(&mut self, checked: &Checked, place: usize, refusal: &Refusal) -> anyhow::Result<()> {
        let row = &checked.batch.rows[place];
        let bytes = checked.batch.row_bytes(row);
        let values = checked.batch.source.split(row, bytes).unwrap_or_default();
        let mut record = csv::ByteRecord::new();
        for column in Column::ALL {
            record.push_field(values.get(column).unwrap_or_default().as_bytes());
        }
        let line = row.line.to_string();
        let explanation = refusal.to_string();
        let source = &checked.batch.source.name;
        for field in [
            source.as_bytes(),
            line.as_bytes(),
            refusal.reason.name().as_bytes(),
            explanation.as_bytes(),
            bytes,
        ] {
            record.push_field(field);
        }
        self.writer.write_byte_record(&record).map_err(|error| explain(&self.output, &io_error(error)))
    }
}
