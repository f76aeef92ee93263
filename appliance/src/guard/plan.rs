//! From the configuration and the listeners' addresses to what the kernel is told. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use ebpf_loader::abi::{Mode, Stage};
use ebpf_loader::{Settings, SettingsError, VipSettings};

use crate::config::settings::{self, AdminAddress};

/// What the guard needs from the kernel's settings: the value of net.ipv4.tcp_syncookies; `None` if it cannot be read.
pub type SynCookies = Option<u64>;

/// What the kernel is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The loader's settings.
    pub settings: Settings,
    /// Why challenges only count although they are configured to work; empty if they do work.
    pub challenges_rest: Option<String>,
}

/// Why the configuration cannot be made into a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No interface is named.
    #[error(
        "guard.interfaces is empty: name the interfaces where traffic arrives, such as interfaces = [\"eth0\"], or write \
         mode = \"off\" below [guard] to run without XDP"
    )]
    NoInterfaces,
    /// The listener takes every address, so that nobody knows which ones are served.
    #[error(
        "guard.vips is empty and listen.http has {0}: name the service addresses, such as vips = [\"192.0.2.1\"], or write \
         mode = \"off\" below [guard] to run without XDP"
    )]
    Wildcard(SocketAddr),
    /// A service address that no listener serves.
    #[error(
        "guard.vips has {0}, but no address of listen.http serves it; add one, or remove it from guard.vips"
    )]
    NotServed(IpAddr),
    /// The kernel's bounds.
    #[error("{0}; correct the section [guard]")]
    Settings(#[from] SettingsError),
}

impl Plan {
    /// Plans for listeners that got the addresses `http`.
    ///
    /// # Errors
    ///
    /// Something is missing, or out of the kernel's bounds.
    pub fn make(
        guard: &settings::Guard,
        http: &[SocketAddr],
        admin: &AdminAddress,
        syncookies: SynCookies,
    ) -> Result<Self, PlanError> {
        if guard.interfaces.is_empty() {
            return Err(PlanError::NoInterfaces);
        }
        let addresses: BTreeSet<IpAddr> = if guard.vips.is_empty() {
            if let Some(wildcard) = http.iter().find(|address| address.ip().is_unspecified()) {
                return Err(PlanError::Wildcard(*wildcard));
            }
            http.iter().map(SocketAddr::ip).collect()
        } else {
            guard.vips.iter().copied().collect()
        };
        let vips =
            addresses.into_iter().map(|address| served(address, http)).collect::<Result<Vec<_>, _>>()?;
        let mut modes = guard.modes;
        let challenges_rest = challenges_rest(guard, syncookies);
        if challenges_rest.is_some() {
            modes = modes.with(Stage::Challenge, Mode::Monitor);
        }
        let admin_ports = match admin {
            AdminAddress::Tcp(address) if !address.ip().is_loopback() => vec![address.port()],
            AdminAddress::Tcp(_) | AdminAddress::Unix(_) => Vec::new(),
        };
        let settings = Settings {
            modes,
            vips,
            management: guard.management.clone(),
            routing_peers: guard.routing_peers.clone(),
            admin_ports,
            source: guard.source,
            network: guard.network,
            node: guard.node,
            stray_check_per_s: guard.stray_check_per_s,
            events_per_s: guard.events_per_s,
            ..Settings::default()
        };
        // Asks for the bounds now, while nothing has happened yet.
        settings.policy([0; 2], 1)?;
        settings.vips()?;
        Ok(Self { settings, challenges_rest })
    }
}

/// A service address with the ports that listeners serve on it.
fn served(address: IpAddr, http: &[SocketAddr]) -> Result<VipSettings, PlanError> {
    let serves = |listener: &SocketAddr| {
        listener.ip() == address || listener.ip().is_unspecified() && listener.is_ipv4() == address.is_ipv4()
    };
    let ports: BTreeSet<u16> = http.iter().copied().filter(serves).map(|listener| listener.port()).collect();
    if ports.is_empty() {
        return Err(PlanError::NotServed(address));
    }
    Ok(VipSettings { address, tcp_ports: ports.into_iter().collect(), udp_ports: Vec::new() })
}

/// A SYN cookie that the kernel does not accept ends the connection of an honest client.
fn challenges_rest(guard: &settings::Guard, syncookies: SynCookies) -> Option<String> {
    (guard.modes.of(Stage::Challenge) == Mode::Enforce && syncookies != Some(2)).then(|| {
        let value = syncookies.map_or("unreadable".into(), |value| value.to_string());
        format!("net.ipv4.tcp_syncookies is {value}, so challenges only count: sysctl -w net.ipv4.tcp_syncookies=2")
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn make(text: &str, http: &[&str], syncookies: SynCookies) -> Result<Plan, PlanError> {
        let text = format!("version = 1\n[guard]\n{text}\n");
        let settings = crate::config::parse(Path::new("carom.toml"), &text, "edge-1").unwrap();
        let http: Vec<_> = http.iter().map(|address| address.parse().unwrap()).collect();
        Plan::make(&settings.guard, &http, &settings.admin, syncookies)
    }

    #[test]
    fn service_addresses_are_those_of_the_listeners_with_their_ports() {
        let plan =
            make("interfaces = [\"eth0\"]", &["192.0.2.1:80", "192.0.2.1:8080", "[2001:db8::1]:80"], Some(2))
                .unwrap();
        let vips: Vec<_> =
            plan.settings.vips.iter().map(|vip| (vip.address.to_string(), vip.tcp_ports.clone())).collect();
        assert_eq!(vips, [("192.0.2.1".into(), vec![80, 8080]), ("2001:db8::1".into(), vec![80])]);
        assert_eq!(plan.challenges_rest, None);
    }

    #[test]
    fn a_listener_on_every_address_serves_the_named_ones() {
        let text = "interfaces = [\"eth0\"]\nvips = [\"192.0.2.1\", \"192.0.2.2\"]";
        let plan = make(text, &["0.0.0.0:80"], Some(2)).unwrap();
        assert!(plan.settings.vips.iter().all(|vip| vip.tcp_ports == [80]) && plan.settings.vips.len() == 2);
    }

    #[test]
    fn what_is_missing_is_named_with_the_way_without_xdp() {
        let cases = [
            ("", "guard.interfaces is empty"),
            ("interfaces = [\"eth0\"]", "guard.vips is empty and listen.http has 0.0.0.0:80"),
        ];
        for (text, part) in cases {
            let error = make(text, &["0.0.0.0:80"], Some(2)).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("mode = \"off\""), "{error}");
        }
        let error =
            make("interfaces = [\"eth0\"]\nvips = [\"2001:db8::1\"]", &["0.0.0.0:80"], Some(2)).unwrap_err();
        assert_eq!(error, PlanError::NotServed("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn challenges_rest_while_the_kernel_would_refuse_their_cookies() {
        for (syncookies, mode) in [(Some(2), Mode::Enforce), (Some(1), Mode::Monitor), (None, Mode::Monitor)]
        {
            let plan = make("interfaces = [\"eth0\"]", &["192.0.2.1:80"], syncookies).unwrap();
            assert_eq!(plan.settings.modes.of(Stage::Challenge), mode);
            assert_eq!(plan.challenges_rest.is_some(), mode == Mode::Monitor);
        }
    }

    #[test]
    fn limits_in_the_wrong_order_are_refused() {
        let text = "interfaces = [\"eth0\"]\nsource_soft_per_s = 10\nsource_hard_per_s = 5";
        let error = make(text, &["192.0.2.1:80"], Some(2)).unwrap_err().to_string();
        assert!(error.contains("challenges above 10 but drops above 5"), "{error}");
    }
}
