//! The Kafka protocol: a record is one message under its id, a block one batch in the partition that the block's id decides.

use std::collections::BTreeMap;
use std::sync::Arc;

use clicks::wire::Batch;
use rskafka::BackoffConfig;
use rskafka::chrono::{DateTime, Utc};
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;

use super::Failure;
use crate::config::settings::Ship;

pub(super) struct Kafka {
    client: Client,
    topic: String,
    partitions: Vec<i32>,
    open: BTreeMap<i32, Arc<PartitionClient>>,
}

impl Kafka {
    pub(super) async fn connect(ship: &Ship) -> Result<Self, Failure> {
        // The shipper itself tries again: the client must give up first.
        let backoff = BackoffConfig { deadline: Some(ship.timeout / 2), ..BackoffConfig::default() };
        let brokers = ship.address.split(',').map(|broker| broker.trim().to_owned()).collect();
        let client = ClientBuilder::new(brokers)
            .client_id("carom")
            .backoff_config(backoff)
            .build()
            .await
            .map_err(Failure::later)?;
        let topics = client.list_topics().await.map_err(Failure::later)?;
        let partitions: Vec<i32> = topics
            .into_iter()
            .find(|topic| topic.name == ship.subject)
            .map(|topic| topic.partitions.into_iter().collect())
            .unwrap_or_default();
        if partitions.is_empty() {
            return Err(Failure::Later(format!("the brokers have no topic {}: make it first", ship.subject)));
        }
        Ok(Self { client, topic: ship.subject.clone(), partitions, open: BTreeMap::new() })
    }

    pub(super) async fn send(&mut self, batch: &Batch) -> Result<(), Failure> {
        // A block that is sent again goes where it went before.
        let partition = self.partitions[(batch.first_sequence % self.partitions.len() as u64) as usize];
        let client = match self.open.get(&partition) {
            Some(client) => Arc::clone(client),
            None => {
                let client = self
                    .client
                    .partition_client(self.topic.clone(), partition, UnknownTopicHandling::Error)
                    .await
                    .map_err(Failure::later)?;
                Arc::clone(self.open.entry(partition).or_insert(Arc::new(client)))
            }
        };
        let result = client.produce(messages(batch), Compression::NoCompression).await;
        result.map(drop).map_err(|error| match &error {
            Error::ServerError {
                protocol_error: ProtocolError::MessageTooLarge | ProtocolError::InvalidRecord,
                ..
            } => Failure::Refused(error.to_string()),
            _ => Failure::later(error),
        })
    }
}

/// One message per line, under the id of its record.
fn messages(batch: &Batch) -> Vec<Record> {
    let timestamp = DateTime::<Utc>::from_timestamp_millis(batch.unix_ms as i64).unwrap_or_default();
    let (run, first) = batch.id.split_at(16);
    let first = u64::from_str_radix(first, 16).unwrap_or_default();
    batch
        .lines
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .zip(first..)
        .map(|(line, sequence)| Record {
            key: Some(format!("{run}{sequence:016x}").into_bytes()),
            value: Some(line.to_vec()),
            headers: BTreeMap::from([(
                "carom-schema".to_owned(),
                clicks::wire::SCHEMA.to_string().into_bytes(),
            )]),
            timestamp,
        })
        .collect()
}
