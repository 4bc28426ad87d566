//! Guests from `xm create` to their end: console, network, disk, and the death of our daemons.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::{Boot, Case, Dom0, Outcome, run_boots};

const CASES: &[Case] = &[
    ("the_guest_in_auto_was_started", the_guest_in_auto_was_started),
    ("its_console_has_a_login", its_console_has_a_login),
    ("dom0_reaches_the_guest", dom0_reaches_the_guest),
    ("the_guest_reaches_dom0", the_guest_reaches_dom0),
    ("what_it_writes_is_there_after_a_reboot", what_it_writes_is_there_after_a_reboot),
    ("a_paused_guest_stands_still", a_paused_guest_stands_still),
    ("questions_about_a_guest_are_answered", questions_about_a_guest_are_answered),
    ("two_guests_reach_each_other", two_guests_reach_each_other),
    ("vcpus_go_and_come_back", vcpus_go_and_come_back),
    ("a_killed_xend_knows_every_guest_again", a_killed_xend_knows_every_guest_again),
    ("a_killed_store_is_not_noticed", a_killed_store_is_not_noticed),
    ("a_killed_console_daemon_comes_back", a_killed_console_daemon_comes_back),
    ("a_shut_down_guest_leaves_nothing", a_shut_down_guest_leaves_nothing),
    ("a_destroyed_guest_leaves_nothing", a_destroyed_guest_leaves_nothing),
    ("domains_stops_and_starts_the_guests", domains_stops_and_starts_the_guests),
    ("a_kernel_that_a_file_names_is_unpacked", a_kernel_that_a_file_names_is_unpacked),
];

const MINUTE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let [ours, stock] = Boot::default().on_each();
    run_boots("guest", &[(&ours, CASES), (&stock, CASES)])
}

fn domid(dom0: &mut Dom0, name: &str) -> Result<u32> {
    let id = dom0.ok(&format!("xm domid {name}"))?;
    id.trim_end().parse().with_context(|| format!("domid {id:?}"))
}

fn the_guest_in_auto_was_started(dom0: &mut Dom0) -> Outcome {
    dom0.wait_until_online("domains")?;
    let id = domid(dom0, "rosaline")?;
    ensure!(id > 0, "{id}");
    dom0.wait_for_ping("10.0.0.2")
}

fn its_console_has_a_login(dom0: &mut Dom0) -> Outcome {
    dom0.log_in("rosaline", 1)?;
    let kernel = dom0.in_guest("rosaline", "uname -r; cat /sys/hypervisor/type")?;
    ensure!(kernel.ends_with("\nxen"), "{kernel}");
    Ok(())
}

fn dom0_reaches_the_guest(dom0: &mut Dom0) -> Outcome {
    dom0.wait_for_page("10.0.0.2")?;
    // Enough to go through many ring slots.
    let sent = "seq 1 100000 | md5sum";
    let back = "seq 1 100000 | nc -w 5 10.0.0.2 7 | md5sum";
    let (sent, back) = (dom0.ok(sent)?, dom0.ok(back)?);
    ensure!(sent == back, "the echo differs");
    Ok(())
}

fn the_guest_reaches_dom0(dom0: &mut Dom0) -> Outcome {
    let pings = dom0.in_guest("rosaline", "ping -c 3 -W 2 10.0.0.1")?;
    ensure!(pings.contains(" 0% packet loss"), "{pings}");
    dom0.ok("mkdir -p /tmp/www && seq 1 50000 >/tmp/www/numbers && httpd -p 9000 -h /tmp/www")?;
    let fetch = "wget -q -O - http://10.0.0.1:9000/numbers | md5sum";
    let (sent, got) = (dom0.ok("seq 1 50000 | md5sum")?, dom0.in_guest("rosaline", fetch)?);
    ensure!(got.contains(sent.trim_end()), "the guest got {got}");
    Ok(())
}

fn what_it_writes_is_there_after_a_reboot(dom0: &mut Dom0) -> Outcome {
    let before = domid(dom0, "rosaline")?;
    let written = dom0.in_guest("rosaline", "seq 1 100000 >/root/kept && md5sum </root/kept")?;
    dom0.ok("xm reboot rosaline")?;
    let id = "xm domid rosaline";
    let other = |o: &tests::Output| o.stdout.trim_end().parse().is_ok_and(|id: u32| id != before);
    dom0.wait_for(id, 2 * MINUTE, other)?;
    dom0.log_in("rosaline", 2)?;
    let found = dom0.in_guest("rosaline", "md5sum </root/kept")?;
    ensure!(found == written, "{found} instead of {written}");
    Ok(())
}

fn a_paused_guest_stands_still(dom0: &mut Dom0) -> Outcome {
    dom0.ok("xm pause rosaline")?;
    let listed = dom0.ok("xm list rosaline")?;
    // It may have been waiting for an event when it was paused.
    ensure!(listed.contains("--p---") || listed.contains("-bp---"), "{listed}");
    ensure!(dom0.run("ping -c 2 -W 1 10.0.0.2")?.status != 0, "a paused guest answers");
    dom0.ok("xm unpause rosaline")?;
    dom0.wait_for_ping("10.0.0.2")
}

fn questions_about_a_guest_are_answered(dom0: &mut Dom0) -> Outcome {
    let id = domid(dom0, "rosaline")?;
    let name = dom0.ok(&format!("xm domname {id}"))?;
    ensure!(name == "rosaline\n", "{name:?}");
    let vcpus = dom0.ok("xm vcpu-list rosaline")?;
    ensure!(vcpus.lines().count() == 2 && vcpus.contains("rosaline"), "{vcpus}");
    let uptime = dom0.ok("xm uptime rosaline")?;
    ensure!(uptime.contains("rosaline"), "{uptime}");
    let info = dom0.ok("xm info")?;
    for field in ["xen_major", "total_memory", "free_memory", "xen_caps", "nr_cpus"] {
        ensure!(info.lines().any(|line| line.starts_with(field)), "no {field} in:\n{info}");
    }
    let log = dom0.ok("xm dmesg")?;
    ensure!(log.contains("Command line: "), "{log}");
    ensure!(!dom0.ok("xm log")?.is_empty(), "xm log shows nothing");
    let long = dom0.ok("xm list --long rosaline")?;
    ensure!(long.contains("(name rosaline)"), "{long}");
    Ok(())
}

fn two_guests_reach_each_other(dom0: &mut Dom0) -> Outcome {
    dom0.ok("xm create escalus vcpus=2")?;
    dom0.wait_for_page("10.0.0.3")?;
    let page = dom0.in_guest("rosaline", "wget -q -O - http://10.0.0.3/")?;
    ensure!(page == "Good morrow from a guest.", "{page:?}");
    Ok(())
}

fn vcpus_go_and_come_back(dom0: &mut Dom0) -> Outcome {
    dom0.log_in("escalus", 1)?;
    let has = |dom0: &mut Dom0, count: &str| {
        let wait =
            format!("for i in $(seq 100); do [ $(nproc) = {count} ] && break; sleep 0.1; done");
        let said = dom0.in_guest("escalus", &format!("{wait}; nproc"))?;
        // The kernel may say something there, too.
        ensure!(said.lines().any(|line| line == count), "{said}");
        Ok(())
    };
    has(dom0, "2")?;
    for _ in 0..3 {
        dom0.ok("xm vcpu-set escalus 1")?;
        has(dom0, "1")?;
        dom0.ok("xm vcpu-set escalus 2")?;
        // The kernel makes it known again; that it is used is for the guest's administrator to say,
        // or for udev, which this guest hasn't got.
        let online = "/sys/devices/system/cpu/cpu1/online";
        let found = format!(
            "for i in $(seq 100); do [ -e {online} ] && break; sleep 0.1; done; echo 1 >{online}"
        );
        dom0.in_guest("escalus", &found)?;
        has(dom0, "2")?;
    }
    let sum = dom0.in_guest("escalus", "seq 1 100000 | taskset -c 1 md5sum")?;
    ensure!(sum.contains(dom0.ok("seq 1 100000 | md5sum")?.trim_end()), "{sum}");
    Ok(())
}

/// Kills a service's daemon and waits until another one is online.
fn kill(dom0: &mut Dom0, daemon: &str, service: &str) -> Outcome {
    let pid = dom0.ok(&format!("pidof {daemon}"))?;
    dom0.ok(&format!("kill -9 {pid}"))?;
    let another = |o: &tests::Output| o.status == 0 && o.stdout != pid;
    dom0.wait_for(&format!("pidof {daemon}"), MINUTE, another)?;
    dom0.wait_until_online(service)
}

fn a_killed_xend_knows_every_guest_again(dom0: &mut Dom0) -> Outcome {
    let guests = "xm list | awk 'NR > 1 { print $1, $2, $3, $4 }'";
    let before = dom0.ok(guests)?;
    ensure!(before.lines().count() == 3, "{before}");
    let up = dom0.in_guest("rosaline", "cut -d ' ' -f 1 /proc/uptime")?;
    kill(dom0, "xend", "xend")?;
    let after = dom0.ok(guests)?;
    ensure!(after == before, "{after} instead of {before}");
    let still_up = dom0.in_guest("rosaline", "cut -d ' ' -f 1 /proc/uptime")?;
    ensure!(still_up.parse::<f64>()? > up.parse::<f64>()?, "{still_up} after {up}");
    Ok(())
}

fn a_killed_store_is_not_noticed(dom0: &mut Dom0) -> Outcome {
    let id = domid(dom0, "rosaline")?;
    let tree = format!("xenstore-ls -f -p /local/domain/{id} | sort");
    let before = dom0.ok(&tree)?;
    let pids = dom0.ok("pidof xend xenconsoled xenbackendd")?;
    kill(dom0, "xenstored", "store")?;
    ensure!(dom0.ok(&tree)? == before, "the guest's tree is another one");
    dom0.wait_until_online("xend")?;
    dom0.wait_until_online("xenbackendd")?;
    dom0.wait_for_ping("10.0.0.2")?;
    // A whole life goes through every ring and watch.
    dom0.ok("xm shutdown -w escalus")?;
    dom0.ok("xm create escalus")?;
    dom0.wait_for_ping("10.0.0.3")?;
    ensure!(dom0.ok("pidof xend xenconsoled xenbackendd")? == pids, "its clients were restarted");
    Ok(())
}

fn a_killed_console_daemon_comes_back(dom0: &mut Dom0) -> Outcome {
    kill(dom0, "xenconsoled", "console")?;
    let answer = dom0.in_guest("rosaline", "echo still here")?;
    ensure!(answer == "still here", "{answer:?}");
    Ok(())
}

fn a_shut_down_guest_leaves_nothing(dom0: &mut Dom0) -> Outcome {
    dom0.ok("xm shutdown -w escalus")?;
    let before = dom0.occupied()?;
    ensure!(!before.contains("escalus"), "{before}");
    dom0.ok("xm create escalus")?;
    dom0.wait_for_ping("10.0.0.3")?;
    dom0.ok("xm shutdown -w escalus")?;
    same(&before, &dom0.occupied()?)
}

fn a_destroyed_guest_leaves_nothing(dom0: &mut Dom0) -> Outcome {
    let before = dom0.occupied()?;
    dom0.ok("xm create escalus")?;
    dom0.ok("xm destroy escalus")?;
    same(&before, &dom0.occupied()?)
}

fn same(before: &str, after: &str) -> Outcome {
    ensure!(before == after, "left behind:\n{after}\nbefore it was:\n{before}");
    Ok(())
}

fn domains_stops_and_starts_the_guests(dom0: &mut Dom0) -> Outcome {
    dom0.ok("svcadm disable -s domains")?;
    let listed = dom0.ok("xm list")?;
    ensure!(listed.lines().count() == 2, "{listed}");
    dom0.ok("svcadm enable -s domains")?;
    dom0.wait_for_ping("10.0.0.2")
}

/// By the xend that sees the file come, and by one that finds it. No guest is made of it.
fn a_kernel_that_a_file_names_is_unpacked(dom0: &mut Dom0) -> Outcome {
    let digest = dom0.ok("sha256sum </boot/vmlinuz-newer | cut -d ' ' -f 1")?;
    let unpacked = format!("/var/lib/xend/kernels/{}", digest.trim_end());
    dom0.fails(&format!("test -e {unpacked}"), 1)?;
    dom0.ok("sed 's/escalus/mercutio/g; s/vmlinuz-guest/vmlinuz-newer/' /etc/xen/escalus \
             >/etc/xen/mercutio")?;
    for _ in 0..2 {
        dom0.wait_for(&format!("head -c 4 {unpacked}"), 2 * MINUTE, |o| o.stdout == "\x7fELF")?;
        dom0.ok(&format!("rm {unpacked} && svcadm restart xend"))?;
        dom0.wait_until_online("xend")?;
    }
    dom0.ok("rm /etc/xen/mercutio").map(drop)
}
