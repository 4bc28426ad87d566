//! The domains: their ring pages, their event channels, and what the hypervisor says of them.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;

use xen::abi::evtchn::VIRQ_DOM_EXC;
use xen::abi::grant::RESERVED_XENSTORE;
use xen::sys::{self, Evtchn, Gntdev, Hypervisor, Mapping, Port};

use crate::lifecycle::Life;
use crate::link::Link;
use crate::perms::DomId;
use crate::process::Host;
use crate::ring::{ERROR_COMM, ERROR_PROTO, ERROR_RINGIDX, Ring};
use crate::store::Store;
use crate::wire::Errno;

/// A domain's ring and our end of its event channel.
#[derive(Debug)]
struct Connected {
    link: Link<Mapping>,
    port: Port,
}

/// All domains that are connected.
#[derive(Debug)]
pub(super) struct Domains {
    hypervisor: Hypervisor,
    evtchn: Evtchn,
    grants: Gntdev,
    exceptions: Port,
    connected: BTreeMap<DomId, Connected>,
}

impl Domains {
    /// Opens the devices.
    pub(super) fn open() -> io::Result<Self> {
        let evtchn = Evtchn::open()?;
        let exceptions = evtchn.bind_virq(VIRQ_DOM_EXC)?;
        let (hypervisor, grants) = (Hypervisor::open()?, Gntdev::open()?);
        Ok(Self { hypervisor, evtchn, grants, exceptions, connected: BTreeMap::new() })
    }

    /// What to poll.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.evtchn.fd()
    }

    /// Connects to domain 0 and to every domain that an earlier daemon talked to.
    pub(super) fn start(&mut self, store: &mut Store) -> io::Result<()> {
        let (page, port) = sys::store_ring()?;
        let kernel = self.connect_page(0, page, port)?;
        if store.domains().contains_key(&0) {
            kernel.link.resume(store);
        } else {
            let (cons, prod) = kernel.link.ring().indexes();
            store.introduce_domain_0(port, cons, prod);
        }
        kernel.link.ring().connected();
        self.connected.insert(0, kernel);
        let others = store.domains().iter().filter(|(domid, _)| **domid != 0);
        let others: Vec<_> = others.map(|(domid, it)| (*domid, it.gfn, it.port)).collect();
        for (domid, gfn, port) in others {
            match self.connect(domid, gfn, port) {
                Ok(connected) => {
                    connected.link.resume(store);
                    self.connected.insert(domid, connected);
                }
                Err(error) => {
                    tracing::warn!("domain {domid} is not connected any more: {error}");
                    store.restart_ring(domid, true);
                }
            }
        }
        self.check(store);
        // Events that came while nobody listened are lost: both sides look again.
        self.connected.values().for_each(|domain| self.notify(domain));
        Ok(())
    }

    /// Every domain that is connected.
    pub(super) fn domids(&self) -> Vec<DomId> {
        self.connected.keys().copied().collect()
    }

    /// The domains whose event channels fired. Looks after dead domains on the way.
    pub(super) fn fired(&mut self, store: &mut Store) -> io::Result<Vec<DomId>> {
        let mut fired = Vec::new();
        while let Some(port) = self.evtchn.pending()? {
            self.evtchn.unmask(port)?;
            if port == self.exceptions {
                self.check(store);
            }
            let of_port = self.connected.iter().find(|(_, domain)| domain.port == port);
            fired.extend(of_port.map(|(domid, _)| *domid));
        }
        Ok(fired)
    }

    /// Asks the hypervisor what became of the domains.
    fn check(&mut self, store: &mut Store) {
        let domids: Vec<_> = store.domains().keys().copied().filter(|&domid| domid != 0).collect();
        for domid in domids {
            let life = match self.hypervisor.domain_info(domid) {
                Ok(Some(info)) if info.dying => Life::Gone,
                Ok(Some(info)) if info.shutdown => Life::ShutDown,
                Ok(Some(_)) => Life::Alive,
                Ok(None) => Life::Gone,
                Err(error) => {
                    tracing::warn!("domain {domid}: {error}");
                    continue;
                }
            };
            store.observe(domid, life, self);
        }
    }

    /// Answers requests of a domain; says whether some are left for another turn.
    pub(super) fn read(&mut self, domid: DomId, store: &mut Store) -> bool {
        let Some(domain) = self.connected.get_mut(&domid) else { return false };
        match domain.link.requests(store) {
            Ok(bytes) => match store.receive_ring(domid, &bytes, self) {
                Ok(more) => return more,
                Err(error) => self.give_up(domid, store, ERROR_PROTO, &error.to_string()),
            },
            Err(error) => self.give_up(domid, store, ERROR_RINGIDX, &error.to_string()),
        }
        false
    }

    /// Shows the domains what the journal has by now; gives those that have more to say.
    pub(super) fn flush(&mut self, store: &mut Store) -> Vec<DomId> {
        let mut more = Vec::new();
        for domid in self.domids() {
            let Some(domain) = self.connected.get_mut(&domid) else { continue };
            match domain.link.flush(store) {
                Ok(shown) => {
                    if shown.notify {
                        self.notify(&self.connected[&domid]);
                    }
                    more.extend(shown.more.then_some(domid));
                }
                Err(error) => self.give_up(domid, store, ERROR_RINGIDX, &error.to_string()),
            }
        }
        more
    }

    /// Ends a connection that its domain misused. The domain may ask for a new beginning.
    fn give_up(&mut self, domid: DomId, store: &mut Store, error: u32, reason: &str) {
        tracing::warn!("domain {domid}: its connection is given up: {reason}");
        store.restart_ring(domid, true);
        if let Some(domain) = self.connected.get(&domid) {
            domain.link.ring().fail(error);
            self.notify(domain);
        }
    }

    fn notify(&self, domain: &Connected) {
        if let Err(error) = self.evtchn.notify(domain.port) {
            tracing::warn!("{error}");
            domain.link.ring().fail(ERROR_COMM);
        }
    }

    fn connect_page(&self, domid: DomId, page: Mapping, port: Port) -> sys::Result<Connected> {
        let port = self.evtchn.bind_interdomain(domid, port)?;
        Ok(Connected { link: Link::new(domid, Ring::new(page)), port })
    }

    /// Maps the ring by the grant that the domain builder makes for us, else by its frame.
    fn connect(&self, domid: DomId, gfn: u64, port: Port) -> sys::Result<Connected> {
        let granted = self.grants.map(domid, RESERVED_XENSTORE, true);
        let page = granted.or_else(|_| self.hypervisor.map_foreign(domid, &[gfn], true))?;
        self.connect_page(domid, page, port)
    }
}

impl Host for Domains {
    fn introduce(&mut self, domid: DomId, gfn: u64, port: u32) -> Result<(), Errno> {
        // The old port first: a domain that is introduced again may use the same one.
        self.release(domid);
        let domain = self.connect(domid, gfn, port).map_err(|error| {
            tracing::warn!("cannot introduce domain {domid}: {error}");
            let name = format!("{:?}", error.errno());
            Errno::from_name(&name).unwrap_or(Errno::Inval)
        })?;
        domain.link.ring().reset();
        self.notify(&domain);
        self.connected.insert(domid, domain);
        tracing::debug!("domain {domid} is introduced");
        Ok(())
    }

    fn release(&mut self, domid: DomId) {
        let Some(domain) = self.connected.remove(&domid) else { return };
        if let Err(error) = self.evtchn.unbind(domain.port) {
            tracing::warn!("domain {domid}: {error}");
        }
        tracing::debug!("domain {domid} is released");
    }
}
