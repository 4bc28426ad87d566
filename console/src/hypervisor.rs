//! The hypervisor's own console, kept in a log.

use std::io;

use xen::abi::evtchn::VIRQ_CON_RING;
use xen::sys::{Evtchn, Hypervisor, Port};

use crate::log::Log;

/// Follows the hypervisor's console ring.
#[derive(Debug)]
pub(crate) struct HypervisorLog {
    pub(crate) port: Port,
    index: u32,
    log: Log,
}

impl HypervisorLog {
    pub(crate) fn open(evtchn: &Evtchn, log: Log) -> io::Result<Self> {
        let port = evtchn.bind_virq(VIRQ_CON_RING)?;
        Ok(Self { port, index: 0, log })
    }

    /// Writes what is new.
    pub(crate) fn serve(&mut self, hypervisor: &Hypervisor) -> io::Result<()> {
        loop {
            let (text, index) = hypervisor.read_console_from(self.index)?;
            self.index = index;
            if text.is_empty() {
                return Ok(());
            }
            self.log.write(&text)?;
        }
    }
}
