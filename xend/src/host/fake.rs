//! A host for tests whose every step can fail, or be the last thing that xend did.
//!
//! It keeps domains and a store in memory, and plays the backends: a device that is announced
//! comes up, one that is closed goes away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::{
    Change, DomId, HostError, Hypervisor, Image, Info, Ports, Result, Rings, Share, Stop, Store,
    Stores, Vcpu,
};
use crate::config::{CpuSet, GuestConfig};

/// What happens at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing, ever.
    Never,
    /// The step with this number fails.
    Once(usize),
    /// That step and all later ones fail.
    From(usize),
    /// xend dies there: the step panics, and so nothing that would follow is done.
    Death(usize),
}

/// How the backends behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backends {
    /// Devices come up.
    Willing,
    /// Nobody is there.
    Silent,
    /// They report an error.
    Failing,
}

#[derive(Debug)]
struct State {
    domains: BTreeMap<DomId, Info>,
    next: DomId,
    store: BTreeMap<String, String>,
    steps: usize,
    trouble: Trouble,
    backends: Backends,
}

/// The host; clones are the same one.
#[derive(Debug, Clone)]
pub struct Fake(Arc<Mutex<State>>);

impl Default for Fake {
    fn default() -> Self {
        let fake = Self(Arc::new(Mutex::new(State {
            domains: BTreeMap::new(),
            next: 0,
            store: BTreeMap::from([("/local/domain/0/name".to_owned(), "Domain-0".to_owned())]),
            steps: 0,
            trouble: Trouble::Never,
            backends: Backends::Willing,
        })));
        fake.with(|state| state.add(Uuid::nil()));
        fake
    }
}

impl State {
    fn add(&mut self, uuid: Uuid) -> DomId {
        let domid = self.next;
        self.next += 1;
        self.domains.insert(
            domid,
            Info {
                domid,
                uuid,
                running: false,
                blocked: false,
                paused: domid != 0,
                dying: false,
                stopped: None,
                memory_kib: 128 << 10,
                max_memory_kib: 128 << 10,
                online_vcpus: 1,
                max_vcpus: 1,
                cpu_time_ns: 0,
            },
        );
        domid
    }

    fn domain(&mut self, domid: DomId) -> Result<&mut Info> {
        self.domains.get_mut(&domid).ok_or_else(|| HostError(format!("no domain {domid}")))
    }

    /// The backends have a look at what changed.
    fn play(&mut self) {
        let bases: Vec<String> = self
            .store
            .keys()
            .filter(|path| path.starts_with("/local/domain/0/backend/"))
            .filter_map(|path| path.strip_suffix("/state").map(str::to_owned))
            .collect();
        for base in bases {
            let node = |name: &str| format!("{base}/{name}");
            let state = self.store[&node("state")].clone();
            match (state.as_str(), self.backends) {
                ("1", Backends::Willing) => {
                    self.store.insert(node("state"), "2".to_owned());
                    self.store.insert(node("hotplug-status"), "connected".to_owned());
                }
                ("1", Backends::Failing) => {
                    self.store.insert(node("hotplug-error"), "no such bridge".to_owned());
                }
                ("5", _) => {
                    self.store.insert(node("state"), "6".to_owned());
                }
                _ => {}
            }
            let closed = self.store[&node("state")] == "6";
            // The hotplug daemon: a device that is closed may be opened again while it is wanted.
            if closed && self.store[&node("online")] == "0" {
                self.store.remove(&node("hotplug-status"));
            }
        }
    }
}

impl Fake {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does one step, or has its trouble.
    fn step<T>(&self, act: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let (number, trouble) = self.with(|state| {
            state.steps += 1;
            (state.steps - 1, state.trouble)
        });
        match trouble {
            Trouble::Once(at) if number == at => Err(HostError(format!("step {number} fails"))),
            Trouble::From(at) if number >= at => Err(HostError(format!("step {number} fails"))),
            // Not panic!(): the hook would print it, for every step of every test.
            Trouble::Death(at) if number >= at => std::panic::resume_unwind(Box::new("dead")),
            _ => self.with(act),
        }
    }

    /// What happens from now on; steps are counted anew.
    pub fn trouble(&self, trouble: Trouble) {
        self.with(|state| (state.trouble, state.steps) = (trouble, 0));
    }

    /// How many steps were done since then.
    pub fn steps(&self) -> usize {
        self.with(|state| state.steps)
    }

    /// How the backends behave from now on.
    pub fn backends(&self, backends: Backends) {
        self.with(|state| state.backends = backends);
    }

    /// The domains there are.
    pub fn domains(&self) -> Vec<Info> {
        self.with(|state| state.domains.values().cloned().collect())
    }

    /// Lets a domain stop; its kernel closes its devices first.
    pub fn stop(&self, domid: DomId, stop: Stop) {
        self.with(|state| {
            state.domain(domid).unwrap().stopped = Some(stop);
            let of_domain = |path: &str| path.contains(&format!("/{domid}/"));
            for (path, value) in &mut state.store {
                if path.contains("/backend/") && path.ends_with("/state") && of_domain(path) {
                    "6".clone_into(value);
                }
            }
        });
    }

    /// Takes a domain away behind xend's back.
    pub fn vanish(&self, domid: DomId) {
        self.with(|state| state.domains.remove(&domid));
    }

    /// Makes a domain behind xend's back.
    pub fn appear(&self, uuid: Uuid, name: &str) -> DomId {
        self.with(|state| {
            let domid = state.add(uuid);
            state.store.insert(format!("/local/domain/{domid}/name"), name.to_owned());
            domid
        })
    }

    /// The paths of the store, besides the control domain's name.
    pub fn paths(&self) -> Vec<String> {
        self.with(|state| {
            let own = |path: &&String| *path != "/local/domain/0/name";
            state.store.keys().filter(own).cloned().collect()
        })
    }

    /// A value of the store.
    pub fn value(&self, path: &str) -> Option<String> {
        self.with(|state| state.store.get(path).cloned())
    }
}

impl Hypervisor for Fake {
    fn load(&self, _: &GuestConfig) -> Result<Image> {
        self.step(|_| Ok(Image(None)))
    }

    fn create(&self, uuid: Uuid, _: &GuestConfig) -> Result<DomId> {
        self.step(|state| Ok(state.add(uuid)))
    }

    fn limit(&self, domid: DomId, _: &GuestConfig) -> Result<()> {
        self.step(|state| state.domain(domid).map(drop))
    }

    fn ports(&self, domid: DomId) -> Result<Ports> {
        self.step(|state| state.domain(domid).map(|_| Ports { store: 1, console: 2 }))
    }

    fn build(&self, domid: DomId, _: &GuestConfig, _: &Image, _: Ports) -> Result<Rings> {
        self.step(|state| state.domain(domid).map(|_| Rings { store: 100, console: 101 }))
    }

    fn set_max_memory(&self, domid: DomId, mib: u64) -> Result<()> {
        self.step(|state| state.domain(domid).map(|info| info.max_memory_kib = mib << 10))
    }

    fn pin(&self, domid: DomId, _: u32, _: &CpuSet) -> Result<()> {
        self.step(|state| state.domain(domid).map(drop))
    }

    fn share(&self, domid: DomId) -> Result<Share> {
        self.step(|state| state.domain(domid).map(|_| Share { weight: 256, cap: 0 }))
    }

    fn set_share(&self, domid: DomId, _: Share) -> Result<()> {
        self.step(|state| state.domain(domid).map(drop))
    }

    fn pause(&self, domid: DomId) -> Result<()> {
        self.step(|state| state.domain(domid).map(|info| info.paused = true))
    }

    fn unpause(&self, domid: DomId) -> Result<()> {
        self.step(|state| state.domain(domid).map(|info| info.paused = false))
    }

    fn set_uuid(&self, domid: DomId, uuid: Uuid) -> Result<()> {
        self.step(|state| state.domain(domid).map(|info| info.uuid = uuid))
    }

    fn destroy(&self, domid: DomId) -> Result<()> {
        self.step(|state| {
            state.domain(domid)?;
            state.domains.remove(&domid);
            Ok(())
        })
    }

    fn info(&self, domid: DomId) -> Result<Option<Info>> {
        self.step(|state| Ok(state.domains.get(&domid).cloned()))
    }

    fn list(&self) -> Result<Vec<Info>> {
        self.step(|state| Ok(state.domains.values().cloned().collect()))
    }

    fn vcpus(&self, _: DomId) -> Result<Vec<Vcpu>> {
        self.step(|_| Ok(Vec::new()))
    }

    fn free_kib(&self) -> Result<u64> {
        self.step(|_| Ok(1 << 20))
    }
}

impl Stores for Fake {
    fn open(&self) -> Result<Box<dyn Store>> {
        self.step(|_| Ok(()))?;
        Ok(Box::new(self.clone()))
    }
}

impl Store for Fake {
    fn read(&mut self, path: &str) -> Result<Option<String>> {
        self.step(|state| Ok(state.store.get(path).cloned()))
    }

    fn list(&mut self, path: &str) -> Result<Vec<String>> {
        let prefix = format!("{path}/");
        let child =
            |found: &String| Some(found.strip_prefix(&prefix)?.split('/').next()?.to_owned());
        self.step(|state| {
            let mut names: Vec<String> = state.store.keys().filter_map(child).collect();
            names.dedup();
            Ok(names)
        })
    }

    fn apply(&mut self, changes: &[Change]) -> Result<()> {
        self.step(|state| {
            for change in changes {
                match change {
                    Change::Remove(gone) => state
                        .store
                        .retain(|path, _| path != gone && !path.starts_with(&format!("{gone}/"))),
                    Change::Write { path, value, .. } => {
                        state.store.insert(path.clone(), value.clone());
                    }
                }
            }
            state.play();
            Ok(())
        })
    }

    fn introduce(&mut self, domid: DomId, _: u64, _: u32) -> Result<()> {
        self.step(|state| state.domain(domid).map(drop))
    }

    fn release(&mut self, _: DomId) -> Result<()> {
        self.step(|_| Ok(()))
    }

    fn watch(&mut self, _: &str) -> Result<()> {
        self.step(|_| Ok(()))
    }

    fn unwatch(&mut self, _: &str) -> Result<()> {
        self.step(|_| Ok(()))
    }

    fn changed(&mut self, _: Duration) -> Result<bool> {
        self.step(|_| Ok(false))
    }
}
