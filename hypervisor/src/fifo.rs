//! Event channels in queues, by priority (the FIFO ABI of event_channel.h): each port has a word that
//! the guest shares, in which the next port of its queue stands. The hypervisor links ports at a
//! queue's tail, the guest takes them from its head.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

/// The port was raised (EVTCHN_FIFO_PENDING).
pub const PENDING: u32 = 1 << 31;
/// It is not to be heard.
pub const MASKED: u32 = 1 << 30;
/// It is in a queue.
pub const LINKED: u32 = 1 << 29;
/// The link is being changed.
pub const BUSY: u32 = 1 << 28;
/// Bits of a link.
pub const LINK_BITS: u8 = 17;
const LINK: u32 = (1 << LINK_BITS) - 1;
/// Ports there can be.
pub const PORTS: usize = 1 << LINK_BITS;
/// Queues of a vcpu; the first has the highest priority.
pub const QUEUES: usize = 16;
/// A port's priority unless somebody says otherwise.
pub const USUAL: u8 = 7;
/// How often a link is tried while the guest changes it.
const PATIENCE: usize = 4;

/// What the guest shares.
pub trait Memory {
    /// A port's word, if the guest gave memory for it.
    fn word(&self, port: u32) -> Option<&AtomicU32>;
    /// A vcpu's control block: which queues have something new, and the head of each.
    fn control(&self, vcpu: usize) -> Option<(&AtomicU32, &[AtomicU32; QUEUES])>;
}

/// A queue: of a vcpu, by its number, and a priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// The vcpu.
    pub vcpu: usize,
    /// 0 to 15.
    pub priority: u8,
}

/// What comes of raising a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raised {
    /// Nobody has to be told.
    Quiet,
    /// The vcpu has something new in a queue that was empty.
    Tell(usize),
    /// The guest keeps changing a word that isn't its own to change.
    Broken,
}

/// The last port of each queue, 0 if nothing was ever in it; and the queue each port was last in.
#[derive(Debug, Default)]
pub struct Tails {
    tails: Vec<[u32; QUEUES]>,
    last: Vec<Option<(u16, u8)>>,
}

impl Tails {
    fn tail(&mut self, queue: Queue) -> &mut u32 {
        if self.tails.len() <= queue.vcpu {
            self.tails.resize(queue.vcpu + 1, [0; QUEUES]);
        }
        &mut self.tails[queue.vcpu][usize::from(queue.priority)]
    }

    /// Says that a vcpu's queues are empty.
    pub fn reset(&mut self, vcpu: usize) {
        if let Some(tails) = self.tails.get_mut(vcpu) {
            *tails = [0; QUEUES];
        }
    }

    fn last(&mut self, port: u32) -> &mut Option<(u16, u8)> {
        let place = port as usize;
        if self.last.len() <= place {
            self.last.resize(place + 1, None);
        }
        &mut self.last[place]
    }

    /// Raises a port, which is heard in that queue.
    pub fn raise(&mut self, memory: &impl Memory, port: u32, queue: Queue) -> Raised {
        let Some(word) = memory.word(port) else { return Raised::Quiet };
        let old = word.fetch_or(PENDING, Ordering::SeqCst);
        if old & (MASKED | LINKED) != 0 {
            return Raised::Quiet;
        }
        self.link(memory, port, queue)
    }

    /// Lets a port be heard, and links it if it was raised meanwhile.
    pub fn unmask(&mut self, memory: &impl Memory, port: u32, queue: Queue) -> Raised {
        let Some(word) = memory.word(port) else { return Raised::Quiet };
        let old = word.fetch_and(!MASKED, Ordering::SeqCst);
        match old & (PENDING | LINKED) {
            PENDING => self.link(memory, port, queue),
            _ => Raised::Quiet,
        }
    }

    fn link(&mut self, memory: &impl Memory, port: u32, queue: Queue) -> Raised {
        let Some(word) = memory.word(port) else { return Raised::Quiet };
        let Some((ready, heads)) = memory.control(queue.vcpu) else { return Raised::Quiet };
        if word.fetch_or(LINKED, Ordering::SeqCst) & LINKED != 0 {
            return Raised::Quiet;
        }
        // The queue that it was the last of is empty: nothing may be linked behind it there.
        if let Some((vcpu, priority)) = *self.last(port) {
            let tail = self.tail(Queue { vcpu: vcpu.into(), priority });
            if *tail == port {
                *tail = 0;
            }
        }
        *self.last(port) = Some((queue.vcpu as u16, queue.priority));
        let tail = core::mem::replace(self.tail(queue), port);
        let is_linked = match memory.word(tail).filter(|_| tail != 0) {
            Some(before) => match set_link(before, port) {
                Some(is_linked) => is_linked,
                None => return Raised::Broken,
            },
            None => false,
        };
        if is_linked {
            return Raised::Quiet;
        }
        let priority = usize::from(queue.priority);
        heads[priority].store(port, Ordering::SeqCst);
        match ready.fetch_or(1 << priority, Ordering::SeqCst) & 1 << priority {
            0 => Raised::Tell(queue.vcpu),
            _ => Raised::Quiet,
        }
    }
}

/// Links a port behind another that is still in the queue; whether it is. None if the guest doesn't
/// leave the word alone.
fn set_link(word: &AtomicU32, port: u32) -> Option<bool> {
    let attempt = || {
        let old = word.load(Ordering::SeqCst);
        if old & LINKED == 0 {
            return Some(false);
        }
        let new = old & !(BUSY | LINK) | port;
        let set = word.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst);
        set.is_ok().then_some(true)
    };
    if let Some(is_linked) = attempt() {
        return Some(is_linked);
    }
    // The guest waits as long as it is busy.
    word.fetch_or(BUSY, Ordering::SeqCst);
    let is_linked = (0..PATIENCE).find_map(|_| attempt())?;
    if !is_linked {
        word.fetch_and(!BUSY, Ordering::SeqCst);
    }
    Some(is_linked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    const VCPUS: usize = 2;
    const USED: u32 = 12;

    struct Guest {
        words: Vec<AtomicU32>,
        controls: Vec<(AtomicU32, [AtomicU32; QUEUES])>,
        heads: [[u32; QUEUES]; VCPUS],
    }

    impl Memory for Guest {
        fn word(&self, port: u32) -> Option<&AtomicU32> {
            self.words.get(port as usize)
        }
        fn control(&self, vcpu: usize) -> Option<(&AtomicU32, &[AtomicU32; QUEUES])> {
            self.controls.get(vcpu).map(|(ready, heads)| (ready, heads))
        }
    }

    impl Guest {
        fn new() -> Self {
            let words = (0..USED).map(|_| AtomicU32::new(MASKED)).collect();
            let controls = (0..VCPUS).map(|_| Default::default()).collect();
            Self { words, controls, heads: [[0; QUEUES]; VCPUS] }
        }

        /// Takes one event as Linux does; the port that is to be handled.
        fn consume(&mut self, vcpu: usize, priority: usize, ready: &mut u32) -> Option<u32> {
            let (_, heads) = &self.controls[vcpu];
            let head = match self.heads[vcpu][priority] {
                0 => heads[priority].load(Ordering::SeqCst),
                head => head,
            };
            let word = &self.words[head as usize];
            let old = word.fetch_and(!(LINKED | LINK), Ordering::SeqCst);
            let next = old & LINK;
            if next == 0 {
                *ready &= !(1 << priority);
            }
            self.heads[vcpu][priority] = next;
            let is_heard = old & (PENDING | MASKED) == PENDING;
            is_heard.then(|| {
                word.fetch_and(!PENDING, Ordering::SeqCst);
                head
            })
        }

        /// Handles everything that waits for a vcpu, highest priority first.
        fn handle(&mut self, vcpu: usize, heard: &mut [u32]) {
            let mut ready = self.controls[vcpu].0.swap(0, Ordering::SeqCst);
            while ready != 0 {
                let priority = ready.trailing_zeros() as usize;
                if let Some(port) = self.consume(vcpu, priority, &mut ready) {
                    heard[port as usize] += 1;
                }
                ready |= self.controls[vcpu].0.swap(0, Ordering::SeqCst);
            }
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Raise(u32),
        Mask(u32),
        Unmask(u32),
        Move(u32, usize, u8),
        Handle(usize),
        Consume(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let port = || 1..USED;
        prop_oneof![
            4 => port().prop_map(Step::Raise),
            1 => port().prop_map(Step::Mask),
            2 => port().prop_map(Step::Unmask),
            1 => (port(), 0..VCPUS, 0_u8..16).prop_map(|(port, v, p)| Step::Move(port, v, p)),
            1 => (0..VCPUS).prop_map(Step::Handle),
            1 => (0..VCPUS).prop_map(Step::Consume),
        ]
    }

    proptest! {
        /// What is raised is heard, however ports are masked, moved and handled meanwhile, and a vcpu
        /// is told whenever there is something new for it.
        #[test]
        fn nothing_is_lost(steps in proptest::collection::vec(step(), 0..300)) {
            let (mut guest, mut tails) = (Guest::new(), Tails::default());
            let mut queues = [Queue { vcpu: 0, priority: USUAL }; USED as usize];
            let mut waits = [false; USED as usize];
            let mut told = [false; VCPUS];
            let mut heard = [0; USED as usize];
            for step in steps {
                let raised = match step {
                    Step::Raise(port) => {
                        waits[port as usize] = true;
                        tails.raise(&guest, port, queues[port as usize])
                    }
                    Step::Mask(port) => {
                        guest.words[port as usize].fetch_or(MASKED, Ordering::SeqCst);
                        Raised::Quiet
                    }
                    Step::Unmask(port) => tails.unmask(&guest, port, queues[port as usize]),
                    Step::Move(port, vcpu, priority) => {
                        queues[port as usize] = Queue { vcpu, priority };
                        Raised::Quiet
                    }
                    Step::Handle(vcpu) => {
                        told[vcpu] = false;
                        guest.handle(vcpu, &mut heard);
                        Raised::Quiet
                    }
                    Step::Consume(vcpu) => {
                        // Interrupted after one event: what is left is taken up again.
                        let mut ready = guest.controls[vcpu].0.swap(0, Ordering::SeqCst);
                        if ready != 0 {
                            let priority = ready.trailing_zeros() as usize;
                            if let Some(port) = guest.consume(vcpu, priority, &mut ready) {
                                heard[port as usize] += 1;
                            }
                            guest.controls[vcpu].0.fetch_or(ready, Ordering::SeqCst);
                        }
                        Raised::Quiet
                    }
                };
                match raised {
                    Raised::Tell(vcpu) => told[vcpu] = true,
                    Raised::Quiet => (),
                    Raised::Broken => prop_assert!(false, "the guest was good"),
                }
                for port in 1..USED as usize {
                    if heard[port] > 0 {
                        prop_assert!(waits[port], "{} was heard and not raised", port);
                        (waits[port], heard[port]) = (false, 0);
                    }
                }
                for (vcpu, (ready, _)) in guest.controls.iter().enumerate() {
                    prop_assert!(told[vcpu] || ready.load(Ordering::SeqCst) == 0);
                }
            }
            for port in 1..USED {
                let raised = tails.unmask(&guest, port, queues[port as usize]);
                prop_assert!(raised != Raised::Broken);
            }
            (0..VCPUS).for_each(|vcpu| guest.handle(vcpu, &mut heard));
            for port in 1..USED as usize {
                prop_assert_eq!(heard[port] > 0, waits[port], "port {}", port);
            }
        }
    }

    #[test]
    fn higher_priorities_come_first() {
        let (guest, mut tails) = (Guest::new(), Tails::default());
        for (port, priority) in [(1, 9), (2, 0), (3, 9)] {
            tails.unmask(&guest, port, Queue { vcpu: 0, priority });
            tails.raise(&guest, port, Queue { vcpu: 0, priority });
        }
        let mut guest = guest;
        let mut ready = guest.controls[0].0.swap(0, Ordering::SeqCst);
        let mut order = vec![];
        while ready != 0 {
            let priority = ready.trailing_zeros() as usize;
            order.extend(guest.consume(0, priority, &mut ready));
        }
        assert_eq!(order, [2, 1, 3]);
    }
}
