//! The stock toolstack as a peer: xl on C xenstored, and xl on our store and console, both under
//! our supervisor, on our hypervisor and on stock Xen, and with the same guest.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use tests::{Boot, Case, Dom0, Outcome, Output, console_log, run_boots};
use xtask::images::{Hypervisor, Toolstack};

const CASES: &[Case] = &[
    ("services_are_online", services_are_online),
    ("xl_starts_a_guest", xl_starts_a_guest),
    ("its_console_is_logged", its_console_is_logged),
    ("its_devices_are_in_the_store", its_devices_are_in_the_store),
    ("xl_changes_its_memory", xl_changes_its_memory),
    ("xl_pauses_it", xl_pauses_it),
    ("xl_tells_of_it", xl_tells_of_it),
    ("xl_reboots_it", xl_reboots_it),
    ("xl_shuts_it_down", xl_shuts_it_down),
    ("xl_destroys_one_that_has_just_begun", xl_destroys_one_that_has_just_begun),
];

/// Debian's Xen is built without guests of 32 bits.
const NARROW: &[Case] = &[("xl_makes_a_guest_of_32_bits", xl_makes_a_guest_of_32_bits)];

const MINUTE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let [ours, stock] = Boot::default().on_each();
    let boots = [
        ours.under(Toolstack::Stock, false),
        stock.under(Toolstack::Xl, false),
        ours.under(Toolstack::Xl, true),
        stock.under(Toolstack::Stock, true),
    ];
    let ours_alone = [CASES, NARROW].concat();
    let cases = |boot: &Boot| match boot.hypervisor {
        Hypervisor::Escalus => &ours_alone[..],
        Hypervisor::Xen => CASES,
    };
    let boots: Vec<_> = boots.iter().map(|boot| (boot, cases(boot))).collect();
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
    dom0.wait_for_page("10.0.0.2")
}

/// As the stock builder makes it, a kernel of ours finds all that it needs to try everything out.
fn xl_makes_a_guest_of_32_bits(dom0: &mut Dom0) -> Outcome {
    dom0.ok(
        "printf '%s\\n' 'name = \"narrow\"' 'kernel = \"/usr/lib/escalus/narrow\"' 'memory = 24' \
         'vcpus = 2' 'type = \"pv\"' >/tmp/narrow && xl create /tmp/narrow",
    )?;
    let ends = |output: &Output| output.stdout.contains("narrow ends");
    let said = dom0.wait_for(&console_log("narrow"), MINUTE, ends)?;
    ensure!(said.stdout.starts_with("magic: xen-3.0-x86_32p\n"), "{said}");
    ensure!(said.stdout.contains("\npages whose frame is another's: 0\n"), "{said}");
    Ok(())
}

fn its_console_is_logged(dom0: &mut Dom0) -> Outcome {
    let log = "cat /var/log/xen/console/guest-rosaline.log";
    let wait = Duration::from_secs(30);
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

fn xl_changes_its_memory(dom0: &mut Dom0) -> Outcome {
    for (wanted, is_there) in [(112, 111..=113), (128, 127..=128)] {
        dom0.ok(&format!("xl mem-set rosaline {wanted}"))?;
        let has = |output: &Output| {
            let word = output.stdout.split_whitespace().nth(8);
            word.and_then(|word| word.parse().ok()).is_some_and(|mib: u64| is_there.contains(&mib))
        };
        dom0.wait_for("xl list rosaline", MINUTE, has)?;
        dom0.wait_for_ping("10.0.0.2")?;
    }
    Ok(())
}

fn xl_pauses_it(dom0: &mut Dom0) -> Outcome {
    dom0.ok("xl pause rosaline")?;
    ensure!(dom0.run("ping -c 2 -W 1 10.0.0.2")?.status != 0, "a paused guest answers");
    dom0.ok("xl unpause rosaline")?;
    dom0.wait_for_ping("10.0.0.2")
}

fn xl_tells_of_it(dom0: &mut Dom0) -> Outcome {
    for (command, wanted) in [
        ("xl vcpu-list rosaline", "rosaline"),
        ("xl sched-credit -d rosaline || xl sched-credit2 -d rosaline", "256"),
        ("xl cpupool-list", "Pool-0"),
        ("xl info", "xen_scheduler          : credit"),
        ("xl uptime rosaline", "rosaline"),
        ("xl list -l rosaline", "\"name\": \"rosaline\""),
        ("xentop -b -i 1", "rosaline"),
    ] {
        let said = dom0.ok(command)?;
        ensure!(said.contains(wanted), "{command}: {said}");
    }
    let weigh = "xl sched-credit -d rosaline -w 512 || xl sched-credit2 -d rosaline -w 512";
    dom0.ok(&format!("{{ {weigh}; }} && xl vcpu-pin rosaline 0 0")).map(drop)
}

fn xl_reboots_it(dom0: &mut Dom0) -> Outcome {
    let before = dom0.ok("xl domid rosaline")?;
    dom0.ok("xl reboot rosaline")?;
    let another = |output: &Output| output.status == 0 && output.stdout != before;
    dom0.wait_for("xl domid rosaline", 2 * MINUTE, another)?;
    dom0.wait_for_ping("10.0.0.2")
}

fn xl_shuts_it_down(dom0: &mut Dom0) -> Outcome {
    let id = dom0.ok("xl domid rosaline")?;
    dom0.ok("xl shutdown -w rosaline")?;
    let gone = format!("xenstore-exists /local/domain/{}", id.trim_end());
    let wait = Duration::from_secs(30);
    dom0.wait_for(&gone, wait, |output| output.status != 0)?;
    let loops = dom0.ok("cat /sys/block/loop*/loop/backing_file 2>/dev/null || true")?;
    ensure!(loops.is_empty(), "{loops}");
    Ok(())
}

fn xl_destroys_one_that_has_just_begun(dom0: &mut Dom0) -> Outcome {
    let free = "xl info | grep free_memory";
    let before = dom0.ok(free)?;
    for _ in 0..3 {
        dom0.ok("xl create /etc/xen/rosaline && xl destroy rosaline")?;
    }
    let same = |output: &Output| output.stdout == before;
    dom0.wait_for(free, MINUTE, same).map(drop)
}
