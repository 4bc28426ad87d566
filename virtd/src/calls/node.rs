//! Calls about the host.

use xend::rpc::Value;
use xend::sxp;

use crate::capabilities;
use crate::error::{Error, Result};
use crate::session::Call;
use crate::xdr::Opaque;

fn node(call: &Call) -> Result<Value> {
    call.xend().ask("xend.node.info", vec![])
}

fn int(node: &Value, name: &str) -> i32 {
    sxp::int(node, name).and_then(|int| i32::try_from(int).ok()).unwrap_or(1)
}

fn mib(node: &Value, name: &str) -> u64 {
    sxp::int(node, name).and_then(|int| u64::try_from(int).ok()).unwrap_or(0)
}

/// The answer to [`info`].
pub type Info = ([i8; 32], u64, i32, i32, i32, i32, i32, i32);

/// Model, memory in KiB, processors, MHz, NUMA nodes, sockets, cores, threads.
pub fn info(call: &Call, (): ()) -> Result<Info> {
    let node = node(call)?;
    let mut model = [0; 32];
    for (place, byte) in model.iter_mut().zip(b"x86_64") {
        *place = *byte as i8;
    }
    let cpus = int(&node, "nr_cpus").max(1);
    let (cores, threads) = (int(&node, "cores_per_socket"), int(&node, "threads_per_core"));
    let (cores, threads, nodes) = (cores.max(1), threads.max(1), 1);
    let sockets = cpus / (cores * threads);
    // Clients multiply these; where they don't come to the number, all are cores of one socket.
    let exact = sockets * cores * threads == cpus;
    let (sockets, cores, threads) = if exact { (sockets, cores, threads) } else { (1, cpus, 1) };
    let memory = mib(&node, "total_memory") * 1024;
    Ok((model, memory, cpus, int(&node, "cpu_mhz"), nodes, sockets, cores, threads))
}

/// Memory that nobody has, in bytes.
pub fn free_memory(call: &Call, (): ()) -> Result<u64> {
    Ok(mib(&node(call)?, "free_memory") << 20)
}

/// Memory that nobody has in each NUMA node, of which xend tells one.
pub fn cells_free_memory(call: &Call, (first, count): (i32, i32)) -> Result<Vec<u64>> {
    if first != 0 || count < 1 {
        let reason = format!("start cell {first} out of range (0-0)");
        return Err(Error::invalid(reason));
    }
    Ok(vec![free_memory(call, ())?])
}

/// The most vcpus a domain can have.
pub fn max_vcpus(_: &Call, _kind: Option<String>) -> Result<i32> {
    Ok(capabilities::MAX_VCPUS)
}

/// Which processors there are and run, and how many.
pub fn cpu_map(call: &Call, (map, _online, _flags): (i32, i32, u32)) -> Result<(Opaque, u32, i32)> {
    let cpus = int(&node(call)?, "nr_cpus").clamp(1, 4096);
    let mut bits = vec![0u8; (cpus as usize).div_ceil(8)];
    (0..cpus as usize).for_each(|cpu| bits[cpu / 8] |= 1 << (cpu % 8));
    Ok((Opaque(if map != 0 { bits } else { Vec::new() }), cpus as u32, cpus))
}

/// Memory statistics of the host by name, in KiB.
pub fn memory_stats(
    call: &Call,
    (count, _cell, _flags): (i32, i32, u32),
) -> Result<(Vec<(String, u64)>, i32)> {
    let node = node(call)?;
    let stats = ["total", "free"]
        .map(|name| (name.to_owned(), mib(&node, &format!("{name}_memory")) * 1024));
    if count == 0 {
        return Ok((Vec::new(), stats.len() as i32));
    }
    let count = usize::try_from(count).unwrap_or(0);
    Ok((stats.into_iter().take(count).collect(), 0))
}

/// What this host can do, as XML.
pub fn capabilities(call: &Call, (): ()) -> Result<String> {
    Ok(capabilities::host(&node(call)?))
}

/// The arguments of [`domain_capabilities`]: emulator, architecture, machine, hypervisor, flags.
pub type Wanted = (Option<String>, Option<String>, Option<String>, Option<String>, u32);

/// What a domain can have here, as XML.
pub fn domain_capabilities(_: &Call, wanted: Wanted) -> Result<String> {
    let (_, arch, machine, kind, _) = wanted;
    for (what, given, known) in [
        ("virttype", kind, "xen"),
        ("architecture", arch, "x86_64"),
        ("machine", machine, capabilities::MACHINE),
    ] {
        if let Some(given) = given.filter(|given| given != known) {
            return Err(Error::invalid(format!("unknown {what} '{given}', there is {known}")));
        }
    }
    Ok(capabilities::domain())
}
