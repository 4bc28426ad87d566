//! The book chapter to the letter: what it tells an administrator to type, typed in dom0.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use tests::{Boot, Case, Dom0, Outcome, run_boots};

const CASES: &[Case] = &[
    ("listprop_shows_the_settings_of_xend", listprop_shows_the_settings_of_xend),
    ("the_relocation_address_is_set_as_printed", the_relocation_address_is_set_as_printed),
    ("svcs_xv_tells_which_services_are_stopped", svcs_xv_tells_which_services_are_stopped),
    ("the_services_are_enabled_one_by_one", the_services_are_enabled_one_by_one),
    ("rc_conf_and_rc_d_start_the_same_services", rc_conf_and_rc_d_start_the_same_services),
    ("xm_list_shows_domain_0", xm_list_shows_domain_0),
    ("xm_create_starts_a_guest", xm_create_starts_a_guest),
];

fn main() -> ExitCode {
    let [ours, stock] = Boot::default().on_each();
    run_boots("chapter", &[(&ours, CASES), (&stock, CASES)])
}

fn listprop_shows_the_settings_of_xend(dom0: &mut Dom0) -> Outcome {
    let listed = dom0.ok("svccfg -s xend listprop")?;
    let line = |name: &str| listed.lines().find(|line| line.split(' ').next() == Some(name));
    ensure!(line("config").is_some_and(|line| line.ends_with("application")), "{listed}");
    for (name, ty) in [
        ("config/xend-relocation-address", "astring"),
        ("config/xend-relocation-hosts-allow", "astring"),
        ("config/xend-relocation-port", "integer"),
        ("config/dom0-min-mem", "integer"),
    ] {
        let words = line(name).map(|line| line.split_whitespace().nth(1));
        ensure!(words == Some(Some(ty)), "{name} is no {ty} in:\n{listed}");
    }
    Ok(())
}

fn the_relocation_address_is_set_as_printed(dom0: &mut Dom0) -> Outcome {
    let before = dom0.ok("svcprop -p config/xend-relocation-address xend")?;
    ensure!(before != "\"\"\n", "it was empty from the start");
    let pid = dom0.ok("pidof xend")?;
    let said = dom0.ok(r#"svccfg -s xend setprop config/xend-relocation-address = \"\""#)?;
    ensure!(said.is_empty(), "{said}");
    let unseen = dom0.ok("svcprop -p config/xend-relocation-address xend")?;
    ensure!(unseen == before, "seen before the refresh: {unseen}");
    dom0.ok("svcadm refresh xend")?;
    dom0.ok("svcadm restart xend")?;
    let is_restarted = |output: &tests::Output| !output.stdout.is_empty() && output.stdout != pid;
    dom0.wait_for("pidof xend", Duration::from_secs(60), is_restarted)?;
    dom0.wait_until_online("xend")?;
    let after = dom0.ok("svcprop -p config/xend-relocation-address xend")?;
    ensure!(after == "\"\"\n", "{after}");
    Ok(())
}

/// Soon: what was restarted, or is the last to start, takes a moment.
fn nothing_is_wrong(dom0: &mut Dom0) -> Outcome {
    let is_quiet = |output: &tests::Output| output.stdout.trim().is_empty();
    dom0.wait_for("svcs -xv", Duration::from_secs(60), is_quiet)?;
    Ok(())
}

fn svcs_xv_tells_which_services_are_stopped(dom0: &mut Dom0) -> Outcome {
    nothing_is_wrong(dom0)?;
    // First, because a guest with a full console waits for a daemon that reads it.
    dom0.ok("svcadm disable -s domains")?;
    dom0.ok("svcadm disable -s console")?;
    let told = dom0.ok("svcs -xv console")?;
    ensure!(told.contains("svc:/system/xvm/console:default"), "{told}");
    ensure!(told.contains(" State: disabled since "), "{told}");
    ensure!(told.contains("Reason: Disabled by an administrator."), "{told}");
    Ok(())
}

fn the_services_are_enabled_one_by_one(dom0: &mut Dom0) -> Outcome {
    dom0.ok("svcadm disable -s xend")?;
    dom0.ok("svcadm disable -s store")?;
    for service in ["store", "xend", "domains", "console"] {
        let said = dom0.ok(&format!("svcadm enable {service}"))?;
        ensure!(said.is_empty(), "{said}");
    }
    for service in ["store", "xend", "console", "domains"] {
        dom0.wait_until_online(service)?;
    }
    nothing_is_wrong(dom0)
}

fn rc_conf_and_rc_d_start_the_same_services(dom0: &mut Dom0) -> Outcome {
    dom0.ok("svcadm disable -s domains")?;
    dom0.ok("svcadm disable -s xend")?;
    dom0.ok("svcadm disable -s xenbackendd")?;
    dom0.ok("rm /etc/rc.d/xen*")?;
    dom0.ok("cp /usr/pkg/share/examples/rc.d/xen* /etc/rc.d/")?;
    dom0.ok(r#"echo "xenbackendd=YES">>/etc/rc.conf"#)?;
    dom0.ok(r#"echo "xend=YES">>/etc/rc.conf"#)?;
    let said = dom0.ok("/etc/rc.d/xenbackendd start")?;
    ensure!(said == "Starting xenbackendd.\n", "{said:?}");
    let said = dom0.ok("/etc/rc.d/xend start")?;
    ensure!(said == "Starting xend.\n", "{said:?}");
    for service in ["xenbackendd", "xend"] {
        dom0.wait_until_online(service)?;
        let enabled = dom0.ok(&format!("svcprop -c -p general/enabled {service}"))?;
        ensure!(enabled == "true\n", "{service}: {enabled}");
    }
    dom0.ok("svcadm enable -s domains").map(drop)
}

fn xm_list_shows_domain_0(dom0: &mut Dom0) -> Outcome {
    let listed = dom0.ok("xm list")?;
    let mut lines = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let header = lines.next().unwrap_or_default();
    ensure!(header == ["Name", "ID", "Mem", "VCPUs", "State", "Time(s)"], "{listed}");
    let domain0 = lines.next().unwrap_or_default();
    ensure!(domain0.len() == 6, "{listed}");
    ensure!(domain0[..2] == ["Domain-0", "0"] && domain0[3] == "1", "{listed}");
    ensure!(domain0[4] == "r-----", "{listed}");
    let (memory, time) = (domain0[2].parse::<u32>(), domain0[5].parse::<f64>());
    ensure!(memory? == 768 && time? > 1.0, "{listed}");
    Ok(())
}

fn xm_create_starts_a_guest(dom0: &mut Dom0) -> Outcome {
    // It may have been started from /etc/xen/auto.
    dom0.run("xm destroy rosaline")?;
    let said = dom0.ok("xm create rosaline")?;
    ensure!(said.contains("Started domain rosaline"), "{said}");
    let listed = dom0.ok("xm list rosaline")?;
    let guest = listed.lines().nth(1).unwrap_or_default();
    let words: Vec<&str> = guest.split_whitespace().collect();
    ensure!(words.first() == Some(&"rosaline") && words.get(2) == Some(&"128"), "{listed}");
    dom0.wait_for("ping -c 1 -W 1 10.0.0.2", Duration::from_secs(90), |o| o.status == 0)?;
    Ok(())
}
