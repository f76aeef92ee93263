//! Where each service address stands in the table that the kernel reads without searching.

use ebpf_abi::maps::VIPS_SLOTS;
use ebpf_abi::{Address, Vip, VipSlot, vip_slots};

/// Salts that are tried. One is enough nearly always: the table has four places for each address.
const SALTS_MAX: u64 = 64;
/// Addresses that are moved to make room for one.
const MOVES_MAX: usize = 256;

/// A table in which every address has one of its two places, and the salt that made it possible.
pub(crate) fn placed(vips: &[(Address, Vip)]) -> Option<(u64, Vec<VipSlot>)> {
    (0..SALTS_MAX).find_map(|salt| Some((salt, with_salt(vips, salt)?)))
}

fn with_salt(vips: &[(Address, Vip)], salt: u64) -> Option<Vec<VipSlot>> {
    let mut slots = vec![VipSlot::default(); VIPS_SLOTS];
    for &(address, vip) in vips {
        let mut guest = VipSlot { address, vip, used: 1, padding: 0 };
        let mut at = vip_slots(address, salt)[0] as usize;
        let mut moves = 0;
        // Whoever has to leave goes to its other place.
        while slots[at].used != 0 {
            moves += 1;
            if moves > MOVES_MAX {
                return None;
            }
            std::mem::swap(&mut slots[at], &mut guest);
            let [first, second] = vip_slots(guest.address, salt).map(|slot| slot as usize);
            at = if at == first { second } else { first };
        }
        slots[at] = guest;
    }
    Some(slots)
}

#[cfg(test)]
mod tests {
    use ebpf_abi::maps::VIPS_ENTRIES;

    use super::*;

    #[test]
    fn as_many_addresses_as_a_node_may_have_stand_where_the_kernel_looks() {
        let vip = |n: u16| Vip { tcp_ports: [n; 8], udp_ports: [0; 8] };
        let v4 = |n: u32| Address::from_v4(0xc000_0000 + n);
        let v6 = |n: u32| Address { high: 0x2001_0db8_0000_0000, low: u64::from(n) };
        for address in
            [&v4 as &dyn Fn(u32) -> Address, &v6, &|n| if n % 2 == 0 { v4(n) } else { v6(n << 16) }]
        {
            let vips: Vec<_> = (0..VIPS_ENTRIES as u32).map(|n| (address(n), vip(n as u16))).collect();
            let (salt, slots) = placed(&vips).unwrap();
            for (address, vip) in &vips {
                let found = vip_slots(*address, salt).map(|slot| slots[slot as usize]);
                let found: Vec<_> =
                    found.iter().filter(|slot| slot.used == 1 && slot.address == *address).collect();
                assert_eq!(found[0].vip, *vip, "{address:?}");
            }
            assert_eq!(slots.iter().filter(|slot| slot.used != 0).count(), VIPS_ENTRIES);
        }
    }
}
