//! The supervisor in charge of a whole dom0: order, states, deaths, and what the commands say.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::{Boot, Case, Dom0, Outcome, Output, run_group};

const CASES: &[Case] = &[
    ("everything_is_online", everything_is_online),
    ("pid_1_is_ours_and_reaps", pid_1_is_ours_and_reaps),
    ("services_started_in_order", services_started_in_order),
    ("svcs_has_its_columns", svcs_has_its_columns),
    ("svcs_l_tells_all_of_one", svcs_l_tells_all_of_one),
    ("svcs_p_shows_processes", svcs_p_shows_processes),
    ("svcs_d_and_svcs_capital_d_follow_dependencies", svcs_follows_dependencies),
    ("names_are_abbreviated_as_in_smf", names_are_abbreviated_as_in_smf),
    ("a_restart_takes_dependents_along", a_restart_takes_dependents_along),
    ("a_killed_daemon_is_restarted", a_killed_daemon_is_restarted),
    ("svcs_x_finds_the_root_cause", svcs_x_finds_the_root_cause),
    ("temporarily_means_until_the_next_boot", temporarily_means_until_the_next_boot),
    ("enable_r_enables_what_is_needed", enable_r_enables_what_is_needed),
    ("one_that_keeps_dying_goes_to_maintenance", one_that_keeps_dying_goes_to_maintenance),
    ("a_failing_start_method_is_explained", a_failing_start_method_is_explained),
    ("a_killed_startd_adopts_what_runs", a_killed_startd_adopts_what_runs),
    ("a_killed_configd_loses_nothing", a_killed_configd_loses_nothing),
    ("rcorder_gives_the_order", rcorder_gives_the_order),
    ("both_front_ends_show_one_state", both_front_ends_show_one_state),
];

const XVM: &[&str] = &["store", "xend", "console", "xenbackendd", "domains"];
const MINUTE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    run_group("services", &Boot::as_chosen(), CASES)
}

fn everything_is_online(dom0: &mut Dom0) -> Outcome {
    for service in XVM {
        dom0.wait_until_online(&format!("svc:/system/xvm/{service}:default"))?;
    }
    // The last of all.
    dom0.wait_until_online("svc:/system/rc-scripts:default")?;
    let wrong = dom0.ok("svcs -x")?;
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(())
}

fn pid_1_is_ours_and_reaps(dom0: &mut Dom0) -> Outcome {
    ensure!(dom0.ok("readlink -f /proc/1/exe")? == "/usr/sbin/init\n");
    dom0.ok("(sleep 0.1 & sleep 0.1 & exit) & sleep 1")?;
    let zombies = dom0.ok("grep -l '^State:.Z' /proc/[0-9]*/status || true")?;
    ensure!(zombies.is_empty(), "{zombies}");
    Ok(())
}

/// The moment an instance reached its state, in seconds.
fn since(dom0: &mut Dom0, service: &str) -> Result<f64> {
    let time = dom0.ok(&format!("svcprop -p restarter/state_timestamp {service}"))?;
    time.trim_end().parse().with_context(|| format!("{service}: {time:?}"))
}

fn services_started_in_order(dom0: &mut Dom0) -> Outcome {
    for (first, second) in [
        ("filesystem/local", "store"),
        ("store", "xend"),
        ("store", "console"),
        ("xenbackendd", "xend"),
        ("network/bridge", "domains"),
        ("xend", "domains"),
        ("domains", "milestone/xvm"),
    ] {
        let (one, two) = (since(dom0, first)?, since(dom0, second)?);
        ensure!(one <= two, "{first} at {one}, {second} at {two}");
    }
    Ok(())
}

fn svcs_has_its_columns(dom0: &mut Dom0) -> Outcome {
    let listed = dom0.ok("svcs -a")?;
    let mut lines = listed.lines();
    ensure!(lines.next() == Some("STATE          STIME    FMRI"), "{listed}");
    for line in lines {
        ensure!(line.get(24..).is_some_and(|fmri| fmri.starts_with("svc:/")), "{line:?}");
    }
    let verbose = dom0.ok("svcs -v xend")?;
    ensure!(
        verbose.starts_with("STATE          NSTATE        STIME    CTID   FMRI\n"),
        "{verbose}"
    );
    let chosen = dom0.ok("svcs -H -o fmri,state store")?;
    let words: Vec<&str> = chosen.split_whitespace().collect();
    ensure!(words == ["svc:/system/xvm/store:default", "online"], "{chosen}");
    Ok(())
}

fn svcs_l_tells_all_of_one(dom0: &mut Dom0) -> Outcome {
    let told = dom0.ok("svcs -l xend")?;
    for line in [
        "fmri         svc:/system/xvm/xend:default",
        "enabled      true",
        "state        online",
        "next_state   none",
        "logfile      /var/svc/log/system-xvm-xend:default.log",
        "restarter    svc:/system/svc/restarter:default",
    ] {
        ensure!(told.lines().any(|l| l == line), "no `{line}` in:\n{told}");
    }
    let store = "svc:/system/xvm/store";
    let depends = |l: &str| l.starts_with("dependency   require_all/") && l.contains(store);
    ensure!(told.lines().any(depends), "{told}");
    Ok(())
}

fn svcs_p_shows_processes(dom0: &mut Dom0) -> Outcome {
    let pid = dom0.ok("pidof xenstored")?;
    let shown = dom0.ok("svcs -p store")?;
    let process = shown.lines().nth(2).unwrap_or_default();
    let words: Vec<&str> = process.split_whitespace().collect();
    ensure!(words.get(1) == Some(&pid.trim_end()), "{shown}");
    ensure!(words.get(2) == Some(&"xenstored"), "{shown}");
    Ok(())
}

fn svcs_follows_dependencies(dom0: &mut Dom0) -> Outcome {
    let needs = dom0.ok("svcs -H -o fmri -d xend")?;
    ensure!(needs.lines().any(|l| l.trim() == "svc:/system/xvm/store:default"), "{needs}");
    let needed_by = dom0.ok("svcs -H -o fmri -D store")?;
    for service in ["xend", "console", "xenbackendd"] {
        let fmri = format!("svc:/system/xvm/{service}:default");
        ensure!(needed_by.lines().any(|l| l.trim() == fmri), "{needed_by}");
    }
    Ok(())
}

fn names_are_abbreviated_as_in_smf(dom0: &mut Dom0) -> Outcome {
    for name in ["xend", "xvm/xend", "system/xvm/xend", "xend:default", "svc:/system/xvm/xend"] {
        let found = dom0.ok(&format!("svcs -H -o fmri {name}"))?;
        ensure!(found.trim() == "svc:/system/xvm/xend:default", "{name}: {found}");
    }
    let found = dom0.ok("svcs -H -o fmri '*xvm*'")?;
    // Those, the milestone, and virtd, which is there but off.
    ensure!(found.lines().count() == XVM.len() + 2, "{found}");
    // `xvm` alone would mean the milestone, whose last part it is.
    for name in ["end", "xv/xend", "system/xvm"] {
        dom0.fails(&format!("svcs -H {name}"), 1)?;
    }
    Ok(())
}

/// Waits until `daemon` runs with another process id than `old`.
fn another(dom0: &mut Dom0, daemon: &str, old: &str) -> Outcome {
    let changed = |output: &Output| output.status == 0 && output.stdout != old;
    dom0.wait_for(&format!("pidof {daemon}"), MINUTE, changed).map(drop)
}

/// The store's clients stay when it is restarted; what asks for it is taken along.
fn a_restart_takes_dependents_along(dom0: &mut Dom0) -> Outcome {
    let clients = dom0.ok("pidof xend xenconsoled xenbackendd")?;
    let store = dom0.ok("pidof xenstored")?;
    dom0.ok("svcadm restart store")?;
    another(dom0, "xenstored", &store)?;
    dom0.wait_until_online("store")?;
    ensure!(dom0.ok("pidof xend xenconsoled xenbackendd")? == clients, "clients were restarted");
    import(dom0, "nurse", "sleep 1000 &", "")?;
    import(dom0, "juliet", "sleep 1000 &", &dependency("nurse"))?;
    dom0.ok("svcadm enable -s nurse && svcadm enable -s juliet")?;
    let pid = "svcs -H -p juliet | awk 'NR == 2 { print $2 }'";
    let juliet = dom0.ok(pid)?;
    dom0.ok("svcadm restart nurse")?;
    let another = |output: &Output| !output.stdout.is_empty() && output.stdout != juliet;
    dom0.wait_for(pid, MINUTE, another)?;
    dom0.wait_until_online("juliet")?;
    dom0.ok("svcadm disable -s juliet && svcadm disable -s nurse")?;
    dom0.ok("svccfg delete -f site/juliet && svccfg delete -f site/nurse").map(drop)
}

fn a_killed_daemon_is_restarted(dom0: &mut Dom0) -> Outcome {
    for (daemon, service) in [
        ("xenbackendd", "xenbackendd"),
        ("xenconsoled", "console"),
        ("xend", "xend"),
        ("xenstored", "store"),
    ] {
        let pid = dom0.ok(&format!("pidof {daemon}"))?;
        dom0.ok(&format!("kill -9 {pid}"))?;
        another(dom0, daemon, &pid)?;
        dom0.wait_until_online(service)?;
    }
    Ok(())
}

fn svcs_x_finds_the_root_cause(dom0: &mut Dom0) -> Outcome {
    dom0.ok("svcadm disable -s store")?;
    dom0.ok("svcadm restart xend")?;
    let waiting = |output: &Output| output.stdout.trim_end() == "offline";
    dom0.wait_for("svcs -H -o state xend", MINUTE, waiting)?;
    let told = dom0.ok("svcs -x")?;
    ensure!(told.starts_with("svc:/system/xvm/store:default ("), "{told}");
    ensure!(told.contains("Impact: 1 dependent service is not running."), "{told}");
    ensure!(!told.contains("\nsvc:/system/xvm/xend"), "xend is no root cause:\n{told}");
    let told = dom0.ok("svcs -xv")?;
    ensure!(told.contains("        svc:/system/xvm/xend:default\n"), "{told}");
    dom0.ok("svcadm enable -s store")?;
    for service in XVM {
        dom0.wait_until_online(service)?;
    }
    Ok(())
}

fn temporarily_means_until_the_next_boot(dom0: &mut Dom0) -> Outcome {
    dom0.ok("svcadm disable -st console")?;
    let told = dom0.ok("svcs -l console")?;
    ensure!(told.contains("enabled      false (temporary)"), "{told}");
    ensure!(dom0.ok("svcprop -c -p general/enabled console:default")? == "true\n");
    dom0.ok("svcadm enable -s console")?;
    ensure!(!dom0.ok("svcs -l console")?.contains("(temporary)"));
    Ok(())
}

fn enable_r_enables_what_is_needed(dom0: &mut Dom0) -> Outcome {
    dom0.ok("svcadm disable -s domains")?;
    dom0.ok("svcadm disable -s xend")?;
    dom0.ok("svcadm disable -s store")?;
    dom0.ok("svcadm enable -r xend")?;
    dom0.wait_until_online("store")?;
    dom0.wait_until_online("xend")?;
    dom0.ok("svcadm enable -s domains").map(drop)
}

/// A service that the shell starts by `start`, with further tables of its manifest.
fn import(dom0: &mut Dom0, name: &str, start: &str, tables: &str) -> Outcome {
    let manifest = format!(
        "service = \"site/{name}\"\n\
         [method.start]\nexec = \"/bin/sh -c '{start}'\"\ntimeout_seconds = 10\n\
         [method.stop]\nexec = \":kill\"\ntimeout_seconds = 10\n\
         [instance.default]\nenabled = false\n{tables}"
    );
    dom0.ok(&format!(
        "cat >/tmp/{name}.toml <<'EOF'\n{manifest}EOF\nsvccfg import /tmp/{name}.toml"
    ))?;
    Ok(())
}

fn dependency(on: &str) -> String {
    format!(
        "[dependency.{on}]\ngrouping = \"require_all\"\nrestart_on = \"restart\"\n\
         entities = [\"svc:/site/{on}\"]\n"
    )
}

fn one_that_keeps_dying_goes_to_maintenance(dom0: &mut Dom0) -> Outcome {
    import(dom0, "mayfly", "sleep 0.2 &", "")?;
    dom0.ok("svcadm enable site/mayfly")?;
    let given_up = |output: &Output| output.stdout.trim_end() == "maintenance";
    dom0.wait_for("svcs -H -o state mayfly", 2 * MINUTE, given_up)?;
    let told = dom0.ok("svcs -xv mayfly")?;
    ensure!(told.contains(" State: maintenance since "), "{told}");
    ensure!(told.contains("Reason: Restarting too quickly."), "{told}");
    ensure!(told.contains("   See: /var/svc/log/site-mayfly:default.log"), "{told}");
    dom0.ok("svcadm disable -s mayfly")?;
    dom0.ok("svccfg delete -f site/mayfly").map(drop)
}

fn a_failing_start_method_is_explained(dom0: &mut Dom0) -> Outcome {
    import(dom0, "stillborn", "echo no heir; exit 96", "")?;
    let said = dom0.fails("svcadm enable -s stillborn", 3)?;
    ensure!(said.contains("is in maintenance state."), "{said}");
    let told = dom0.ok("svcs -xv stillborn")?;
    ensure!(told.contains("exited with $SMF_EXIT_ERR_CONFIG"), "{told}");
    ensure!(dom0.ok("cat $(svcs -L stillborn)")?.contains("no heir"), "nothing in the log");
    // Enabling does not clear maintenance; clearing does, and the method fails once more.
    dom0.ok("svcadm clear stillborn")?;
    dom0.ok("svcadm disable -s stillborn")?;
    dom0.ok("svccfg delete -f site/stillborn").map(drop)
}

fn a_killed_startd_adopts_what_runs(dom0: &mut Dom0) -> Outcome {
    let daemons = "pidof xenstored xend xenconsoled xenbackendd";
    let before = dom0.ok(daemons)?;
    let pid = dom0.ok("pidof svc.startd")?;
    dom0.ok(&format!("kill -9 {pid}"))?;
    another(dom0, "svc.startd", &pid)?;
    for service in XVM {
        dom0.wait_until_online(service)?;
    }
    ensure!(dom0.ok(daemons)? == before, "services were restarted");
    // It is in charge again: a death is still noticed.
    let xend = dom0.ok("pidof xend")?;
    dom0.ok(&format!("kill -9 {xend}"))?;
    another(dom0, "xend", &xend)
}

fn a_killed_configd_loses_nothing(dom0: &mut Dom0) -> Outcome {
    dom0.ok("svccfg -s xend setprop config/dom0-min-mem = 200")?;
    let pid = dom0.ok("pidof svc.configd")?;
    dom0.ok(&format!("kill -9 {pid}"))?;
    another(dom0, "svc.configd", &pid)?;
    ensure!(dom0.ok("svcprop -c -p config/dom0-min-mem xend:default")? == "200\n");
    dom0.wait_until_online("xend")?;
    dom0.ok("svcadm restart console").map(drop)
}

fn rcorder_gives_the_order(dom0: &mut Dom0) -> Outcome {
    let ordered = dom0.ok("rcorder /etc/rc.d/*")?;
    let at = |name: &str| ordered.lines().position(|line| line == format!("/etc/rc.d/{name}"));
    let xenbackendd = at("xenbackendd").with_context(|| ordered.clone())?;
    let xend = at("xend").with_context(|| ordered.clone())?;
    ensure!(xenbackendd < xend, "{ordered}");
    Ok(())
}

fn both_front_ends_show_one_state(dom0: &mut Dom0) -> Outcome {
    let pid = dom0.ok("pidof xend")?;
    let said = dom0.ok("/etc/rc.d/xend status")?;
    ensure!(said == format!("xend is running as pid {}.\n", pid.trim_end()), "{said:?}");
    let said = dom0.fails("/etc/rc.d/xend start", 1)?;
    ensure!(said.contains("xend already running? (pid="), "{said:?}");
    dom0.ok("svcadm disable -s domains")?;
    dom0.ok("svcadm disable -s xend")?;
    let output = dom0.run("/etc/rc.d/xend onestatus")?;
    ensure!(output.status == 1 && output.stdout == "xend is not running.\n", "{output}");
    let said = dom0.ok("/etc/rc.d/xend rcvar")?;
    ensure!(said == "# xend\n$xend=NO\n", "{said:?}");
    let said = dom0.fails("/etc/rc.d/xend start", 1)?;
    ensure!(said.contains("$xend is not enabled - see rc.conf(5)."), "{said:?}");
    dom0.ok("svcadm enable -s xend")?;
    ensure!(dom0.ok("/etc/rc.d/xend rcvar")? == "# xend\n$xend=YES\n");
    // What rc.conf says once is kept true by svcadm.
    dom0.ok("echo xend=YES >>/etc/rc.conf")?;
    dom0.ok("svcadm disable -s xend")?;
    ensure!(dom0.ok("grep '^xend=' /etc/rc.conf")? == "xend=NO\n");
    dom0.ok("svcadm enable -s xend")?;
    ensure!(dom0.ok("grep '^xend=' /etc/rc.conf")? == "xend=YES\n");
    let said = dom0.ok("/etc/rc.d/xend stop")?;
    ensure!(said.starts_with("Stopping xend.\n"), "{said:?}");
    dom0.ok("svcadm enable -s xend")?;
    dom0.ok("svcadm enable -s domains").map(drop)
}
