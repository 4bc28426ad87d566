//! Mistakes: a clear answer, the exit status of SMF and xm, and nothing half-made left.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use tests::{Boot, Case, Dom0, Outcome, run_group};

const CASES: &[Case] = &[
    ("a_config_error_names_file_line_and_reason", a_config_error_names_file_line_and_reason),
    ("a_missing_config_is_named", a_missing_config_is_named),
    ("a_missing_kernel_leaves_nothing", a_missing_kernel_leaves_nothing),
    ("a_kernel_that_is_none_leaves_nothing", a_kernel_that_is_none_leaves_nothing),
    ("a_missing_disk_leaves_nothing", a_missing_disk_leaves_nothing),
    ("a_missing_bridge_leaves_nothing", a_missing_bridge_leaves_nothing),
    ("too_much_memory_leaves_nothing", too_much_memory_leaves_nothing),
    ("a_taken_name_leaves_nothing", a_taken_name_leaves_nothing),
    ("unknown_domains_are_named", unknown_domains_are_named),
    ("unknown_services_are_named", unknown_services_are_named),
    ("ambiguous_names_are_refused", ambiguous_names_are_refused),
    ("wrong_types_are_refused", wrong_types_are_refused),
    ("wrong_usage_is_status_2", wrong_usage_is_status_2),
    ("a_broken_packet_ends_only_its_connection", a_broken_packet_ends_only_its_connection),
];

fn main() -> ExitCode {
    run_group("bad_input", &Boot::as_chosen(), CASES)
}

/// `xm create` of a file made from rosaline's own with `change` (a sed script) must fail with a
/// message that has all of `words`, and leave everything as it was.
fn refused(dom0: &mut Dom0, change: &str, words: &[&str]) -> Outcome {
    dom0.wait_until_online("domains")?;
    let other = r"s/rosaline/broken/; s/10\.0\.0\.2/10.0.0.9/; s/A7:88/A7:99/";
    let image = r"s,images/broken\.img,images/escalus.img,";
    dom0.ok(&format!("sed -e '{other}' -e '{other}' -e '{image}' -e '{change}' /etc/xen/rosaline >/etc/xen/broken"))?;
    let before = settled(dom0)?;
    let said = dom0.fails("xm create broken", 1)?;
    for word in words {
        ensure!(said.contains(word), "nothing of `{word}` in: {said}");
    }
    let lines = said.lines().filter(|line| line.starts_with("Error")).count();
    ensure!(lines <= 1, "more than one error: {said}");
    let after = settled(dom0)?;
    ensure!(before == after, "left behind:\n{after}\nbefore it was:\n{before}");
    Ok(())
}

/// What guests occupy, once the auto-started guest has settled.
fn settled(dom0: &mut Dom0) -> Result<String> {
    dom0.wait_for_ping("10.0.0.2")?;
    dom0.occupied()
}

fn a_config_error_names_file_line_and_reason(dom0: &mut Dom0) -> Outcome {
    refused(dom0, "s/^memory = 128/memory = [128/", &["/etc/xen/broken", "line"])?;
    refused(dom0, "s/^memory = 128/memory = \"much\"/", &["/etc/xen/broken", "memory"])?;
    refused(dom0, "s/^name = .*/name = \"a b\"/", &["/etc/xen/broken", "name"])
}

fn a_missing_config_is_named(dom0: &mut Dom0) -> Outcome {
    let said = dom0.fails("xm create juliet", 1)?;
    ensure!(said.contains("juliet"), "{said}");
    Ok(())
}

fn a_missing_kernel_leaves_nothing(dom0: &mut Dom0) -> Outcome {
    refused(dom0, "s,/boot/vmlinuz-guest,/boot/nothing,", &["/boot/nothing"])
}

fn a_kernel_that_is_none_leaves_nothing(dom0: &mut Dom0) -> Outcome {
    refused(dom0, "s,/boot/vmlinuz-guest,/etc/hosts,", &["/etc/hosts"])
}

fn a_missing_disk_leaves_nothing(dom0: &mut Dom0) -> Outcome {
    refused(dom0, "s,images/escalus.img,images/nothing.img,", &["images/nothing.img"])
}

fn a_missing_bridge_leaves_nothing(dom0: &mut Dom0) -> Outcome {
    refused(dom0, "s/bridge=xenbr0/bridge=nobridge/", &["nobridge"])
}

fn too_much_memory_leaves_nothing(dom0: &mut Dom0) -> Outcome {
    refused(dom0, "s/^memory = 128/memory = 100000/", &["memory"])
}

fn a_taken_name_leaves_nothing(dom0: &mut Dom0) -> Outcome {
    refused(dom0, "s/^name = .*/name = \"rosaline\"/", &["rosaline"])
}

fn unknown_domains_are_named(dom0: &mut Dom0) -> Outcome {
    for command in ["destroy", "shutdown", "reboot", "pause", "unpause", "domid", "console"] {
        let said = dom0.fails(&format!("xm {command} juliet </dev/null"), 1)?;
        ensure!(said.contains("juliet"), "xm {command}: {said}");
    }
    let said = dom0.fails("xm list juliet", 1)?;
    ensure!(said.contains("juliet"), "{said}");
    Ok(())
}

fn unknown_services_are_named(dom0: &mut Dom0) -> Outcome {
    for command in ["enable", "disable", "restart", "refresh", "clear"] {
        let said = dom0.fails(&format!("svcadm {command} juliet"), 1)?;
        ensure!(said == "svcadm: Pattern 'juliet' doesn't match any instances\n", "{said:?}");
    }
    let said = dom0.fails("svcs juliet", 1)?;
    ensure!(said.contains("juliet"), "{said:?}");
    let said = dom0.fails("svcprop juliet", 1)?;
    ensure!(said.contains("juliet"), "{said:?}");
    let said = dom0.fails("svccfg -s juliet listprop", 1)?;
    ensure!(said.contains("juliet"), "{said:?}");
    Ok(())
}

fn ambiguous_names_are_refused(dom0: &mut Dom0) -> Outcome {
    let said = dom0.fails("svcadm restart default", 1)?;
    ensure!(said.contains("ambiguous") || said.contains("matches multiple"), "{said:?}");
    Ok(())
}

fn wrong_types_are_refused(dom0: &mut Dom0) -> Outcome {
    let property = "svccfg -s xend setprop config/xend-relocation-port";
    let before = dom0.ok("svcprop -c -p config/xend-relocation-port xend:default")?;
    for value in ["integer: many", "boolean: true", "integer: 99999999999999999999"] {
        let said = dom0.fails(&format!("{property} = '{value}'"), 1)?;
        ensure!(!said.is_empty(), "{value}: no word of what is wrong");
    }
    let after = dom0.ok("svcprop -c -p config/xend-relocation-port xend:default")?;
    ensure!(before == after, "{after}");
    let said = dom0.fails("svccfg -s xend setprop nothing/x = astring: y", 1)?;
    ensure!(said.contains("nothing"), "{said:?}");
    Ok(())
}

fn wrong_usage_is_status_2(dom0: &mut Dom0) -> Outcome {
    for command in ["svcadm", "svcadm frobnicate xend", "svcs -d", "svccfg -Q"] {
        let said = dom0.fails(&format!("{command} </dev/null"), 2)?;
        ensure!(said.to_lowercase().contains("usage"), "{command}: {said:?}");
    }
    Ok(())
}

fn a_broken_packet_ends_only_its_connection(dom0: &mut Dom0) -> Outcome {
    let pid = dom0.ok("pidof xenstored")?;
    // A header that announces more than any packet may hold, a request that doesn't exist, noise.
    for bytes in [
        r"\001\000\000\000\000\000\000\000\000\000\000\000\377\377\377\177",
        r"\377\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000",
        r"GET / HTTP/1.1\r\n\r\n",
    ] {
        dom0.run(&format!("printf '{bytes}' | timeout 2 nc local:/run/xenstored/socket"))?;
        dom0.wait_for("xenstore-ls /local", Duration::from_secs(5), |o| o.status == 0)?;
    }
    ensure!(dom0.ok("pidof xenstored")? == pid, "the store died of it");
    Ok(())
}
