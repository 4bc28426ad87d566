//! Guests of a dom0 under test: their consoles, and what they must not leave behind.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{Dom0, Output};

/// From `xm create` to a login prompt on a busy build host.
const GUEST_BOOT_TIMEOUT: Duration = Duration::from_secs(120);
const GUEST_COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

impl Dom0 {
    /// Waits until the guest at `address` answers a ping.
    pub fn wait_for_ping(&mut self, address: &str) -> Result<()> {
        let ping = format!("ping -c 1 -W 1 {address}");
        self.wait_for(&ping, GUEST_BOOT_TIMEOUT, |output| output.status == 0).map(drop)
    }

    /// Waits until the guest at `address` answers HTTP, which it does some time after a ping, and
    /// looks at what it says.
    pub fn wait_for_page(&mut self, address: &str) -> Result<()> {
        let fetch = format!("timeout 5 wget -q -O - http://{address}/");
        let page = self.wait_for(&fetch, GUEST_BOOT_TIMEOUT, |output| output.status == 0)?.stdout;
        ensure!(page == "Good morrow from a guest.\n", "{page:?}");
        Ok(())
    }

    /// Waits until the console log of `guest` holds at least `times` login prompts, and logs in as
    /// a user at `xm console` does.
    pub fn log_in(&mut self, guest: &str, times: usize) -> Result<()> {
        let prompt = format!("{guest} login: ");
        let prompts = |output: &Output| output.stdout.matches(&prompt).count() >= times;
        self.wait_for(&console_log(guest), GUEST_BOOT_TIMEOUT, prompts)?;
        self.type_at(guest, "root")?;
        self.wait_for(&console_log(guest), GUEST_COMMAND_TIMEOUT, |output| {
            output.stdout.rsplit(&prompt).next().is_some_and(|after| after.contains("Password: "))
        })?;
        self.type_at(guest, "escalus")?;
        let hostname = self.in_guest(guest, "hostname")?;
        ensure!(hostname == guest, "logged in on {hostname:?}");
        Ok(())
    }

    /// Types a command on the console of a guest where somebody is logged in; gives its output.
    pub fn in_guest(&mut self, guest: &str, command: &str) -> Result<String> {
        let before = self.ok(&console_log(guest))?.len();
        // Spelled so that the echo of the typed line isn't taken for the answer.
        self.type_at(guest, &format!("echo BE''GIN; {command}; echo E''ND"))?;
        let answer = |output: &Output| -> Option<String> {
            let new = output.stdout.get(before..)?.replace('\r', "");
            let (_, rest) = new.split_once("BEGIN\n")?;
            rest.split_once("END\n").map(|(answer, _)| answer.trim_end().to_owned())
        };
        let log = console_log(guest);
        let output = self.wait_for(&log, GUEST_COMMAND_TIMEOUT, |o| answer(o).is_some())?;
        answer(&output).context("the answer went away")
    }

    /// Types a line at `xm console` and leaves with Ctrl-].
    fn type_at(&mut self, guest: &str, line: &str) -> Result<()> {
        let quoted = line.replace('\'', r"'\''");
        let typed = format!("{{ printf '%s\\n' '{quoted}'; sleep 1; printf '\\035'; }}");
        self.ok(&format!("{typed} | timeout 30 xm console {guest} >/dev/null")).map(drop)
    }

    /// Makes a guest that needs little memory and says again what is typed at its console
    /// (`tests/kernels`), and lets it do something first.
    pub fn create_small(&mut self, name: &str, words: &str) -> Result<()> {
        self.create_with("small", name, &format!("extra = \"{words}\""))
    }

    /// Makes a guest with any of our kernels in dom0, and more in its configuration.
    pub fn create_with(&mut self, kernel: &str, name: &str, more: &str) -> Result<()> {
        let file = format!("/tmp/{name}.small");
        let text = format!(
            "name = \"{name}\"\nkernel = \"/usr/lib/escalus/{kernel}\"\nmemory = 24\n\
             on_crash = \"destroy\"\n{more}"
        );
        self.ok(&format!("printf '%s\\n' '{text}' >{file} && xm create -q {file}")).map(drop)
    }

    /// Waits until such a guest has been heard at its console, asked for its name in the store.
    pub fn small_answers(&mut self, name: &str) -> Result<()> {
        // It may not have said anything yet.
        let before = self.run(&console_log(name))?.stdout.len();
        self.type_at(name, "read name")?;
        let wanted = format!("answer: {name}\r\n");
        let answer =
            |output: &Output| output.stdout.get(before..).is_some_and(|new| new.contains(&wanted));
        self.wait_for(&console_log(name), GUEST_COMMAND_TIMEOUT, answer).map(drop)
    }

    /// Says everything that a guest occupies: domains, store paths, loop devices, interfaces, free
    /// memory. Two equal answers mean that nothing was left in between.
    pub const OCCUPIED: &str = "xm list | awk '{ print $1, $2, $3 }'; \
         xenstore-ls -f / | grep -E '^/(local/domain|vm)/' | sed 's/ = .*//' | sort; \
         cat /sys/block/loop*/loop/backing_file 2>/dev/null; \
         ls /sys/class/net; ls /run/xend /var/lib/xend/domains 2>/dev/null; \
         xm info | grep free_memory";

    /// What guests occupy.
    pub fn occupied(&mut self) -> Result<String> {
        self.ok(Self::OCCUPIED)
    }
}

/// What a guest has said on its console so far.
pub fn console_log(guest: &str) -> String {
    format!("cat /var/log/xen/console/guest-{guest}.log")
}
