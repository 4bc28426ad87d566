//! A domain's event channels in queues, if its kernel asked for them: the memory that it gave for
//! them, and what the hypervisor keeps.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use hypervisor::fifo::{self, Memory, PENDING, QUEUES, Queue, Raised, Tails, USUAL};
use hypervisor::paging::entry::Entry;
use hypervisor::paging::page::Use;
use xen::abi::errno::{EINVAL, ENOSPC, Errno};

use crate::arch::memory;
use crate::domain::{Domain, MAX_VCPUS};
use crate::frames;

/// Ports whose words are in a page.
const PER_PAGE: usize = 1024;
/// Bytes of a control block (`struct evtchn_fifo_control_block`).
const CONTROL_SIZE: u64 = 8 + 4 * QUEUES as u64;
const WRITABLE: u64 = Entry::PRESENT | Entry::WRITABLE;

/// Pages of the guest, which it may write to at any moment.
#[derive(Default)]
struct Pages {
    /// Frames of the ports' words.
    words: Vec<u64>,
    /// Of each vcpu: the physical address of its control block.
    controls: [Option<u64>; MAX_VCPUS],
}

impl Memory for Pages {
    fn word(&self, port: u32) -> Option<&AtomicU32> {
        let mfn = *self.words.get(port as usize / PER_PAGE)?;
        let [word] = memory::halves((mfn << 12) + 4 * (u64::from(port) % PER_PAGE as u64));
        Some(word)
    }

    fn control(&self, vcpu: usize) -> Option<(&AtomicU32, &[AtomicU32; QUEUES])> {
        let address = (*self.controls.get(vcpu)?)?;
        let [ready] = memory::halves(address);
        Some((ready, memory::halves(address + 8)))
    }
}

/// What a domain has of queues.
#[derive(Default)]
pub struct Queues {
    pages: Pages,
    tails: Tails,
    /// Priorities that are not the usual one, by port.
    priorities: Vec<(u32, u8)>,
    /// Ports that were raised before the guest gave memory for them.
    early: Vec<u32>,
}

impl Queues {
    fn queue(&self, port: u32, vcpu: usize) -> Queue {
        let found = self.priorities.iter().find(|(number, _)| *number == port);
        Queue { vcpu, priority: found.map_or(USUAL, |(_, priority)| *priority) }
    }

    /// Raises a port.
    pub fn raise(&mut self, port: u32, vcpu: usize) -> Raised {
        if self.pages.word(port).is_none() {
            if !self.early.contains(&port) {
                self.early.push(port);
            }
            return Raised::Quiet;
        }
        let queue = self.queue(port, vcpu);
        self.tails.raise(&self.pages, port, queue)
    }

    /// Lets a port be heard.
    pub fn unmask(&mut self, port: u32, vcpu: usize) -> Raised {
        let queue = self.queue(port, vcpu);
        self.tails.unmask(&self.pages, port, queue)
    }

    /// Whether a port was raised and not yet handled.
    pub fn is_pending(&self, port: u32) -> bool {
        match self.pages.word(port) {
            Some(word) => word.load(Ordering::SeqCst) & PENDING != 0,
            None => self.early.contains(&port),
        }
    }

    /// Forgets that a port was raised, and its priority: it is closed.
    pub fn close(&mut self, port: u32) {
        self.early.retain(|other| *other != port);
        self.set_priority(port, USUAL);
        if let Some(word) = self.pages.word(port) {
            word.fetch_and(!PENDING, Ordering::SeqCst);
        }
    }

    /// Says in which of a vcpu's queues a port is heard; 0 to 15.
    pub fn set_priority(&mut self, port: u32, priority: u8) {
        self.priorities.retain(|(other, _)| *other != port);
        if priority != USUAL {
            self.priorities.push((port, priority));
        }
    }

    /// Takes a page for the words of the next ports. Gives those of them that were raised before.
    pub fn expand(&mut self, domain: &Domain, mfn: u64) -> Result<Vec<u32>, Errno> {
        if self.pages.words.len() == fifo::PORTS / PER_PAGE {
            return Err(ENOSPC);
        }
        hold(domain, mfn)?;
        self.pages.words.push(mfn);
        let pages = &self.pages;
        Ok(self.early.extract_if(.., |port| pages.word(*port).is_some()).collect())
    }

    /// Takes a vcpu's control block, which it has none of yet.
    pub fn set_control(
        &mut self,
        domain: &Domain,
        vcpu: usize,
        (mfn, offset): (u64, u32),
    ) -> Result<(), Errno> {
        let place = self.pages.controls.get_mut(vcpu).ok_or(EINVAL)?;
        let offset = u64::from(offset);
        if place.is_some() || offset & 7 != 0 || offset > 4096 - CONTROL_SIZE {
            return Err(EINVAL);
        }
        hold(domain, mfn)?;
        *place = Some((mfn << 12) + offset);
        Ok(())
    }

    /// Remembers a port that was raised before there were queues.
    pub fn note(&mut self, port: u32) {
        self.early.push(port);
    }

    /// Gives the guest's pages back.
    pub fn release(self, domain: &Domain) {
        let controls = self.pages.controls.iter().flatten().map(|address| address >> 12);
        for mfn in self.pages.words.iter().copied().chain(controls) {
            domain.rules().release(Entry::new(mfn, WRITABLE));
        }
    }
}

/// Counts a use of a domain's frame that the hypervisor writes to.
fn hold(domain: &Domain, mfn: u64) -> Result<(), Errno> {
    frames::page(mfn).ok_or(EINVAL)?;
    domain.rules().get(mfn, domain.owner, Use::Writable).map(|_| ()).map_err(|_| EINVAL)
}
