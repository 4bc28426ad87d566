//! The same dom0 on a machine without a hypervisor: the services say so and stay out of the way.

use std::process::ExitCode;

use anyhow::ensure;
use tests::{Boot, Case, Dom0, Outcome, run_group};

const CASES: &[Case] = &[
    ("xen_services_disable_themselves", xen_services_disable_themselves),
    ("the_rest_is_online", the_rest_is_online),
];

fn main() -> ExitCode {
    run_group("plain", &Boot { bare: true, ..Boot::default() }, CASES)
}

fn xen_services_disable_themselves(dom0: &mut Dom0) -> Outcome {
    for service in ["store", "xend", "console", "xenbackendd"] {
        let state = format!("svcs -H -o state svc:/system/xvm/{service}:default");
        let disabled = |output: &tests::Output| output.stdout == "disabled\n";
        let offline = |output: &tests::Output| output.stdout == "offline\n";
        // Who needs another that isn't there waits for it.
        let needs = service != "store";
        let wanted = |output: &tests::Output| disabled(output) || needs && offline(output);
        dom0.wait_for(&state, std::time::Duration::from_secs(60), wanted)?;
    }
    let told = dom0.ok("svcs -xv")?;
    ensure!(told.contains("svc:/system/xvm/store:default"), "{told}");
    ensure!(told.contains("emporarily disabled"), "{told}");
    let details = dom0.ok("svcs -l store")?;
    ensure!(details.contains("enabled      false (temporary)"), "{details}");
    Ok(())
}

fn the_rest_is_online(dom0: &mut Dom0) -> Outcome {
    for service in ["svc:/system/filesystem/local", "svc:/system/escalus/exec", "console-login"] {
        dom0.wait_until_online(service)?;
    }
    Ok(())
}
