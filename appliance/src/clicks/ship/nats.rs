//! NATS JetStream: a block is one message, acknowledged when the stream has it; its id makes a second one a duplicate.

use std::error::Error as _;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{Client, ConnectOptions};
use clicks::wire::{Batch, SCHEMA};

use super::{Failure, credentials};
use crate::config::settings::Ship;

pub(super) struct Nats {
    client: Client,
    context: Context,
    subject: String,
}

impl Nats {
    pub(super) async fn connect(ship: &Ship, node: &str) -> Result<Self, Failure> {
        let mut options =
            ConnectOptions::new().name(format!("carom {node}")).connection_timeout(ship.timeout);
        if let Some(text) = credentials(ship)? {
            options = options.credentials(&text).map_err(Failure::later)?;
        }
        let servers: Vec<&str> = ship.address.split(',').map(str::trim).collect();
        let client = options.connect(servers).await.map_err(Failure::later)?;
        let mut context = jetstream::new(client.clone());
        context.set_timeout(ship.timeout);
        Ok(Self { client, context, subject: ship.subject.clone() })
    }

    pub(super) async fn send(&mut self, batch: &Batch) -> Result<(), Failure> {
        let message = jetstream::message::PublishMessage::build()
            .payload(batch.lines.clone().into())
            .message_id(&batch.id)
            .header("Carom-Schema", SCHEMA.to_string())
            .header("Carom-Records", batch.records.to_string());
        let sent = async { self.context.send_publish(self.subject.clone(), message).await?.await };
        match sent.await {
            Ok(_) => Ok(()),
            Err(error) if is_too_large(&error) => Err(Failure::Refused(error.to_string())),
            Err(error) => Err(match error.kind() {
                PublishErrorKind::StreamNotFound => Failure::Later(format!(
                    "no stream takes the subject {}: `nats stream add` makes one",
                    self.subject
                )),
                _ => Failure::later(error),
            }),
        }
    }
}

/// Whether neither server nor stream will ever take a message of this size.
fn is_too_large(error: &PublishError) -> bool {
    let of_stream = || {
        let source = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
        source.is_some_and(|source| source.error_code() == ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM)
    };
    error.kind() == PublishErrorKind::MaxPayloadExceeded || of_stream()
}

impl Drop for Nats {
    fn drop(&mut self) {
        // The client reconnects for ever in a task of its own, unless it is told that nobody waits for it.
        let client = self.client.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = client.drain().await;
            });
        }
    }
}
