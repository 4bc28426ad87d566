//! Building domain 0 from what the loader brought.

use alloc::sync::Arc;
use core::ops::Range;

use builder::layout::Layout;
use builder::tables;
use builder::{Kernel, Width};
use hypervisor::multiboot::Module;
use hypervisor::options::Options;
use hypervisor::paging::page::Use;
use hypervisor::paging::{Outcome, Walk};
use xen::abi::PAGE_SIZE;
use xen::abi::Plain;
use xen::abi::hypercall;
use xen::abi::start_info::{MAX_GUEST_CMDLINE, SIF_MOD_START_PFN, StartInfo};

use crate::arch::descriptors::{GUEST_CODE, GUEST_STACK};
use crate::arch::{memory, processor};
use crate::domain::{Domain, MAX_VCPUS, Spec};
use crate::events::PORTS;
use crate::{frames, granting, host, note};

const SIF_PRIVILEGED: u32 = 1 << 0;
const SIF_INITDOMAIN: u32 = 1 << 1;
const MAGIC: &[u8] = b"xen-3.0-x86_64";
/// Frames that are kept for the hypervisor when dom0 gets all it can.
const KEPT: u64 = 256;

/// What dom0 is made with.
const SPEC: Spec = Spec {
    number: Some(0),
    is_privileged: true,
    handle: [0; 16],
    max_vcpus: MAX_VCPUS,
    max_ports: PORTS,
    max_grant_frames: granting::DEFAULT_FRAMES,
    grant_versions: 2,
    max_mappings: granting::DEFAULT_MAPTRACK * granting::MAPPINGS_PER_FRAME,
};

/// A file that the loader brought: physical addresses, and its command line.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// First byte.
    pub start: u64,
    /// The byte behind the last.
    pub end: u64,
}

impl File {
    /// Its frames, if nothing else is in them.
    fn frames(&self) -> Option<Range<u64>> {
        self.start.is_multiple_of(4096).then_some(self.start >> 12..self.end.div_ceil(4096))
    }
}

impl From<&Module> for File {
    fn from(module: &Module) -> Self {
        Self { start: module.start, end: module.end }
    }
}

/// dom0's memory, pfn by pfn.
struct Memory {
    domain: Arc<Domain>,
    frames: alloc::vec::Vec<u64>,
}

impl Memory {
    fn mfn(&self, pfn: u64) -> u64 {
        self.frames[pfn as usize]
    }

    fn write(&self, physical: u64, bytes: &[u8]) {
        let (mut at, mut rest) = (physical, bytes);
        while !rest.is_empty() {
            let length = (4096 - (at & 4095) as usize).min(rest.len());
            memory::write((self.mfn(at >> 12) << 12) + (at & 4095), &rest[..length]);
            (at, rest) = (at + length as u64, &rest[length..]);
        }
    }
}

/// Builds the domain; its first vcpu is ready to run.
pub fn build(options: &Options, kernel: File, ramdisk: Option<File>, line: &str) -> Arc<Domain> {
    let image = memory::bytes(kernel.start, kernel.end - kernel.start);
    let loaded = match Kernel::from_bytes(image) {
        Ok(loaded) => loaded,
        Err(error) => panic!("domain 0's kernel: {error}"),
    };
    assert!(loaded.needs.width == Width::Bits64, "domain 0's kernel has 32 bits");
    note!(Warning, "Dom0 kernel: {}, {} bytes", loaded.name, image.len());
    let ramdisk_length = ramdisk.map_or(0, |file| file.end - file.start);
    // The ramdisk's frames become domain 0's as they are: nothing is copied, nor there twice.
    let kept = ramdisk.and_then(|file| file.frames()).unwrap_or_default();
    let available = (frames::free() + kept.clone().count() as u64).saturating_sub(KEPT);
    let total = (options.dom0_memory.of(available << 12) >> 12).min(available);
    let layout = match Layout::new(&loaded.needs, ramdisk_length, total) {
        Ok(layout) => layout,
        Err(error) => panic!("domain 0: {error}"),
    };
    let domain = Domain::create(&SPEC).expect("memory for domain 0");
    // Without `max:` dom0 may grow into whatever is free, as on Xen.
    let max = options.dom0_memory.max.map(|max| max.of(available << 12) >> 12);
    let most = max.unwrap_or(u32::MAX.into()).max(total);
    domain.max_frames.store(most, core::sync::atomic::Ordering::Relaxed);
    let is_kept = |pfn: &u64| !kept.is_empty() && layout.ramdisk.contains(pfn);
    let memory = Memory { frames: populate(&domain, total, &layout.ramdisk, kept.clone()), domain };
    // What the kernel begins with is zero where nothing else is said; all other memory it finds as
    // firmware left it, as on a machine of its own.
    let cleared = (0..layout.mapped.end).filter(|pfn| !is_kept(pfn));
    cleared.for_each(|pfn| memory::clear(memory.mfn(pfn)));
    for segment in loaded.segments() {
        memory.write(segment.physical, loaded.bytes(segment));
    }
    if let Some(file) = ramdisk.filter(|_| kept.is_empty()) {
        let bytes = memory::bytes(file.start, ramdisk_length);
        memory.write(layout.ramdisk.start << 12, bytes);
    }
    for (index, mfn) in memory.frames.iter().enumerate() {
        memory.write((layout.p2m.start << 12) + 8 * index as u64, &mfn.to_le_bytes());
    }
    for (pfn, table) in tables::make(&layout, |pfn| memory.mfn(pfn)) {
        memory.write(pfn << 12, &table);
    }
    memory.write(layout.start_info << 12, &start_info(&memory, &layout, ramdisk_length, line));
    if let Some(page) = layout.hypercall_page {
        memory.write(page << 12, &hypercall_page());
    }
    start_vcpu(&memory, &layout);
    // The others are started by the kernel.
    let count = vcpus(options);
    (1..count).for_each(|number| {
        memory.domain.add_vcpu(number).expect("memory for a vcpu");
    });
    memory.domain
}

/// How many vcpus dom0 has: as many as there are processors, if the administrator doesn't say.
fn vcpus(options: &Options) -> usize {
    let processors = processor::all().count();
    let most = options.dom0_max_vcpus.map_or(usize::MAX, |most| most as usize);
    processors.clamp(options.dom0_min_vcpus as usize, most).min(MAX_VCPUS)
}

/// Takes dom0's frames; those of the ramdisk's pages are `kept`, if any are.
fn populate(
    domain: &Domain,
    total: u64,
    ramdisk: &Range<u64>,
    kept: Range<u64>,
) -> alloc::vec::Vec<u64> {
    let mut frames = alloc::vec::Vec::with_capacity(total as usize);
    if !kept.is_empty() {
        fill(domain, &mut frames, ramdisk.start);
        host::count_frames(domain.owner, kept.clone().count() as u64, u64::MAX);
        for (pfn, mfn) in (ramdisk.start..).zip(kept.clone()) {
            domain.adopt(mfn, Some(pfn));
        }
        frames.extend(kept);
    }
    fill(domain, &mut frames, total);
    frames
}

/// Takes frames until there are so many, in large runs as far as there are any, as they are.
fn fill(domain: &Domain, frames: &mut alloc::vec::Vec<u64>, total: u64) {
    let mut run = 512;
    while (frames.len() as u64) < total {
        let pfn = frames.len() as u64;
        let count = u64::min(run, total - pfn);
        match domain.take_frames_as_they_are(if count == run { run } else { 1 }, Some(pfn)) {
            Ok(first) => frames.extend(first..first + if count == run { run } else { 1 }),
            Err(_) if run > 1 => run = 1,
            Err(_) => panic!("memory for domain 0 ran out"),
        }
    }
}

fn start_info(memory: &Memory, layout: &Layout, ramdisk: u64, line: &str) -> [u8; PAGE_SIZE] {
    let mut info = StartInfo::zeroed();
    info.magic[..MAGIC.len()].copy_from_slice(MAGIC);
    info.nr_pages = layout.total;
    info.shared_info = memory.domain.shared_info << 12;
    info.flags = SIF_PRIVILEGED | SIF_INITDOMAIN;
    info.pt_base = layout.address(layout.tables.start);
    info.nr_pt_frames = layout.tables.end - layout.tables.start;
    info.mfn_list = layout.p2m_base.unwrap_or_else(|| layout.address(layout.p2m.start));
    if layout.p2m_base.is_some() {
        info.first_p2m_pfn = layout.p2m.start;
        info.nr_p2m_frames = layout.p2m_tables.end - layout.p2m.start;
    }
    if ramdisk > 0 {
        info.mod_len = ramdisk;
        info.mod_start = layout.address(layout.ramdisk.start);
        if layout.ramdisk_outside {
            info.mod_start = layout.ramdisk.start;
            info.flags |= SIF_MOD_START_PFN;
        }
    }
    let length = line.len().min(MAX_GUEST_CMDLINE - 1);
    info.cmd_line[..length].copy_from_slice(&line.as_bytes()[..length]);
    let mut page = [0; PAGE_SIZE];
    let bytes = size_of::<StartInfo>();
    // SAFETY: plain data, as long as the slice.
    let from = unsafe { core::slice::from_raw_parts((&raw const info).cast::<u8>(), bytes) };
    page[..bytes].copy_from_slice(from);
    page
}

/// Code that makes each hypercall, 32 bytes apart; iret comes with its frame on the stack.
pub fn hypercall_page() -> [u8; PAGE_SIZE] {
    let mut page = [0xcc; PAGE_SIZE];
    for (number, place) in page.chunks_mut(32).enumerate() {
        let [a, b, c, d] = (number as u32).to_le_bytes();
        if number as u64 == hypercall::IRET {
            // push rcx; push r11; push rax; mov eax, 23; syscall
            place[..11].copy_from_slice(&[0x51, 0x41, 0x53, 0x50, 0xb8, a, b, c, d, 0x0f, 0x05]);
        } else {
            // push rcx; push r11; mov eax, number; syscall; pop r11; pop rcx; ret
            place[..14].copy_from_slice(&[
                0x51, 0x41, 0x53, 0xb8, a, b, c, d, 0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3,
            ]);
        }
    }
    page
}

fn start_vcpu(memory: &Memory, layout: &Layout) {
    let domain = &memory.domain;
    let l4 = memory.mfn(layout.tables.start);
    let mut walk = Walk::default();
    let rules = domain.rules();
    loop {
        match rules.get_table(l4, Use::L4, &mut walk) {
            Ok(Outcome::Done) => break,
            Ok(Outcome::Again) => (),
            Err(error) => panic!("domain 0's first page tables are bad: {error:?}"),
        }
    }
    // Pinned, as a toolstack leaves a domain's first table.
    rules.get_table(l4, Use::L4, &mut walk).expect("it was checked just now");
    if let Some(page) = frames::page(l4) {
        page.pin();
    }
    let vcpu = domain.add_vcpu(0).expect("memory for a vcpu");
    vcpu.is_initialised.store(true, core::sync::atomic::Ordering::Relaxed);
    vcpu.online.store(true, core::sync::atomic::Ordering::Relaxed);
    vcpu.info().mask().store(1, core::sync::atomic::Ordering::Relaxed);
    // SAFETY: it doesn't run yet.
    let own = unsafe { vcpu.own() };
    own.kernel_table = l4;
    let registers = &mut own.frame.registers;
    registers.rip = layout.entry;
    registers.rsp = layout.address(layout.stack + 1);
    registers.rsi = layout.address(layout.start_info);
    registers.rflags = 0x202;
    registers.cs = GUEST_CODE.into();
    registers.ss = GUEST_STACK.into();
}
