//! The addresses of services on `lo`, where configured: put there before anything is announced, put back when somebody removes them,
//! and never taken away, because an address that goes before its route is withdrawn refuses clicks.

use std::net::IpAddr;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::config::Settings;

/// The index of `lo` in every network namespace of Linux.
const LO: u32 = 1;

/// How often they are put there again, in case somebody removed them.
const AGAIN: Duration = Duration::from_secs(5);

/// Why an address could not be put on `lo`.
#[derive(Debug, thiserror::Error)]
pub enum VipError {
    /// No netlink socket.
    #[error("cannot speak to the kernel by netlink: {0}")]
    Netlink(std::io::Error),
    /// The kernel refused.
    #[error("cannot put {vip} on lo: {source}; service.addresses_on_lo needs CAP_NET_ADMIN")]
    Refused {
        /// The address.
        vip: IpAddr,
        /// What the kernel said.
        source: rtnetlink::Error,
    },
}

/// The addresses that the sidecar puts there.
pub fn wanted(settings: &Settings) -> Vec<IpAddr> {
    let own = settings.services.iter().filter(|service| service.addresses_on_lo);
    own.flat_map(|service| service.vips.iter().copied()).collect()
}

/// Puts them on `lo`; those that are there already stay.
///
/// # Errors
///
/// The kernel refuses one of them.
pub async fn put(vips: &[IpAddr]) -> Result<(), VipError> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(VipError::Netlink)?;
    let connection = Ends(tokio::spawn(connection));
    for vip in vips {
        let length = if vip.is_ipv4() { 32 } else { 128 };
        let added = handle.address().add(LO, *vip, length).replace().execute().await;
        added.map_err(|source| VipError::Refused { vip: *vip, source })?;
    }
    drop(connection);
    Ok(())
}

/// Keeps them there until the process ends.
pub async fn keep(vips: Vec<IpAddr>) {
    loop {
        tokio::time::sleep(AGAIN).await;
        if let Err(error) = put(&vips).await {
            tracing::error!(%error, "an address of a service may be missing");
        }
    }
}

/// A task that ends with its owner.
struct Ends(JoinHandle<()>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}
