//! Changes of a guest while it runs: memory, vcpus, devices, its share of the processors.
//!
//! What is changed is kept in the guest's record, so that it is so again when it is made anew. Its
//! definition stays as it is: that is another change.

use std::sync::Arc;

use super::devices;
use super::events::What;
use super::manager::{Manager, Target};
use super::paths::{self, Device, Kind};
use super::{Domain, OpError, check};
use crate::config::{CpuSet, GuestConfig, Mac, Notes, device_from_sxp};
use crate::host::{Change, DomId, Share};
use crate::rpc::Value;

type Op<T> = Result<T, OpError>;

fn refused<T>(reason: impl Into<String>) -> Op<T> {
    Err(OpError::Refused(reason.into()))
}

/// A device as it is asked for.
pub use crate::config::NewDevice;

impl Manager {
    /// Changes a running guest of ours with `change`, which gets its number and its settings, and
    /// keeps the settings that it leaves.
    fn change<T>(
        &self,
        wanted: &str,
        change: impl FnOnce(DomId, &mut GuestConfig) -> Op<T>,
    ) -> Op<(T, Arc<Domain>)> {
        let domid = self.running(wanted)?;
        let Target::Known(domain) = self.find(wanted)? else {
            return refused(format!("Domain '{wanted}' is not managed by xend"));
        };
        let _driver = domain.turn.take();
        let mut record = domain.record();
        // While the turn was waited for, it may have become another domain, or none.
        if record.domid != Some(domid) {
            return refused(format!("Domain '{wanted}' is not running"));
        }
        let done = change(domid, &mut record.config)?;
        let save = |record| self.host.records.save(record);
        save(&record).map_err(|error| OpError::Refused(error.to_string()))?;
        *domain.lock() = record;
        Ok((done, domain))
    }

    /// Sets the memory, in MiB, that a guest is to come to.
    pub fn set_memory(&self, wanted: &str, mib: u64) -> Op<()> {
        let (_, domain) = self.change(wanted, |domid, config| {
            if mib == 0 || mib > config.maxmem {
                return refused(format!("memory must be from 1 to maxmem = {} MiB", config.maxmem));
            }
            let target = format!("{}/memory/target", paths::domain(domid));
            self.store()?.apply(&[Change::write(target, (mib * 1024).to_string())])?;
            config.memory = mib;
            Ok(())
        })?;
        self.happened(&domain, What::Memory, Some((mib * 1024).to_string()));
        Ok(())
    }

    /// Sets the most memory, in MiB, that a guest may have.
    pub fn set_max_memory(&self, wanted: &str, mib: u64) -> Op<()> {
        self.change(wanted, |domid, config| {
            let changed = GuestConfig { maxmem: mib, ..config.clone() };
            changed.check().map_err(OpError::Refused)?;
            self.host.hypervisor.set_max_memory(domid, mib)?;
            *config = changed;
            Ok(())
        })
        .map(drop)
    }

    /// Sets how many of its vcpus a guest is to use.
    pub fn set_vcpus(&self, wanted: &str, vcpus: u32) -> Op<()> {
        self.change(wanted, |domid, config| {
            let most = config.maxvcpus;
            if vcpus == 0 || vcpus > most {
                return refused(format!("vcpus must be from 1 to maxvcpus = {most}"));
            }
            let base = paths::domain(domid);
            let changes: Vec<Change> = (0..most)
                .map(|vcpu| {
                    let word = if vcpu < vcpus { "online" } else { "offline" };
                    Change::write(format!("{base}/cpu/{vcpu}/availability"), word)
                })
                .collect();
            self.store()?.apply(&changes)?;
            config.vcpus = vcpus;
            Ok(())
        })
        .map(drop)
    }

    /// Sets what is said of a guest.
    pub fn set_notes(&self, wanted: &str, notes: Notes) -> Op<()> {
        notes.check().map_err(OpError::Refused)?;
        self.change(wanted, |_, config| {
            config.notes = notes;
            Ok(())
        })
        .map(drop)
    }

    /// Says where a vcpu may run.
    pub fn pin(&self, wanted: &str, vcpu: u32, cpus: CpuSet) -> Op<()> {
        self.change(wanted, |domid, config| {
            if vcpu >= config.maxvcpus {
                return refused(format!("there is no vcpu {vcpu}"));
            }
            self.host.hypervisor.pin(domid, vcpu, &cpus)?;
            let set = |vcpu| config.cpus_of(vcpu).cloned().unwrap_or_default();
            let mut each: Vec<CpuSet> = (0..config.maxvcpus).map(set).collect();
            each[vcpu as usize] = cpus;
            config.cpus = each;
            Ok(())
        })
        .map(drop)
    }

    /// What a domain gets of the processors.
    pub fn share(&self, wanted: &str) -> Op<Share> {
        let Some(domid) = self.find(wanted)?.domid() else {
            return refused(format!("Domain '{wanted}' is not running"));
        };
        Ok(self.host.hypervisor.share(domid)?)
    }

    /// Sets what a domain gets of the processors.
    pub fn set_share(&self, wanted: &str, share: Share) -> Op<()> {
        let Some(domid) = self.find(wanted)?.domid() else {
            return refused(format!("Domain '{wanted}' is not running"));
        };
        Ok(self.host.hypervisor.set_share(domid, share)?)
    }

    /// Gives a guest a device. When this returns its backend is ready for the guest.
    pub fn attach(&self, wanted: &str, device: &Value) -> Op<()> {
        let device = device_from_sxp(device).map_err(OpError::Refused)?;
        let (alias, domain) = self.change(wanted, |domid, config| {
            let mut changed = config.clone();
            match device {
                NewDevice::Disk(disk) => changed.disks.push(disk),
                NewDevice::Vif(mut vif) => {
                    let random = super::manager::random::<3>();
                    let random = random.map_err(|error| OpError::Refused(error.to_string()))?;
                    vif.mac.get_or_insert_with(|| Mac::in_xen_range(random));
                    changed.vifs.push(vif);
                }
            }
            changed.check().map_err(OpError::Refused)?;
            let alias = self.bring_up(domid, config, &mut changed)?;
            *config = changed;
            Ok(alias)
        })?;
        self.happened(&domain, What::DeviceAdded, Some(alias));
        Ok(())
    }

    /// Brings up the device that `new` has more than `old`; returns what clients call it.
    fn bring_up(&self, domid: DomId, old: &GuestConfig, new: &mut GuestConfig) -> Op<String> {
        let (settings, mut store) = (self.host.settings(), self.store()?);
        check::files(new).map_err(OpError::Refused)?;
        let (alias, (device, changes)) = match new.disks.get(old.disks.len()) {
            Some(disk) => {
                for other in self.known() {
                    let other = other.record();
                    if other.config.name != new.name {
                        check::disks_apart(new, &other.config).map_err(OpError::Refused)?;
                    }
                }
                (disk.vdev.name.clone(), devices::vbd(domid, disk))
            }
            None => {
                let vif = &new.vifs[old.vifs.len()];
                check::interface(vif, &settings, &self.host.net).map_err(OpError::Refused)?;
                let taken = devices::all(&mut *store, domid)?;
                let taken = taken.iter().filter(|device| device.kind == Kind::Vif);
                let index = taken.map(|device| device.devid + 1).max().unwrap_or(0);
                (format!("net{index}"), devices::vif(domid, index, vif, &settings))
            }
        };
        store.apply(&changes)?;
        let timeout = settings.device_create_timeout;
        match devices::wait_up(&mut *store, &[device], timeout, &|| false)? {
            Ok(()) => Ok(alias),
            Err(reason) => {
                devices::take_away(&mut *store, &device, settings.device_destroy_timeout)?;
                refused(reason)
            }
        }
    }

    /// Takes a device from a guest, which must let go of it: a disk by the name the guest has for
    /// it or by its number, an interface by its number.
    pub fn detach(&self, wanted: &str, class: &str, device: &str) -> Op<()> {
        let (alias, domain) = self.change(wanted, |domid, config| {
            let missing = || OpError::Refused(format!("there is no {class} {device}"));
            let mut store = self.store()?;
            let device = match class {
                "vbd" | "tap" => {
                    let matches = |disk: &crate::config::Disk| {
                        disk.vdev.name == device || disk.vdev.number.to_string() == device
                    };
                    let disk =
                        config.disks.iter().find(|disk| matches(disk)).ok_or_else(missing)?;
                    Device { domid, kind: Kind::Vbd, devid: disk.vdev.number }
                }
                "vif" => {
                    let devid = device.parse().map_err(|_| missing())?;
                    Device { domid, kind: Kind::Vif, devid }
                }
                _ => return refused(format!("there are no devices of class '{class}'")),
            };
            let mac = store.read(&format!("{}/mac", device.backend()))?;
            if !devices::all(&mut *store, domid)?.contains(&device) {
                return Err(missing());
            }
            let timeout = self.host.settings().device_destroy_timeout;
            devices::detach(&mut *store, &device, timeout)?.map_err(OpError::Refused)?;
            Ok(match device.kind {
                Kind::Vbd => {
                    let place = config.disks.iter().position(|it| it.vdev.number == device.devid);
                    place.map(|place| config.disks.remove(place).vdev.name).unwrap_or_default()
                }
                Kind::Vif => {
                    config.vifs.retain(|vif| vif.mac.map(|mac| mac.to_string()) != mac);
                    format!("net{}", device.devid)
                }
            })
        })?;
        self.happened(&domain, What::DeviceRemoved, Some(alias));
        Ok(())
    }
}
