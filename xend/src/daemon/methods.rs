//! The methods that clients call, by the names that xend's have always had.

use std::sync::Arc;
use std::time::Duration;

use super::node::{self, Node};
use crate::config::{CpuSet, GuestConfig, Notes};
use crate::domain::{Manager, OpError};
use crate::host::Share;
use crate::rpc::server::Handler;
use crate::rpc::{Call, Fault, Value, code};
use crate::sxp::{list, pair};

/// All of them.
const NAMES: [&str; 32] = [
    "system.listMethods",
    "xend.domain",
    "xend.domain.config",
    "xend.domain.create",
    "xend.domain.delete",
    "xend.domain.destroy",
    "xend.domain.destroyDevice",
    "xend.domain.device_create",
    "xend.domain.getRestartCount",
    "xend.domain.getVCPUInfo",
    "xend.domain.maxmem_set",
    "xend.domain.new",
    "xend.domain.pause",
    "xend.domain.pincpu",
    "xend.domain.sched_credit_get",
    "xend.domain.sched_credit_set",
    "xend.domain.setAutostart",
    "xend.domain.setMemoryTarget",
    "xend.domain.setNotes",
    "xend.domain.setVCpuCount",
    "xend.domain.shutdown",
    "xend.domain.start",
    "xend.domain.unpause",
    "xend.domain.waitForDevices",
    "xend.domains",
    "xend.domains_with_state",
    "xend.events",
    "xend.node.config",
    "xend.node.dmesg.clear",
    "xend.node.dmesg.info",
    "xend.node.info",
    "xend.node.log",
];
/// The longest that a client may wait for an event.
const MAX_PATIENCE: u64 = 60;

/// What carries the calls out.
pub struct Methods {
    manager: Arc<Manager>,
    node: Node,
}

impl From<OpError> for Fault {
    fn from(error: OpError) -> Self {
        match error {
            OpError::NotFound(wanted) => Self::new(code::INVALID_DOMAIN, wanted),
            OpError::Refused(reason) => Self::new(code::GENERIC, reason),
        }
    }
}

fn internal(error: impl ToString) -> Fault {
    Fault::new(code::INTERNAL, error.to_string())
}

impl Methods {
    /// Methods that act on `manager`'s domains.
    pub fn new(manager: Arc<Manager>, node: Node) -> Self {
        Self { manager, node }
    }

    fn call(&self, method: &str, params: &Params) -> Result<Value, Fault> {
        let manager = &self.manager;
        match method {
            "system.listMethods" => Ok(NAMES.into_iter().collect()),
            "xend.domain" => Ok(manager.show(&params.domain()?, params.flag(1))?),
            "xend.domains" => {
                Ok(manager.list(params.flag_or(0, true), "running", params.flag(1))?)
            }
            "xend.domains_with_state" => {
                let (detail, full) = (params.flag_or(0, true), params.flag(2));
                Ok(manager.list(detail, params.text(1)?, full)?)
            }
            "xend.domain.create" => self.create(params.get(0)?),
            "xend.domain.destroy" => done(manager.destroy(&params.domain()?)),
            "xend.domain.pause" => done(manager.pause(&params.domain()?)),
            "xend.domain.unpause" => done(manager.unpause(&params.domain()?)),
            "xend.domain.shutdown" => done(manager.shutdown(&params.domain()?, params.text(1)?)),
            // A guest that is made has its devices; this is here for clients that ask.
            "xend.domain.waitForDevices" => done(manager.find(&params.domain()?).map(drop)),
            "xend.domain.getRestartCount" => {
                Ok(i64::from(manager.restarts(&params.domain()?)?).into())
            }
            "xend.domain.getVCPUInfo" => Ok(manager.vcpus(&params.domain()?)?),
            "xend.domain.new" => done(manager.define(config_of(params.get(0)?)?)),
            "xend.domain.delete" => done(manager.undefine(&params.domain()?)),
            "xend.domain.start" => done(manager.start(&params.domain()?, params.flag(1))),
            "xend.domain.config" => Ok(manager.config(&params.domain()?, params.flag(1))?.to_sxp()),
            "xend.domain.setAutostart" => {
                done(manager.set_autostart(&params.domain()?, params.flag(1)))
            }
            "xend.domain.setNotes" => {
                done(manager.set_notes(&params.domain()?, Notes::from_sxp(params.get(1)?)))
            }
            "xend.domain.setMemoryTarget" => {
                done(manager.set_memory(&params.domain()?, params.number(1)?))
            }
            "xend.domain.maxmem_set" => {
                done(manager.set_max_memory(&params.domain()?, params.number(1)?))
            }
            "xend.domain.setVCpuCount" => {
                done(manager.set_vcpus(&params.domain()?, params.number(1)?))
            }
            "xend.domain.pincpu" => {
                let cpus = CpuSet::parse(params.text(2)?)
                    .map_err(|reason| Fault::new(code::GENERIC, reason))?;
                done(manager.pin(&params.domain()?, params.number(1)?, cpus))
            }
            "xend.domain.sched_credit_get" => {
                let share = manager.share(&params.domain()?)?;
                let (weight, cap) = (i64::from(share.weight), i64::from(share.cap));
                Ok(list("sched_credit", [pair("weight", weight), pair("cap", cap)]))
            }
            "xend.domain.sched_credit_set" => {
                let share = Share { weight: params.number(1)?, cap: params.number(2)? };
                done(manager.set_share(&params.domain()?, share))
            }
            "xend.domain.device_create" => done(manager.attach(&params.domain()?, params.get(1)?)),
            "xend.domain.destroyDevice" => {
                done(manager.detach(&params.domain()?, params.text(1)?, &params.name(2)?))
            }
            "xend.events" => {
                let patience = params.number::<u64>(2)?.min(MAX_PATIENCE);
                let patience = Duration::from_secs(patience);
                Ok(manager.events_after(params.text(0)?, params.number(1)?, patience))
            }
            "xend.node.info" => self.node.info().map_err(internal),
            "xend.node.dmesg.info" => Ok(self.node.dmesg(false).map_err(internal)?.into()),
            "xend.node.dmesg.clear" => Ok(self.node.dmesg(true).map_err(internal)?.into()),
            "xend.node.log" => {
                let settings = manager.host().settings();
                let failed = |error| format!("{}: {error}", settings.logfile.display());
                Ok(node::log(&settings.logfile).map_err(failed).map_err(internal)?.into())
            }
            "xend.node.config" => {
                let settings = manager.host().settings();
                Ok(settings.list().into_iter().map(|(name, value)| pair(name, value)).collect())
            }
            _ => Err(Fault::new(code::GENERIC, format!("method \"{method}\" is not supported"))),
        }
    }

    fn create(&self, config: &Value) -> Result<Value, Fault> {
        let domain = self.manager.create(config_of(config)?)?;
        Ok(self.manager.show_new(&domain)?)
    }
}

fn config_of(config: &Value) -> Result<GuestConfig, Fault> {
    GuestConfig::from_sxp(config)
        .map_err(|reason| Fault::new(code::GENERIC, format!("bad configuration: {reason}")))
}

/// What a method without an answer answers; not every client takes nothing at all.
fn done(result: Result<(), OpError>) -> Result<Value, Fault> {
    Ok(result.map(|()| Value::Int(0))?)
}

impl Handler for Methods {
    fn handle(&self, call: &Call) -> Result<Value, Fault> {
        let answer = self.call(&call.method, &Params(&call.params));
        match &answer {
            Ok(_) => tracing::debug!("{}", call.method),
            Err(fault) => tracing::debug!("{}: {fault}", call.method),
        }
        answer
    }
}

struct Params<'c>(&'c [Value]);

impl Params<'_> {
    fn get(&self, index: usize) -> Result<&Value, Fault> {
        let missing = || Fault::new(code::GENERIC, format!("parameter {} is missing", index + 1));
        self.0.get(index).ok_or_else(missing)
    }

    fn text(&self, index: usize) -> Result<&str, Fault> {
        let wrong = || Fault::new(code::GENERIC, format!("parameter {} is no text", index + 1));
        self.get(index)?.as_str().ok_or_else(wrong)
    }

    /// The first parameter, a domain's name, number or UUID.
    fn domain(&self) -> Result<String, Fault> {
        self.name(0)
    }

    /// A name, which may be a number as well.
    fn name(&self, index: usize) -> Result<String, Fault> {
        match self.get(index)? {
            Value::Int(number) => Ok(number.to_string()),
            _ => self.text(index).map(str::to_owned),
        }
    }

    fn number<N: TryFrom<i64>>(&self, index: usize) -> Result<N, Fault> {
        let number = self.get(index)?.as_int().and_then(|int| N::try_from(int).ok());
        let reason = format!("parameter {} is no number that can be meant", index + 1);
        number.ok_or_else(|| Fault::new(code::GENERIC, reason))
    }

    fn flag(&self, index: usize) -> bool {
        self.flag_or(index, false)
    }

    fn flag_or(&self, index: usize, default: bool) -> bool {
        self.0.get(index).map_or(default, Value::is_true)
    }
}
