//! What xend tells of its domains, as the S-expressions that xm reads.

use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use super::manager::{Manager, Target};
use super::{Domain, OpError, Record, paths};
use crate::config::{GuestConfig, vbd_sxp, vif_sxp};
use crate::definitions::Definition;
use crate::host::{DomId, Info};
use crate::rpc::Value;
use crate::sxp::{list, pair};

type Op<T> = Result<T, OpError>;

/// The letters of `xm list`, each with what has to be so (xm(1)).
fn letters(info: &Info) -> String {
    use crate::host::Stop;
    let crashed = info.stopped == Some(Stop::Crash);
    let states = [
        ('r', info.running),
        ('b', info.blocked),
        ('p', info.paused),
        ('s', info.stopped.is_some() && !crashed),
        ('c', crashed),
        ('d', info.dying),
    ];
    states.map(|(letter, is)| if is { letter } else { '-' }).iter().collect()
}

/// The word for a domain's state that `xend.domains_with_state` selects by.
fn state(info: &Info) -> &'static str {
    use crate::host::Stop;
    match info {
        Info { stopped: Some(Stop::Crash), .. } => "crashed",
        Info { stopped: Some(Stop::Suspend), .. } => "suspended",
        Info { stopped: Some(_), .. } | Info { dying: true, .. } => "shutdown",
        Info { paused: true, .. } => "paused",
        _ => "running",
    }
}

const STATES: [&str; 8] =
    ["all", "active", "halted", "paused", "running", "suspended", "shutdown", "crashed"];

/// A domain: one of the hypervisor's, or a guest of ours that has none at the moment because it
/// is being made or made anew.
struct Seen {
    name: String,
    info: Option<Info>,
    record: Option<Record>,
    definition: Option<Definition>,
}

impl Seen {
    /// A guest that is defined, and nothing more.
    fn defined(name: String, definition: Definition) -> Self {
        Self { name, info: None, record: None, definition: Some(definition) }
    }

    fn state(&self) -> &'static str {
        self.info.as_ref().map_or("halted", state)
    }

    /// Whether it is among those asked for.
    fn is(&self, wanted: &str) -> bool {
        match wanted {
            "all" => true,
            // More than a definition.
            "active" => self.info.is_some() || self.record.is_some(),
            state => state == self.state(),
        }
    }

    fn sxp(&self, full: bool) -> Value {
        let mut members = vec![pair("name", self.name.as_str()), pair("status", self.state())];
        match (&self.info, &self.record) {
            (Some(info), _) => members.extend(live(info)),
            (None, Some(record)) => members.extend(planned(record.uuid, &record.config)),
            (None, None) => {
                let config = self.definition.as_ref().map(|definition| &*definition.config);
                let planned = config.map(|it| planned(it.uuid.unwrap_or_default(), it));
                members.extend(planned.into_iter().flatten());
            }
        }
        if let Some(definition) = &self.definition {
            members.push(pair("persistent", 1));
            let auto = if definition.autostart { "start" } else { "ignore" };
            members.push(pair("on_xend_start", auto));
        }
        if let Some(record) = &self.record {
            members.push(pair("start_time", record.started));
            members.push(pair("restart_count", i64::from(record.restarts)));
            members.push(pair("phase", record.phase.word()));
        }
        let defined = || self.definition.as_ref().map(|definition| &*definition.config);
        let config = self.record.as_ref().map(|record| &record.config).or_else(defined);
        if full {
            members.extend(config.into_iter().flat_map(settings));
        }
        list("domain", members)
    }
}

/// What the hypervisor tells.
fn live(info: &Info) -> Vec<Value> {
    vec![
        pair("domid", i64::from(info.domid)),
        pair("uuid", info.uuid.to_string()),
        pair("memory", info.memory_kib.div_ceil(1024) as i64),
        pair("maxmem", (info.max_memory_kib / 1024) as i64),
        pair("vcpus", i64::from(info.max_vcpus)),
        pair("online_vcpus", i64::from(info.online_vcpus)),
        pair("state", letters(info)),
        pair("cpu_time", info.cpu_time_ns as f64 / 1e9),
    ]
}

/// What is known of a guest without a domain.
fn planned(uuid: Uuid, config: &GuestConfig) -> Vec<Value> {
    vec![
        pair("uuid", uuid.to_string()),
        pair("memory", config.memory as i64),
        pair("maxmem", config.maxmem as i64),
        pair("vcpus", i64::from(config.vcpus)),
        pair("state", "------"),
        pair("cpu_time", 0.0),
    ]
}

/// What a guest is made with, besides what the hypervisor tells.
fn settings(guest: &GuestConfig) -> Vec<Value> {
    const SHOWN: [&str; 5] = ["cpus", "on_poweroff", "on_reboot", "on_crash", "image"];
    let config = guest.to_sxp();
    let mut members: Vec<Value> =
        SHOWN.iter().flat_map(|name| crate::sxp::children(&config, name).cloned()).collect();
    let disks = guest.disks.iter().map(vbd_sxp);
    let vifs = guest.vifs.iter().map(vif_sxp);
    members.extend(disks.chain(vifs).map(|device| list("device", [device])));
    members
}

impl Manager {
    /// All domains. Those that are ours have their name from us: while one is made, the store
    /// does not know it yet.
    fn seen(&self) -> Op<Vec<Seen>> {
        let domains = self.host.hypervisor.list()?;
        let mut known = self.lock().clone();
        let defined = self.host.definitions.all();
        let definition = |name: &str| defined.get(name).cloned();
        let mut store = None;
        let mut seen = Vec::new();
        for info in domains {
            let record = known.remove(&info.uuid).map(|domain| domain.record());
            let name = match &record {
                Some(record) => record.config.name.clone(),
                None => {
                    let store = match &mut store {
                        Some(store) => store,
                        none => none.insert(self.store()?),
                    };
                    let name = store.read(&format!("{}/name", paths::domain(info.domid)))?;
                    name.unwrap_or_else(|| format!("Domain-{}", info.domid))
                }
            };
            let definition = definition(&name);
            seen.push(Seen { name, info: Some(info), record, definition });
        }
        for domain in known.values() {
            let record = domain.record();
            let name = record.config.name.clone();
            let definition = definition(&name);
            seen.push(Seen { name, info: None, record: Some(record), definition });
        }
        let active: HashSet<String> = seen.iter().map(|it| it.name.clone()).collect();
        let rest = defined.iter().filter(|(name, _)| !active.contains(*name));
        seen.extend(rest.map(|(name, it)| Seen::defined(name.clone(), it.clone())));
        Ok(seen)
    }

    /// The domains in `state`: expressions if `detail`, names otherwise.
    pub fn list(&self, detail: bool, wanted: &str, full: bool) -> Op<Value> {
        if !STATES.contains(&wanted) {
            let states = STATES.join(", ");
            return Err(OpError::Refused(format!("state '{wanted}' is none of {states}")));
        }
        let seen = self.seen()?.into_iter().filter(|seen| seen.is(wanted));
        Ok(match detail {
            true => seen.map(|seen| seen.sxp(full)).collect(),
            false => seen.map(|seen| seen.name).collect(),
        })
    }

    /// One domain.
    pub fn show(&self, wanted: &str, full: bool) -> Op<Value> {
        let target = self.find(wanted)?;
        let name = target.name();
        let (info, record) = match target {
            Target::Defined(definition) => return Ok(Seen::defined(name, *definition).sxp(full)),
            Target::Foreign { domid, uuid, .. } => (self.info(uuid, Some(domid))?, None),
            Target::Known(domain) => {
                let record = domain.record();
                (self.info(record.uuid, record.domid)?, Some(record))
            }
        };
        let definition = self.host.definitions.all().get(&name).cloned();
        if info.is_none() && record.is_none() {
            return Err(OpError::NotFound(wanted.to_owned()));
        }
        Ok(Seen { name, info, record, definition }.sxp(full))
    }

    /// What the hypervisor says of a domain; numbers are used again.
    fn info(&self, uuid: Uuid, domid: Option<DomId>) -> Op<Option<Info>> {
        let Some(domid) = domid else { return Ok(None) };
        Ok(self.host.hypervisor.info(domid)?.filter(|info| info.uuid == uuid))
    }

    /// What `xend.domain.create` answers: the guest that was just made.
    pub fn show_new(&self, domain: &Arc<Domain>) -> Op<Value> {
        self.show(&domain.uuid.to_string(), false)
    }

    /// How often a guest was made anew.
    pub fn restarts(&self, wanted: &str) -> Op<u32> {
        match self.find(wanted)? {
            Target::Known(domain) => Ok(domain.lock().restarts),
            Target::Foreign { .. } | Target::Defined(_) => Ok(0),
        }
    }

    /// The vcpus of a domain.
    pub fn vcpus(&self, wanted: &str) -> Op<Value> {
        let target = self.find(wanted)?;
        let (name, domid) = (target.name(), target.domid());
        let domid = domid.ok_or_else(|| OpError::NotFound(wanted.to_owned()))?;
        let vcpus = self.host.hypervisor.vcpus(domid)?;
        let mut members = vec![
            pair("domid", i64::from(domid)),
            pair("name", name),
            pair("vcpu_count", vcpus.len() as i64),
        ];
        members.extend(vcpus.iter().map(|vcpu| {
            let affinity: Value = vcpu.affinity.iter().map(|cpu| i64::from(*cpu)).collect();
            list(
                "vcpu",
                [
                    pair("number", i64::from(vcpu.number)),
                    pair("online", i64::from(vcpu.online)),
                    pair("blocked", i64::from(vcpu.blocked)),
                    pair("running", i64::from(vcpu.running)),
                    pair("cpu_time", vcpu.cpu_time_ns as f64 / 1e9),
                    pair("cpu", i64::from(vcpu.cpu)),
                    pair("cpumap", affinity),
                ],
            )
        }));
        Ok(list("domain", members))
    }
}
