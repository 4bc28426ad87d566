//! sysctl: what dom0's tools ask of the host as a whole (sysctl.h).

use xen::abi::domctl::{Bitmap, SCHEDULER_CREDIT};
use xen::abi::errno::{EACCES, EINVAL, ENOENT, ENOSYS, EOPNOTSUPP, EPERM, ESRCH, Errno};
use xen::abi::sysctl::{
    CPU_TOPO_INFO, CPUPOOL_FREEINFO, CPUPOOL_INFO, CPUPOOL_MOVEDOMAIN, CPUPOOL_OP, DEBUG_KEYS,
    GET_CPU_FEATURESET, GET_CPU_INFO, GET_CPU_POLICY, GET_DOMAIN_INFO_LIST, GetCpuInfo,
    GetDomainInfoList, INTERFACE_VERSION, NUMA_INFO, PHYSCAP_GRANTS_V1, PHYSCAP_GRANTS_V2,
    PHYSCAP_PV, PHYSINFO, Physinfo, READ_CONSOLE, ReadConsole, SCHED_ID, SCHEDOP_GET, SCHEDOP_PUT,
    SCHEDULER_OP,
};
use xen::abi::{DomId, Plain, plain_structs};

use super::{Answer, cpuid, domctl};
use crate::arch::{console, processor, time};
use crate::guest::memory;
use crate::vcpu::Guest;
use crate::{domain, frames, keys, scheduler};

plain_structs! {
    /// `struct xen_sysctl_cputopoinfo`
    struct Topology { count: u32, pad: u32, buffer: u64 }
    /// `struct xen_sysctl_cpupool_op`
    struct Pool {
        operation: u32, number: u32, scheduler: u32, domain: u32, processor: u32, domains: u32,
        processors: u64, bits: u32, pad: u32,
    }
    /// `struct xen_sysctl_scheduler_op`, for the credit scheduler
    struct Schedule {
        pool: u32, scheduler: u32, operation: u32,
        slice_ms: u32, least_us: u32, migration_delay_us: u32,
    }
    /// `struct xen_sysctl_numainfo`
    struct Nodes { count: u32, pad: u32, memory: u64, distance: u64 }
}

/// Does what the structure at that address says.
pub fn operation(guest: &mut Guest<'_>, place: u64) -> Answer {
    if !guest.domain().is_privileged {
        return Err(EPERM.into());
    }
    let [head] = memory::read_words::<1>(place)?;
    let (command, version) = (head as u32, (head >> 32) as u32);
    if version != INTERFACE_VERSION {
        return Err(EACCES.into());
    }
    let place = place + 8;
    match command {
        READ_CONSOLE => read_console(place)?,
        PHYSINFO => memory::write(place, &physinfo())?,
        SCHED_ID => memory::write(place, &SCHEDULER_CREDIT)?,
        GET_DOMAIN_INFO_LIST => list_domains(place)?,
        DEBUG_KEYS => {
            let [buffer, count] = memory::read_words::<2>(place)?;
            for index in 0..u64::from(count as u32) {
                keys::press(memory::read(buffer + index)?);
            }
        }
        GET_CPU_INFO => {
            let mut info: GetCpuInfo = memory::read(place)?;
            let count = (processor::all().count() as u32).min(info.max_cpus);
            for index in 0..u64::from(count) {
                memory::write(info.info + 8 * index, &scheduler::idle_time(index as usize))?;
            }
            info.nr_cpus = count;
            memory::write(place, &info)?;
        }
        CPU_TOPO_INFO => topology(place)?,
        CPUPOOL_OP => pool(place)?,
        SCHEDULER_OP => schedule(place)?,
        GET_CPU_FEATURESET => cpuid::features_of_host(place)?,
        GET_CPU_POLICY => cpuid::of_host(place)?,
        NUMA_INFO => nodes(place)?,
        _ => return Err(ENOSYS.into()),
    }
    Ok(0)
}

fn physinfo() -> Physinfo {
    let processors = processor::all().count() as u32;
    Physinfo {
        threads_per_core: 1,
        cores_per_socket: processors,
        nr_cpus: processors,
        max_cpu_id: processors - 1,
        nr_nodes: 1,
        max_node_id: 0,
        cpu_khz: (time::timestamp_hertz() / 1000) as u32,
        capabilities: PHYSCAP_PV | PHYSCAP_GRANTS_V1 | PHYSCAP_GRANTS_V2,
        total_pages: frames::total(),
        free_pages: frames::free(),
        outstanding_pages: frames::claimed(),
        max_mfn: frames::end() - 1,
        hw_cap: crate::policy::capabilities(),
        ..Physinfo::zeroed()
    }
}

fn read_console(place: u64) -> Result<(), Errno> {
    let mut read: ReadConsole = memory::read(place)?;
    let from = if read.incremental != 0 { Some(read.index) } else { None };
    let mut at = from;
    let mut done = 0;
    let mut piece = [0; 256];
    loop {
        let room = piece.len().min((read.count - done) as usize);
        let (start, length) = console::logged(at, &mut piece[..room]);
        memory::write_bytes(read.buffer + u64::from(done), &piece[..length])?;
        done += length as u32;
        at = Some(start.wrapping_add(length as u32));
        if length == 0 {
            break;
        }
    }
    read.index = at.unwrap_or_default();
    read.count = done;
    if read.clear != 0 {
        console::clear_log();
    }
    memory::write(place, &read)
}

/// Domains from a number on, in the order of their numbers: who asks for the next goes on behind.
fn list_domains(place: u64) -> Result<(), Errno> {
    let mut list: GetDomainInfoList = memory::read(place)?;
    let mut number = list.first_domain;
    list.num_domains = 0;
    while list.num_domains < list.max_domains {
        let Some(domain) = domain::find_from(number) else { break };
        let info = domctl::info(&domain);
        let at = u64::from(list.num_domains) * size_of_val(&info) as u64;
        memory::write(list.buffer.wrapping_add(at), &info)?;
        list.num_domains += 1;
        number = domain.number + 1;
    }
    memory::write(place, &list)
}

/// How long vcpus run in a row, in or out.
fn schedule(place: u64) -> Result<(), Errno> {
    let mut asked: Schedule = memory::read(place)?;
    if asked.pool != 0 {
        return Err(ESRCH);
    }
    if asked.scheduler != SCHEDULER_CREDIT || !matches!(asked.operation, SCHEDOP_PUT | SCHEDOP_GET)
    {
        return Err(EINVAL);
    }
    if asked.operation == SCHEDOP_PUT {
        // Vcpus have no processor that they are kept on for a while.
        let is_least = asked.least_us == 0 || (100..=500_000).contains(&asked.least_us);
        if !(1..=1000).contains(&asked.slice_ms) || !is_least || asked.migration_delay_us != 0 {
            return Err(EINVAL);
        }
        let (slice, least) = (asked.slice_ms * 1000, asked.least_us);
        if least > slice {
            return Err(EINVAL);
        }
        scheduler::set_slices(u64::from(slice) * 1000, u64::from(least) * 1000);
    }
    let (slice, least) = scheduler::slices();
    (asked.slice_ms, asked.least_us) = ((slice / 1_000_000) as u32, (least / 1000) as u32);
    asked.migration_delay_us = 0;
    memory::write(place, &asked)
}

/// One socket, one node, as far as anybody needs to know.
fn topology(place: u64) -> Result<(), Errno> {
    let mut topology: Topology = memory::read(place)?;
    let processors = processor::all().count() as u32;
    if topology.buffer != 0 {
        for index in 0..topology.count.min(processors) {
            let to = topology.buffer + 12 * u64::from(index);
            memory::write(to, &[index, 0_u32, 0])?;
        }
    }
    topology.count = processors;
    memory::write(place, &topology)
}

/// The one pool, with all processors and domains.
fn pool(place: u64) -> Result<(), Errno> {
    let mut pool: Pool = memory::read(place)?;
    let map = Bitmap { bitmap: pool.processors, nr_bits: pool.bits, pad: 0 };
    match pool.operation {
        // The pool of that number, or the next.
        CPUPOOL_INFO if pool.number == 0 => {
            (pool.scheduler, pool.domains) = (SCHEDULER_CREDIT, 0);
            domain::for_each(|_| pool.domains += 1);
            domctl::write_set(map, scheduler::online())?;
            memory::write(place, &pool)
        }
        CPUPOOL_INFO => Err(ENOENT),
        CPUPOOL_MOVEDOMAIN if pool.number == 0 => {
            domain::find(pool.domain as DomId).ok_or(ESRCH).map(|_| ())
        }
        CPUPOOL_MOVEDOMAIN => Err(ENOENT),
        CPUPOOL_FREEINFO => {
            for byte in 0..u64::from(map.nr_bits.div_ceil(8)) {
                memory::write(map.bitmap + byte, &0_u8)?;
            }
            Ok(())
        }
        _ => Err(EOPNOTSUPP),
    }
}

fn nodes(place: u64) -> Result<(), Errno> {
    const HERE: u32 = 10;
    let mut nodes: Nodes = memory::read(place)?;
    if nodes.count > 0 && nodes.memory != 0 {
        memory::write_words(nodes.memory, &[frames::total() << 12, frames::free() << 12])?;
    }
    if nodes.count > 0 && nodes.distance != 0 {
        memory::write(nodes.distance, &HERE)?;
    }
    nodes.count = 1;
    memory::write(place, &nodes)
}
