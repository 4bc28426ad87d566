//! Linux capabilities (capabilities(7)) in the place of privileges(7).
//!
//! A set is written as on illumos, with Linux's names: `basic,cap_net_bind_service`,
//! `all,!cap_sys_module`. `basic` is what every process may do, which needs no capability.

use std::io;

use nix::libc;

/// All capabilities, by number.
const NAMES: [&str; 41] = [
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
];

/// `_LINUX_CAPABILITY_VERSION_3`, with two words for each set.
const VERSION: u32 = 0x2008_0522;

/// Capabilities, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Set(u64);

/// What a set's text says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// What the process has anyway.
    Default,
    /// This set; the words that mean nothing to Linux are listed.
    Set(Set, Vec<String>),
}

impl Wish {
    /// Reads `basic,cap_net_bind_service` and the like. The error is a line for the log.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if matches!(text.trim(), "" | "default" | ":default") {
            return Ok(Self::Default);
        }
        let (mut set, mut foreign) = (0, Vec::new());
        for word in text.split(',').map(str::trim) {
            let (takes, name) = match word.strip_prefix(['!', '-']) {
                Some(name) => (true, name),
                None => (false, word),
            };
            let bits = match name {
                "all" | "zone" => (1 << NAMES.len()) - 1,
                "none" | "basic" => 0,
                _ => match NAMES.iter().position(|known| *known == name) {
                    Some(number) => 1 << number,
                    None if name.starts_with("cap_") => {
                        return Err(format!("There is no capability \"{name}\"."));
                    }
                    None => {
                        foreign.push(name.to_owned());
                        0
                    }
                },
            };
            set = if takes { set & !bits } else { set | bits };
        }
        Ok(Self::Set(Set(set), foreign))
    }
}

impl Set {
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn numbers(self) -> impl Iterator<Item = u64> {
        (0..NAMES.len() as u64).filter(move |number| self.0 >> number & 1 == 1)
    }

    /// Takes all others out of the bounding set: no program can give them back.
    pub(super) fn bound(self) -> io::Result<()> {
        for number in Self(!self.0).numbers() {
            match prctl(libc::PR_CAPBSET_DROP, number, 0) {
                // An older kernel doesn't know the newest.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Has the permitted set survive the change to user `uid`, and root's programs get no more
    /// than they are handed on.
    pub(super) fn outlive_change(uid: u32) -> io::Result<()> {
        match uid {
            0 => prctl(libc::PR_SET_SECUREBITS, libc::SECBIT_NOROOT as u64, 0),
            _ => prctl(libc::PR_SET_KEEPCAPS, 1, 0),
        }
    }

    /// Makes these the only ones, and hands them on to the programs that are executed.
    pub(super) fn take(self) -> io::Result<()> {
        let header = [VERSION, 0];
        let [low, high] = [self.0 as u32, (self.0 >> 32) as u32];
        // Effective, permitted and inheritable, twice.
        let data = [low, low, low, high, high, high];
        // SAFETY: both point to as much memory as this version of capset(2) reads: two words, and
        // twice three words.
        if unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0)?;
        let mut numbers = self.numbers();
        numbers.try_for_each(|number| {
            prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, number)
        })
    }
}

fn prctl(option: i32, a: u64, b: u64) -> io::Result<()> {
    // SAFETY: the options used here take numbers only.
    match unsafe { libc::prctl(option, a, b, 0_u64, 0_u64) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> u64 {
        match Wish::parse(text).unwrap() {
            Wish::Set(set, foreign) if foreign.is_empty() => set.0,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn sets_are_written_as_privileges_are() {
        assert_eq!(set("basic"), 0);
        assert_eq!(set("basic,cap_net_bind_service"), 1 << 10);
        assert_eq!(set("cap_chown, cap_kill"), 1 | 1 << 5);
        assert_eq!(set("all,!cap_chown"), (1 << 41) - 2);
        assert_eq!(set("cap_checkpoint_restore"), 1 << 40);
        assert_eq!(Wish::parse(":default"), Ok(Wish::Default));
        assert!(Wish::parse("cap_fly").unwrap_err().contains("cap_fly"));
        let foreign = vec!["proc_session".to_owned(), "net_privaddr".to_owned()];
        let parsed = Wish::parse("basic,!proc_session,net_privaddr,cap_kill");
        assert_eq!(parsed, Ok(Wish::Set(Set(1 << 5), foreign)));
    }

    #[test]
    fn the_names_are_in_the_kernels_order() {
        assert_eq!(Set(1 << 21 | 1 << 39).numbers().collect::<Vec<_>>(), [21, 39]);
        assert_eq!((NAMES[21], NAMES[39]), ("cap_sys_admin", "cap_bpf"));
    }
}
