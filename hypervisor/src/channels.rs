//! A domain's ports: which there are, what raises each, which vcpu hears of it.

use alloc::vec::Vec;

use xen::abi::DomId;
use xen::abi::errno::{EEXIST, EINVAL, ENOMEM, ENOSPC, Errno};

/// Ports with two levels of bits: 64 words of 64 (EVTCHN_2L_NR_CHANNELS).
pub const PORTS: usize = 4096;
/// Ports are looked at in groups of so many.
const GROUP: usize = 64;
/// Virtual interrupts (NR_VIRQS, xen.h).
pub const VIRQS: u32 = 24;
/// What raises a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Nothing: nobody has it.
    #[default]
    Free,
    /// Nothing yet: that domain may bind to it.
    Unbound(DomId),
    /// A port of another domain.
    Interdomain(DomId, u32),
    /// A physical interrupt.
    Physical(u32),
    /// A virtual interrupt.
    Virtual(u32),
    /// The domain's own vcpus.
    Ipi,
}

/// A port.
#[derive(Debug, Clone, Copy, Default)]
pub struct Port {
    /// What raises it.
    pub kind: Kind,
    /// Which vcpu hears of it.
    pub vcpu: usize,
}

/// A domain's ports.
#[derive(Debug)]
pub struct Channels {
    ports: Vec<Port>,
    /// So many at most.
    limit: usize,
}

/// Virtual interrupts that one vcpu of a domain has for all.
pub fn is_global(virq: u32) -> bool {
    // Timer, debug and profiling are each vcpu's own.
    !matches!(virq, 0 | 1 | 7 | 13)
}

impl Channels {
    /// No ports, and at most that many later, port 0 included.
    pub fn new(limit: usize) -> Self {
        Self { ports: Vec::new(), limit: limit.min(PORTS) }
    }

    /// Has no more ports than that from now on.
    pub fn limit(&mut self, most: usize) {
        self.limit = self.limit.min(most);
    }

    /// No port can be made any more.
    pub fn seal(&mut self) {
        self.limit = 0;
    }

    /// A port; 0 is none.
    pub fn port(&mut self, number: u32) -> Option<&mut Port> {
        let used = |port: &&mut Port| number != 0 && port.kind != Kind::Free;
        self.ports.get_mut(number as usize).filter(used)
    }

    /// Whether a number is one that ports have or had, or will have soon: what is nobody's can be
    /// looked at so far, as on Xen.
    pub fn knows(&self, number: u32) -> bool {
        (number as usize) < self.ports.len().max(1).next_multiple_of(GROUP)
    }

    /// All ports that something raises, or may.
    pub fn all(&self) -> impl Iterator<Item = (u32, &Port)> {
        let used = self.ports.iter().enumerate().skip(1);
        used.filter(|(_, port)| port.kind != Kind::Free).map(|(number, port)| (number as u32, port))
    }

    /// Makes a port.
    pub fn open(&mut self, kind: Kind, vcpu: usize) -> Result<u32, Errno> {
        // Room for two: port 0 is none.
        self.ports.try_reserve(2).map_err(|_| ENOMEM)?;
        if self.ports.is_empty() {
            self.ports.push(Port { kind: Kind::Unbound(u16::MAX), vcpu: 0 });
        }
        let port = Port { kind, vcpu };
        let free = self.ports.iter().position(|port| port.kind == Kind::Free);
        match free {
            Some(number) => {
                self.ports[number] = port;
                Ok(number as u32)
            }
            None if self.ports.len() < self.limit => {
                self.ports.push(port);
                Ok(self.ports.len() as u32 - 1)
            }
            None => Err(ENOSPC),
        }
    }

    /// Binds a virtual interrupt to a vcpu.
    pub fn bind_virq(&mut self, virq: u32, vcpu: usize) -> Result<u32, Errno> {
        if virq >= VIRQS || is_global(virq) && vcpu != 0 {
            return Err(EINVAL);
        }
        if self.find(Kind::Virtual(virq), vcpu).is_some() {
            return Err(EEXIST);
        }
        self.open(Kind::Virtual(virq), vcpu)
    }

    /// The port that something raises; global interrupts may have moved to any vcpu.
    pub fn find(&self, kind: Kind, vcpu: usize) -> Option<u32> {
        let any = match kind {
            Kind::Virtual(virq) => is_global(virq),
            Kind::Physical(_) => true,
            _ => false,
        };
        let found = |port: &Port| port.kind == kind && (any || port.vcpu == vcpu);
        self.ports.iter().position(found).map(|number| number as u32)
    }

    /// Closes a port; gives what it was.
    pub fn close(&mut self, number: u32) -> Result<Kind, Errno> {
        if number == 0 {
            return Err(EINVAL);
        }
        let port = self.port(number).ok_or(EINVAL)?;
        Ok(core::mem::take(port).kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const LIMIT: usize = 20;
    const VCPUS: usize = 3;

    #[derive(Debug, Clone)]
    enum Act {
        Open(Kind, usize),
        BindVirq(u32, usize),
        Close(u32),
        Move(u32, usize),
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            (0_u16..3).prop_map(Kind::Unbound),
            (0_u16..3, 1_u32..25).prop_map(|(domain, port)| Kind::Interdomain(domain, port)),
            (0_u32..4).prop_map(Kind::Physical),
            Just(Kind::Ipi),
        ]
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => (kind(), 0..VCPUS).prop_map(|(kind, vcpu)| Act::Open(kind, vcpu)),
            3 => (0..VIRQS + 2, 0..VCPUS).prop_map(|(virq, vcpu)| Act::BindVirq(virq, vcpu)),
            3 => (0..LIMIT as u32 + 2).prop_map(Act::Close),
            1 => (0..LIMIT as u32 + 2, 0..VCPUS).prop_map(|(port, vcpu)| Act::Move(port, vcpu)),
        ]
    }

    /// The lowest number that no port has.
    fn lowest(model: &BTreeMap<u32, (Kind, usize)>) -> Option<u32> {
        (1..LIMIT as u32).find(|number| !model.contains_key(number))
    }

    proptest! {
        #[test]
        fn ports_are_what_was_made_of_them(acts in prop::collection::vec(act(), 1..200)) {
            let mut channels = Channels::new(LIMIT);
            let mut model = BTreeMap::new();
            for act in acts {
                match act {
                    Act::Open(kind, vcpu) => {
                        let expected = lowest(&model).ok_or(ENOSPC);
                        prop_assert_eq!(channels.open(kind, vcpu), expected);
                        if let Ok(number) = expected {
                            model.insert(number, (kind, vcpu));
                        }
                    }
                    Act::BindVirq(virq, vcpu) => {
                        let kind = Kind::Virtual(virq);
                        let is_bound = |(known, on): &(Kind, usize)| {
                            *known == kind && (is_global(virq) || *on == vcpu)
                        };
                        let expected = match () {
                            () if virq >= VIRQS || is_global(virq) && vcpu != 0 => Err(EINVAL),
                            () if model.values().any(is_bound) => Err(EEXIST),
                            () => lowest(&model).ok_or(ENOSPC),
                        };
                        prop_assert_eq!(channels.bind_virq(virq, vcpu), expected);
                        if let Ok(number) = expected {
                            model.insert(number, (kind, vcpu));
                        }
                    }
                    Act::Close(number) => {
                        let expected = model.remove(&number).map(|(kind, _)| kind).ok_or(EINVAL);
                        prop_assert_eq!(channels.close(number), expected);
                    }
                    Act::Move(number, vcpu) => {
                        let found = channels.port(number);
                        prop_assert_eq!(found.is_some(), model.contains_key(&number));
                        found.into_iter().for_each(|port| port.vcpu = vcpu);
                        model.entry(number).and_modify(|(_, on)| *on = vcpu);
                    }
                }
                let ports = channels.all().map(|(number, port)| (number, (port.kind, port.vcpu)));
                prop_assert_eq!(&ports.collect::<BTreeMap<_, _>>(), &model);
                prop_assert!(model.keys().all(|number| channels.knows(*number)));
                for (number, (kind, vcpu)) in &model {
                    let found = channels.find(*kind, *vcpu);
                    prop_assert!(found.is_some_and(|found| found <= *number));
                }
            }
        }
    }

    #[test]
    fn port_0_is_none() {
        let mut channels = Channels::new(LIMIT);
        assert_eq!(channels.open(Kind::Ipi, 0), Ok(1));
        assert!(channels.port(0).is_none());
        assert_eq!(channels.close(0), Err(EINVAL));
        assert!(!channels.knows(64) && channels.knows(63));
    }
}
