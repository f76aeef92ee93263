//! What a row says about its link beside key and destination.

use crate::column::Column;
use crate::moment;
use crate::refusal::{Reason, Refusal};
use crate::source::Row;
use snapshot_format::{Link, QueryMode, Status};

/// Status, flags, period and version of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    status: Option<Status>,
    query: Option<QueryMode>,
    disabled: bool,
    deleted: bool,
    not_before_unix_s: Option<u64>,
    expires_unix_s: Option<u64>,
    version: u32,
}

impl Terms {
    /// Reads the optional columns of a row.
    ///
    /// # Errors
    /// Says which value is wrong.
    pub fn of_row(row: &Row<'_>) -> Result<Self, Refusal> {
        let status = optional(row, Column::Status, |value| {
            let status = value.parse().ok().and_then(Status::from_code);
            status.ok_or((Reason::StatusInvalid, "is none of 301, 302, 303, 307, 308"))
        })?;
        let query = optional(row, Column::Query, |value| {
            QueryMode::from_name(value).ok_or((Reason::QueryInvalid, "is neither drop nor append"))
        })?;
        let moment = |value: &str| moment::parse(value).map_err(|what| (Reason::TimeInvalid, what));
        let not_before_unix_s = optional(row, Column::NotBefore, moment)?;
        let expires_unix_s = optional(row, Column::Expires, moment)?;
        if let (Some(not_before), Some(expires)) = (not_before_unix_s, expires_unix_s)
            && not_before >= expires
        {
            let begins = moment::render(not_before);
            let explanation = format!("the link ends when or before it begins ({begins})");
            let expires = row.get(Column::Expires).unwrap_or_default();
            return Err(Refusal::of_value(Reason::PeriodEmpty, Column::Expires, expires, explanation));
        }
        let version = optional(row, Column::Version, |value| {
            value.parse().map_err(|_| (Reason::VersionInvalid, "is no number from 0 to 4294967295"))
        })?;
        Ok(Self {
            status,
            query,
            disabled: flag(row, Column::Disabled)?,
            deleted: flag(row, Column::Deleted)?,
            not_before_unix_s,
            expires_unix_s,
            version: version.unwrap_or(0),
        })
    }

    /// The whole link, with its key and destination.
    pub fn link<'s>(&self, domain: u32, code: &'s [u8], destination: &'s [u8]) -> Link<'s> {
        let Self { status, query, disabled, deleted, not_before_unix_s, expires_unix_s, version } = *self;
        Link {
            domain,
            code,
            destination,
            status,
            query,
            disabled,
            deleted,
            not_before_unix_s,
            expires_unix_s,
            version,
            policy: None,
        }
    }
}

fn optional<T>(
    row: &Row<'_>,
    column: Column,
    read: impl FnOnce(&str) -> Result<T, (Reason, &'static str)>,
) -> Result<Option<T>, Refusal> {
    let Some(value) = row.get(column) else { return Ok(None) };
    match read(value) {
        Ok(meaning) => Ok(Some(meaning)),
        Err((reason, explanation)) => Err(Refusal::of_value(reason, column, value, explanation)),
    }
}

fn flag(row: &Row<'_>, column: Column) -> Result<bool, Refusal> {
    let flag = optional(row, column, |value| match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err((Reason::FlagInvalid, "is none of true, false, 1, 0")),
    })?;
    Ok(flag.unwrap_or(false))
}
