//! What is written to dom0's disk is there at the next boot: settings, rc.conf, a guest's data.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use tests::{Boot, Case, Dom0, Outcome, run_boots};
use xtask::project;

const FIRST: &[Case] = &[("settings_and_data_are_written", settings_and_data_are_written)];
const SECOND: &[Case] = &[("settings_and_data_are_there", settings_and_data_are_there)];

fn main() -> ExitCode {
    let disk = project::build().join("persistence.img");
    let _ = std::fs::remove_file(&disk);
    let boot = Boot { kept_disk: Some(PathBuf::from(&disk)), ..Boot::as_chosen() };
    let code = run_boots("persistence", &[(&boot, FIRST), (&boot, SECOND)]);
    let _ = std::fs::remove_file(&disk);
    code
}

fn settings_and_data_are_written(dom0: &mut Dom0) -> Outcome {
    dom0.wait_until_online("domains")?;
    dom0.ok("svccfg -s xend setprop config/dom0-min-mem = 300")?;
    dom0.ok("svcadm refresh xend")?;
    dom0.ok("echo 'motd=\"good morrow\"' >>/etc/rc.conf")?;
    dom0.log_in("rosaline", 1)?;
    dom0.in_guest("rosaline", "echo remember me >/root/note")?;
    dom0.ok("svcadm disable -s domains")?;
    dom0.ok("svcadm disable -st console").map(drop)
}

fn settings_and_data_are_there(dom0: &mut Dom0) -> Outcome {
    ensure!(dom0.ok("svcprop -p config/dom0-min-mem xend")? == "300\n");
    ensure!(dom0.ok("svcprop -c -p general/enabled domains:default")? == "false\n");
    ensure!(dom0.ok("svcs -H -o state domains")?.trim_end() == "disabled");
    // The temporary order ended with the boot.
    dom0.wait_until_online("console")?;
    ensure!(dom0.ok("grep motd /etc/rc.conf")? == "motd=\"good morrow\"\n");
    dom0.ok("svcadm enable -s domains")?;
    // Disabling domains shut the guest down in order, so what it wrote is on its disk.
    // The console's log is kept over boots, and has the first boot's prompt already.
    dom0.log_in("rosaline", 2)?;
    let note = dom0.in_guest("rosaline", "cat /root/note")?;
    ensure!(note == "remember me", "{note:?}");
    Ok(())
}
