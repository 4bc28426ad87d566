//! The stock toolstack as a peer: xl on C xenstored, and xl on our store and console, both under
//! our supervisor, on our hypervisor and on stock Xen, and with the same guest.

use std::process::ExitCode;

use anyhow::ensure;
use tests::{Boot, Case, Dom0, Outcome, run_boots};
use xtask::images::Toolstack;

const CASES: &[Case] = &[
    ("services_are_online", services_are_online),
    ("xl_starts_a_guest", xl_starts_a_guest),
    ("its_console_is_logged", its_console_is_logged),
    ("its_devices_are_in_the_store", its_devices_are_in_the_store),
    ("xl_shuts_it_down", xl_shuts_it_down),
];

fn main() -> ExitCode {
    let boots = [Toolstack::Stock, Toolstack::Xl]
        .map(|toolstack| Boot { toolstack, ..Boot::default() }.on_each());
    let boots: Vec<_> = boots.as_flattened().iter().map(|boot| (boot, CASES)).collect();
    run_boots("stock", &boots)
}

fn services_are_online(dom0: &mut Dom0) -> Outcome {
    for service in ["store", "console", "xend", "network/bridge", "milestone/xvm"] {
        dom0.wait_until_online(service)?;
    }
    Ok(())
}

fn xl_starts_a_guest(dom0: &mut Dom0) -> Outcome {
    dom0.ok("xl create /etc/xen/rosaline")?;
    let listed = dom0.ok("xl list")?;
    ensure!(listed.contains("\nrosaline "), "{listed}");
    dom0.wait_for_ping("10.0.0.2")?;
    let page = dom0.ok("wget -q -O - http://10.0.0.2/")?;
    ensure!(page == "Good morrow from a guest.\n", "{page:?}");
    Ok(())
}

fn its_console_is_logged(dom0: &mut Dom0) -> Outcome {
    let log = "cat /var/log/xen/console/guest-rosaline.log";
    let wait = std::time::Duration::from_secs(30);
    dom0.wait_for(log, wait, |output| output.stdout.contains("rosaline login:")).map(drop)
}

fn its_devices_are_in_the_store(dom0: &mut Dom0) -> Outcome {
    let id = dom0.ok("xl domid rosaline")?;
    let id = id.trim_end();
    for (path, value) in [
        (format!("/local/domain/{id}/name"), "rosaline"),
        (format!("/local/domain/{id}/device/vbd/51712/state"), "4"),
        (format!("/local/domain/{id}/device/vif/0/state"), "4"),
        (format!("/local/domain/0/backend/vbd/{id}/51712/state"), "4"),
    ] {
        let found = dom0.ok(&format!("xenstore-read {path}"))?;
        ensure!(found.trim_end() == value, "{path} = {found}");
    }
    Ok(())
}

fn xl_shuts_it_down(dom0: &mut Dom0) -> Outcome {
    let id = dom0.ok("xl domid rosaline")?;
    dom0.ok("xl shutdown -w rosaline")?;
    let gone = format!("xenstore-exists /local/domain/{}", id.trim_end());
    let wait = std::time::Duration::from_secs(30);
    dom0.wait_for(&gone, wait, |output| output.status != 0)?;
    let loops = dom0.ok("cat /sys/block/loop*/loop/backing_file 2>/dev/null || true")?;
    ensure!(loops.is_empty(), "{loops}");
    Ok(())
}
