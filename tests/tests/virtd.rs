//! libvirt's stock clients against virtd, with real guests.

use std::process::ExitCode;

use anyhow::ensure;
use tests::{Boot, Case, Dom0, Outcome, run_group};

const CASES: &[Case] = &[
    ("the_service_comes_up_when_it_is_enabled", the_service_comes_up_when_it_is_enabled),
    ("virsh_sees_the_guests_that_xm_sees", virsh_sees_the_guests_that_xm_sees),
];

fn main() -> ExitCode {
    run_group("virtd", &Boot::default(), CASES)
}

/// `virsh` with these words.
fn virsh(words: &str) -> String {
    format!("virsh -c xen:///system {words}")
}

fn the_service_comes_up_when_it_is_enabled(dom0: &mut Dom0) -> Outcome {
    dom0.ok("svcadm enable virtd")?;
    dom0.wait_until_online("virtd")?;
    let modes =
        dom0.ok("stat -c '%n %a' /run/libvirt/libvirt-sock /run/libvirt/libvirt-sock-ro")?;
    ensure!(
        modes == "/run/libvirt/libvirt-sock 700\n/run/libvirt/libvirt-sock-ro 777\n",
        "{modes}"
    );
    Ok(())
}

fn virsh_sees_the_guests_that_xm_sees(dom0: &mut Dom0) -> Outcome {
    let names = dom0.ok(&virsh("list --name"))?;
    ensure!(names.trim_end() == "Domain-0\nrosaline", "{names}");
    let domid = dom0.ok("xm domid rosaline")?;
    ensure!(dom0.ok(&virsh("domid rosaline"))?.trim_end() == domid.trim_end());
    ensure!(dom0.ok(&virsh("domstate rosaline"))?.trim_end() == "running");
    let version = dom0.ok(&virsh("version"))?;
    ensure!(version.contains("Running hypervisor: Xen 4.17."), "{version}");
    // Who opens no connection by name comes here as well.
    ensure!(dom0.ok("virsh uri")?.trim_end() == "xen:///system");
    Ok(())
}
