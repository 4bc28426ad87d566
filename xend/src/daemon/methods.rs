//! The methods that clients call, by the names that xend's have always had.

use std::sync::Arc;

use super::node::{self, Node};
use crate::config::GuestConfig;
use crate::domain::{Manager, OpError};
use crate::rpc::server::Handler;
use crate::rpc::{Call, Fault, Value, code};
use crate::sxp::pair;

/// All of them.
const NAMES: [&str; 17] = [
    "system.listMethods",
    "xend.domain",
    "xend.domain.create",
    "xend.domain.destroy",
    "xend.domain.getRestartCount",
    "xend.domain.getVCPUInfo",
    "xend.domain.pause",
    "xend.domain.shutdown",
    "xend.domain.unpause",
    "xend.domain.waitForDevices",
    "xend.domains",
    "xend.domains_with_state",
    "xend.node.config",
    "xend.node.dmesg.clear",
    "xend.node.dmesg.info",
    "xend.node.info",
    "xend.node.log",
];

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
        let config = GuestConfig::from_sxp(config)
            .map_err(|reason| Fault::new(code::GENERIC, format!("bad configuration: {reason}")))?;
        let domain = self.manager.create(config)?;
        Ok(self.manager.show_new(&domain)?)
    }
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
        match self.get(0)? {
            Value::Int(domid) => Ok(domid.to_string()),
            _ => self.text(0).map(str::to_owned),
        }
    }

    fn flag(&self, index: usize) -> bool {
        self.flag_or(index, false)
    }

    fn flag_or(&self, index: usize, default: bool) -> bool {
        self.0.get(index).map_or(default, Value::is_true)
    }
}
