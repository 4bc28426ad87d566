//! The domains: their ring pages, their event channels, and what the hypervisor says of them.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;

use xen::abi::evtchn::VIRQ_DOM_EXC;
use xen::abi::grant::RESERVED_XENSTORE;
use xen::sys::{Evtchn, Gntdev, Hypervisor, Mapping, Port};

use crate::connection::ConnId;
use crate::lifecycle::Life;
use crate::perms::DomId;
use crate::process::Host;
use crate::ring::{CAPACITY, ERROR_COMM, ERROR_PROTO, ERROR_RINGIDX, Ring};
use crate::store::Store;
use crate::wire::Errno;

/// A domain's ring and our end of its event channel.
#[derive(Debug)]
struct Link {
    ring: Ring<Mapping>,
    port: Port,
    /// The ring is to be emptied as soon as the journal knows that it is.
    reset: bool,
}

/// All domains that are connected.
#[derive(Debug)]
pub(super) struct Domains {
    hypervisor: Hypervisor,
    evtchn: Evtchn,
    grants: Gntdev,
    exceptions: Port,
    links: BTreeMap<DomId, Link>,
}

impl Domains {
    /// Opens the devices.
    pub(super) fn open() -> io::Result<Self> {
        let evtchn = Evtchn::open()?;
        let exceptions = evtchn.bind_virq(VIRQ_DOM_EXC)?;
        let (hypervisor, grants) = (Hypervisor::open()?, Gntdev::open()?);
        Ok(Self { hypervisor, evtchn, grants, exceptions, links: BTreeMap::new() })
    }

    /// What to poll.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.evtchn.fd()
    }

    /// Connects to domain 0 and to every domain that an earlier daemon talked to.
    pub(super) fn start(&mut self, store: &mut Store) -> io::Result<()> {
        let (page, port) = xen::sys::store_ring()?;
        let link = self.link(0, page, port)?;
        if store.domains().contains_key(&0) {
            resume(0, &link, store);
        } else {
            let (cons, prod) = link.ring.indexes();
            store.introduce_domain_0(port, cons, prod);
        }
        link.ring.connected();
        self.links.insert(0, link);
        let others = store.domains().iter().filter(|(domid, _)| **domid != 0);
        let others: Vec<_> = others.map(|(domid, it)| (*domid, it.gfn, it.port)).collect();
        for (domid, gfn, port) in others {
            match self.connect(domid, gfn, port) {
                Ok(link) => {
                    resume(domid, &link, store);
                    self.links.insert(domid, link);
                }
                Err(error) => {
                    tracing::warn!("domain {domid} is not connected any more: {error}");
                    store.restart_ring(domid, true);
                }
            }
        }
        self.check(store);
        // Events that came while nobody listened are lost: both sides look again.
        self.links.values().for_each(|link| self.notify(link));
        Ok(())
    }

    /// Every domain that is connected.
    pub(super) fn connected(&self) -> Vec<DomId> {
        self.links.keys().copied().collect()
    }

    /// The domains whose event channels fired. Looks after dead domains on the way.
    pub(super) fn fired(&mut self, store: &mut Store) -> io::Result<Vec<DomId>> {
        let mut fired = Vec::new();
        while let Some(port) = self.evtchn.pending()? {
            self.evtchn.unmask(port)?;
            if port == self.exceptions {
                self.check(store);
            }
            let of_port = self.links.iter().find(|(_, link)| link.port == port);
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
        let Some(link) = self.links.get_mut(&domid) else { return false };
        let Some(domain) = store.domains().get(&domid) else { return false };
        if link.ring.wants_reconnect() {
            link.reset = true;
            store.restart_ring(domid, false);
            return false;
        }
        if domain.broken {
            return false;
        }
        let (cons, prod) = link.ring.indexes();
        if (cons, prod) != (domain.ring.cons, domain.ring.prod) {
            store.ring_moved(domid, cons, prod);
        }
        match link.ring.requests() {
            Ok(bytes) => match store.receive_ring(domid, &bytes, CAPACITY, self) {
                Ok(more) => return more,
                Err(error) => self.give_up(domid, store, ERROR_PROTO, &error.to_string()),
            },
            Err(error) => self.give_up(domid, store, ERROR_RINGIDX, &error.to_string()),
        }
        false
    }

    /// Shows the domains what the journal knows by now: requests taken, replies put.
    pub(super) fn flush(&mut self, store: &mut Store) {
        for domid in self.connected() {
            let Some(link) = self.links.get_mut(&domid) else { continue };
            match flush_one(domid, link, store) {
                Ok(false) => (),
                Ok(true) => self.notify(&self.links[&domid]),
                Err(error) => self.give_up(domid, store, ERROR_RINGIDX, &error.to_string()),
            }
        }
    }

    /// Ends a connection that its domain misused. The domain may ask for a new beginning.
    fn give_up(&mut self, domid: DomId, store: &mut Store, error: u32, reason: &str) {
        tracing::warn!("domain {domid}: its connection is given up: {reason}");
        store.restart_ring(domid, true);
        if let Some(link) = self.links.get(&domid) {
            link.ring.fail(error);
            self.notify(link);
        }
    }

    fn notify(&self, link: &Link) {
        if let Err(error) = self.evtchn.notify(link.port) {
            tracing::warn!("{error}");
            link.ring.fail(ERROR_COMM);
        }
    }

    fn link(&self, domid: DomId, page: Mapping, port: Port) -> xen::sys::Result<Link> {
        let port = self.evtchn.bind_interdomain(domid, port)?;
        Ok(Link { ring: Ring::new(page), port, reset: false })
    }

    /// Maps the ring by the grant that the domain builder makes for us, else by its frame.
    fn connect(&self, domid: DomId, gfn: u64, port: Port) -> xen::sys::Result<Link> {
        let granted = self.grants.map(domid, RESERVED_XENSTORE, true);
        let page = granted.or_else(|_| self.hypervisor.map_foreign(domid, &[gfn], true))?;
        self.link(domid, page, port)
    }
}

impl Host for Domains {
    fn introduce(&mut self, domid: DomId, gfn: u64, port: u32) -> Result<(), Errno> {
        // The old port first: a domain that is introduced again may use the same one.
        self.release(domid);
        let link = self.connect(domid, gfn, port).map_err(|error| {
            tracing::warn!("cannot introduce domain {domid}: {error}");
            let name = format!("{:?}", error.errno());
            Errno::from_name(&name).unwrap_or(Errno::Inval)
        })?;
        link.ring.reset();
        self.notify(&link);
        self.links.insert(domid, link);
        tracing::debug!("domain {domid} is introduced");
        Ok(())
    }

    fn release(&mut self, domid: DomId) {
        let Some(link) = self.links.remove(&domid) else { return };
        if let Err(error) = self.evtchn.unbind(link.port) {
            tracing::warn!("domain {domid}: {error}");
        }
        tracing::debug!("domain {domid} is released");
    }
}

/// Brings ring and store together after a restart.
fn resume(domid: DomId, link: &Link, store: &mut Store) {
    let (cons, prod) = link.ring.indexes();
    store.resume_ring(domid, cons, prod);
    if let Some(domain) = store.domains().get(&domid).filter(|domain| !domain.broken) {
        link.ring.take_to(domain.ring.cons);
    }
}

/// Says whether anything on the ring changed.
fn flush_one(
    domid: DomId,
    link: &mut Link,
    store: &mut Store,
) -> Result<bool, crate::ring::BadIndexes> {
    let Some(domain) = store.domains().get(&domid).filter(|domain| !domain.broken) else {
        return Ok(false);
    };
    let mut changed = std::mem::take(&mut link.reset);
    if changed {
        link.ring.reset();
    }
    if link.ring.indexes().0 != domain.ring.cons {
        link.ring.take_to(domain.ring.cons);
        changed = true;
    }
    let conn = ConnId::Domain(domid);
    while let Some(connection) = store.connection(conn).filter(|it| !it.outbox.is_empty()) {
        let len = link.ring.put(connection.outbox.next())?;
        if len == 0 {
            break;
        }
        store.sent(conn, len);
        changed = true;
    }
    Ok(changed)
}
