//! What `cargo xtask bench hypervisor` runs as dom0's first process: a few things that a kernel
//! does for programs, each many times, timed by the processor's time stamp counter, which counts
//! the emulator's virtual nanoseconds. Tells the console, and powers off.

use std::arch::x86_64::_rdtsc;
use std::fs::{self, File};
use std::io::Write;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::process::Command;

use anyhow::Result;
use bench::{each, mount_kernels_own, second};
use nix::sys::mman::{self, MapFlags, MmapAdvise, ProtFlags};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork, getppid, pipe};
use xen::sys::{Evtchn, Hypervisor};

const PAGE: usize = 4096;
const PAGES: usize = 256;

fn main() {
    let start = now();
    if std::env::args().nth(1).as_deref() == Some("exit") {
        return;
    }
    mount_kernels_own();
    println!("bench boot {start}");
    for (name, times, act) in ACTS {
        // The first round fills caches and page tables.
        for round in 0..2 {
            let before = now();
            let counted = act(*times);
            let each = (now() - before) as f64 / counted as f64;
            if round == 1 {
                println!("bench {name} {each:.1}");
            }
        }
    }
    if fs::exists("/sys/hypervisor/type").unwrap_or(false)
        && let Err(error) = with_hypervisor()
    {
        println!("bench failed: {error}");
    }
    println!("bench end 0");
    let _ = std::io::stdout().flush();
    let _ = reboot(RebootMode::RB_POWER_OFF);
}

/// Virtual nanoseconds.
fn now() -> u64 {
    // SAFETY: reads a counter.
    unsafe { _rdtsc() }
}

type Act = fn(u64) -> u64;

/// What is done, how often, and how: the number of times that count.
const ACTS: &[(&str, u64, Act)] = &[
    ("getppid", 20_000, get_parent),
    ("fault", 16, touch),
    ("mmap", 400, map_and_unmap),
    ("mprotect", 1000, protect),
    ("fork", 100, fork_and_wait),
    ("exec", 40, fork_and_exec),
    ("pipe", 2000, ping_pong),
];

fn get_parent(times: u64) -> u64 {
    (0..times).for_each(|_| {
        std::hint::black_box(getppid());
    });
    times
}

fn map(pages: usize, flags: MapFlags) -> std::ptr::NonNull<std::ffi::c_void> {
    let length = NonZeroUsize::new(pages * PAGE).expect("some pages");
    let flags = flags | MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS;
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: new memory where nothing is.
    unsafe { mman::mmap_anonymous(None, length, protection, flags) }.expect("memory")
}

fn unmap(memory: std::ptr::NonNull<std::ffi::c_void>, pages: usize) {
    // SAFETY: `map` made it, and nobody uses it any more.
    unsafe { mman::munmap(memory, pages * PAGE) }.expect("munmap");
}

/// Page faults, each of a page that was never touched. Large pages are left out: PV has none.
fn touch(times: u64) -> u64 {
    for _ in 0..times {
        let memory = map(PAGES, MapFlags::empty());
        // SAFETY: the mapping is this function's.
        unsafe {
            let _ = mman::madvise(memory, PAGES * PAGE, MmapAdvise::MADV_NOHUGEPAGE);
            for page in 0..PAGES {
                memory.as_ptr().cast::<u8>().add(page * PAGE).write_volatile(1);
            }
        }
        unmap(memory, PAGES);
    }
    times * PAGES as u64
}

/// Sixteen pages, filled by the kernel, and gone again.
fn map_and_unmap(times: u64) -> u64 {
    for _ in 0..times {
        unmap(map(16, MapFlags::MAP_POPULATE), 16);
    }
    times
}

/// Sixteen pages, to be read only and to be written again.
fn protect(times: u64) -> u64 {
    let memory = map(16, MapFlags::MAP_POPULATE);
    for turn in 0..times {
        let writes = if turn % 2 == 0 { ProtFlags::empty() } else { ProtFlags::PROT_WRITE };
        // SAFETY: nobody uses the memory.
        unsafe { mman::mprotect(memory, 16 * PAGE, ProtFlags::PROT_READ | writes) }
            .expect("mprotect");
    }
    unmap(memory, 16);
    times
}

fn fork_and_wait(times: u64) -> u64 {
    for _ in 0..times {
        // SAFETY: there is one thread only, and the child ends at once.
        match unsafe { fork() }.expect("fork") {
            ForkResult::Parent { child } => drop(waitpid(child, None)),
            // SAFETY: ends the process.
            ForkResult::Child => unsafe { nix::libc::_exit(0) },
        }
    }
    times
}

fn fork_and_exec(times: u64) -> u64 {
    for _ in 0..times {
        Command::new("/init").arg("exit").status().expect("exec");
    }
    times
}

/// A byte to another process and back.
fn ping_pong(times: u64) -> u64 {
    let (there_read, there_write) = pipe().expect("pipe");
    let (back_read, back_write) = pipe().expect("pipe");
    let pass = |from: BorrowedFd<'_>, to: BorrowedFd<'_>| {
        let mut byte = [0];
        nix::unistd::read(from, &mut byte).is_ok_and(|count| count == 1)
            && nix::unistd::write(to, &byte).is_ok()
    };
    // SAFETY: as above.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            drop(there_write);
            while pass(there_read.as_fd(), back_write.as_fd()) {}
            // SAFETY: ends the process.
            unsafe { nix::libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            nix::unistd::write(&there_write, &[1]).expect("write");
            (1..times).for_each(|_| assert!(pass(back_read.as_fd(), there_write.as_fd())));
            drop(there_write);
            let _ = waitpid(child, None);
        }
    }
    times
}

/// What only a hypervisor does.
fn with_hypervisor() -> Result<()> {
    for module in ["xen-privcmd", "xen-evtchn"] {
        let file = File::open(format!("/{module}.ko"))?;
        // SAFETY: the kernel reads the file and a string.
        let done = unsafe {
            nix::libc::syscall(nix::libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), 0)
        };
        nix::errno::Errno::result(done)?;
    }
    let hypervisor = Hypervisor::open()?;
    let device = File::open("/dev/xen/privcmd")?;
    let with = second(CALLS, || Ok(hypervisor.version_number()?))?;
    let without = second(CALLS, || Ok(refused_ioctl(&device)))?;
    println!("bench hypercall {:.1}", with - without);
    let channels = Evtchn::open()?;
    let waiting = channels.bind_unbound(0)?;
    let port = channels.bind_interdomain(0, waiting)?;
    let round_trip = || -> Result<()> {
        channels.notify(port)?;
        while let Some(raised) = channels.pending()? {
            channels.unmask(raised)?;
        }
        Ok(())
    };
    // A new channel is raised once.
    round_trip()?;
    let event = each(CALLS, round_trip)?;
    println!("bench event {event:.1}");
    let info = hypervisor.physinfo()?;
    let dom0 = hypervisor.domain_info(0)?.map_or(0, |dom0| dom0.tot_pages);
    println!("bench kept {}", (info.total_pages - info.free_pages - dom0) * PAGE as u64);
    Ok(())
}

const CALLS: u32 = 5000;

/// A request that the driver refuses: what every hypercall of a program has around it.
fn refused_ioctl(device: &File) -> i32 {
    // SAFETY: no driver has this request, so that nothing is read or written.
    unsafe { nix::libc::ioctl(device.as_raw_fd(), 0x1234) }
}
