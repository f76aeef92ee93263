//! HTTP: a block is one POST of JSON lines; its id goes along in a field and, if wanted, in the URL.

use clicks::wire::Batch;
use ureq::Agent;

use super::{Failure, credentials};
use crate::config::settings::Ship;

pub(super) struct Http {
    agent: Agent,
    url: String,
    authorization: Option<String>,
}

impl Http {
    pub(super) fn new(ship: &Ship) -> Result<Self, Failure> {
        let agent = Agent::config_builder()
            .timeout_global(Some(ship.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent("carom")
            .build()
            .new_agent();
        let authorization = credentials(ship)?.map(|text| text.trim().to_owned());
        Ok(Self { agent, url: ship.address.clone(), authorization })
    }

    /// Blocks for the agent's timeout at most: this thread has nothing else to do.
    pub(super) fn send(&mut self, batch: &Batch) -> Result<(), Failure> {
        let mut request = self
            .agent
            .post(self.url.replace("{id}", &batch.id))
            .header("Content-Type", "application/x-ndjson")
            .header("Carom-Block", &batch.id)
            .header("Carom-Records", batch.records.to_string());
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let mut response = request.send(batch.lines.as_slice()).map_err(Failure::later)?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let said = response.body_mut().with_config().limit(1_024).read_to_string().unwrap_or_default();
        let said = format!("{status}: {}", said.lines().next().unwrap_or_default());
        // 401 and 403 are mistakes of ours that somebody corrects; the block is good.
        match status.as_u16() {
            400 | 413 | 415 | 422 => Err(Failure::Refused(said)),
            _ => Err(Failure::Later(said)),
        }
    }
}
