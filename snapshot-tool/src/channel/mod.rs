//! Commands about a channel: what it holds is read and believed as nodes do, and written in the order that CHANNEL.md gives.
//!
//! Modules in reading order: what commands are told, the desk at which acts are prepared and announced, what stands between a
//! content and a wave, and one module for each command.

pub mod arguments;
pub mod desk;

pub mod contents;
pub mod gates;

pub mod keygen;
pub mod trust;

pub mod pin;
pub mod promote;
pub mod publish;
pub mod renew;
pub mod rollback;

pub mod deny;

pub mod audit;
pub mod collect;
pub mod fetch;
pub mod list;
