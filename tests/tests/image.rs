//! The image that GRUB boots: by multiboot 2, by multiboot 1, and by a menu of GRUB's first version.

use std::process::ExitCode;

use anyhow::ensure;
use tests::{Boot, Case, Dom0, Outcome, run_boots};

const ALL: &[Case] = &[
    ("grub_loaded_it", grub_loaded_it),
    ("the_services_are_online", the_services_are_online),
    ("changes_are_kept_in_memory", changes_are_kept_in_memory),
];

const SHORT: &[Case] =
    &[("grub_loaded_it", grub_loaded_it), ("the_services_are_online", the_services_are_online)];

const MENU: &[Case] = &[
    ("options_are_obeyed", options_are_obeyed),
    ("the_services_are_online", the_services_are_online),
];

fn main() -> ExitCode {
    // Keys at GRUB's menu: the first entry is chosen as people do it, others by their key.
    let boot = |keys| Boot { image: Some(keys), ..Boot::default() };
    let boots = [boot("\r"), boot("2"), boot("3")];
    run_boots("image", &[(&boots[0], ALL), (&boots[1], SHORT), (&boots[2], MENU)])
}

fn grub_loaded_it(dom0: &mut Dom0) -> Outcome {
    let console = dom0.console()?;
    ensure!(console.contains("(XEN) Command line: console=com1,vga com1=115200,8n1 dom0_mem=768M"));
    ensure!(console.contains("(XEN) Domain 0's command line: console=hvc0 quiet"));
    Ok(())
}

fn the_services_are_online(dom0: &mut Dom0) -> Outcome {
    for service in ["filesystem/local", "console-login", "store", "xend", "xvm/console"] {
        dom0.wait_until_online(service)?;
    }
    let list = dom0.ok("xm list")?;
    ensure!(list.contains("Domain-0                                     0   768     1"), "{list}");
    Ok(())
}

/// The CD is only read; what is written is there until the machine is off.
fn changes_are_kept_in_memory(dom0: &mut Dom0) -> Outcome {
    dom0.ok("svccfg -s xend setprop config/xend-relocation-address = '\"10.0.0.1\"'")?;
    dom0.ok("echo kept > /var/note && echo kept > /etc/note && sync")?;
    ensure!(dom0.ok("cat /var/note /etc/note")? == "kept\nkept\n");
    dom0.ok("test -s /var/lib/xen/images/rosaline.img")?;
    Ok(())
}

/// `kernel` and `module` lines as GRUB's first version has them; memory counts KiB.
fn options_are_obeyed(dom0: &mut Dom0) -> Outcome {
    let console = dom0.console()?;
    ensure!(console.contains("dom0_mem=786432 com1=115200,8n1"), "{console}");
    ensure!(console.contains("root=/dev/ram0 ro console=hvc0 quiet"), "{console}");
    Ok(())
}
