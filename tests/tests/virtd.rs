//! libvirt's stock clients against virtd, with real guests.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use tests::{Boot, Case, Dom0, Outcome, run_group};

const CASES: &[Case] = &[
    ("the_service_comes_up_when_it_is_enabled", the_service_comes_up_when_it_is_enabled),
    ("virsh_sees_the_guests_that_xm_sees", virsh_sees_the_guests_that_xm_sees),
    ("the_host_is_described", the_host_is_described),
    ("definitions_are_the_files_of_xm", definitions_are_the_files_of_xm),
    ("a_guest_is_described_as_it_runs", a_guest_is_described_as_it_runs),
    ("a_guest_is_changed_while_it_runs", a_guest_is_changed_while_it_runs),
    ("devices_come_and_go", devices_come_and_go),
    ("a_guest_is_started_and_stopped", a_guest_is_started_and_stopped),
    ("a_management_tool_does_its_work", a_management_tool_does_its_work),
    ("virt_install_makes_a_guest", virt_install_makes_a_guest),
    ("who_may_only_read_changes_nothing", who_may_only_read_changes_nothing),
    ("strange_bytes_are_answered_or_hung_up_on", strange_bytes_are_answered_or_hung_up_on),
    ("death_costs_nothing_but_connections", death_costs_nothing_but_connections),
    ("settings_are_read_again", settings_are_read_again),
];

fn main() -> ExitCode {
    run_group("virtd", &Boot::default(), CASES)
}

/// `virsh` with these words.
fn virsh(words: &str) -> String {
    format!("virsh -c xen:///system {words}")
}

/// What virsh prints with these words, without the blank lines at its end.
fn said(dom0: &mut Dom0, words: &str) -> Result<String> {
    Ok(dom0.ok(&virsh(words))?.trim_end().to_owned())
}

/// Checks that virsh prints all of `parts` with these words.
fn says(dom0: &mut Dom0, words: &str, parts: &[&str]) -> Outcome {
    let text = said(dom0, words)?;
    // Columns are as wide as what is in them.
    let words_of = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in parts {
        ensure!(words_of(&text).contains(&words_of(part)), "virsh {words}: no {part} in\n{text}");
    }
    Ok(())
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
    let names = said(dom0, "list --name")?;
    ensure!(names == "Domain-0\nrosaline", "{names}");
    let domid = dom0.ok("xm domid rosaline")?;
    ensure!(said(dom0, "domid rosaline")? == domid.trim_end());
    ensure!(said(dom0, "domname $(xm domid rosaline)")? == "rosaline");
    ensure!(said(dom0, "domstate rosaline")? == "running");
    // Who opens no connection by name comes here as well.
    ensure!(dom0.ok("virsh uri")?.trim_end() == "xen:///system");
    let uuid = said(dom0, "domuuid escalus")?;
    ensure!(said(dom0, &format!("domname {uuid}"))? == "escalus");
    says(dom0, "list --all", &["- escalus shut off", "rosaline running"])?;
    ensure!(said(dom0, "list --inactive --name")? == "escalus");
    ensure!(said(dom0, "list --all --autostart --name")? == "rosaline");
    ensure!(said(dom0, "list --all --transient --name")?.is_empty());
    ensure!(said(dom0, "list --state-running --name")? == "Domain-0\nrosaline");
    Ok(())
}

fn the_host_is_described(dom0: &mut Dom0) -> Outcome {
    says(dom0, "version", &["Running hypervisor: Xen 4.17."])?;
    let hostname = dom0.ok("hostname")?;
    ensure!(said(dom0, "hostname")? == hostname.trim_end());
    says(dom0, "nodeinfo", &["CPU model: x86_64", "CPU(s): 1", "Memory size:"])?;
    says(dom0, "capabilities", &["<os_type>xen</os_type>", "<arch name='x86_64'>"])?;
    says(dom0, "domcapabilities", &["<machine>xenpv</machine>", "<value>cdrom</value>"])?;
    says(dom0, "freecell --all", &["KiB"])?;
    says(dom0, "net-list --all", &["xenbr0 active yes yes"])?;
    says(dom0, "net-dumpxml xenbr0", &["<bridge name='xenbr0'/>"])?;
    says(dom0, "pool-list --all", &["default active yes"])?;
    says(dom0, "vol-list default", &["rosaline.img /var/lib/xen/images/rosaline.img"])?;
    says(dom0, "vol-info rosaline.img --pool default", &["Type: file", "Capacity:"])
}

fn definitions_are_the_files_of_xm(dom0: &mut Dom0) -> Outcome {
    dom0.ok(&virsh("dumpxml escalus | sed 's/escalus/paris/g; s/^.*<uuid>.*$//' >/tmp/paris.xml"))?;
    says(dom0, "define /tmp/paris.xml", &["Domain 'paris' defined from /tmp/paris.xml"])?;
    let file = dom0.ok("cat /etc/xen/paris")?;
    ensure!(file.contains("disk = ['file:/var/lib/xen/images/paris.img,xvda,w']"), "{file}");
    let listed = dom0.ok("xm list --state=halted")?;
    ensure!(listed.contains("paris"), "{listed}");
    ensure!(!dom0.ok("xm list")?.contains("paris"));
    says(dom0, "autostart paris", &["marked as autostarted"])?;
    dom0.ok("test /etc/xen/auto/paris -ef /etc/xen/paris")?;
    says(dom0, "dominfo paris", &["Autostart: enable", "Persistent: yes", "State: shut off"])?;
    dom0.ok(&virsh("setmaxmem paris 262144 --config"))?;
    dom0.ok(&virsh("setmem paris 65536 --config"))?;
    dom0.ok(&virsh("setvcpus paris 2 --maximum --config"))?;
    let file = dom0.ok("cat /etc/xen/paris")?;
    ensure!(file.contains("memory = 64\nmaxmem = 256\nvcpus = 1\nmaxvcpus = 2\n"), "{file}");
    // What an editor changes, clients see.
    dom0.ok("sed -i 's/^memory = 64/memory = 96/' /etc/xen/paris; sleep 2")?;
    says(dom0, "dominfo paris", &["Used memory: 98304 KiB"])?;
    let native = said(dom0, "domxml-to-native xen-xl --domain paris")?;
    ensure!(native.contains("memory = 96") && native.contains("kernel = "), "{native}");
    says(dom0, "domxml-from-native xen-xm /etc/xen/escalus", &["<name>escalus</name>"])?;
    says(dom0, "autostart --disable paris", &["unmarked as autostarted"])?;
    dom0.fails("test -e /etc/xen/auto/paris", 1)?;
    dom0.ok(&virsh("autostart paris"))?;
    says(dom0, "undefine paris", &["Domain 'paris' has been undefined"])?;
    dom0.fails("test -e /etc/xen/paris || test -h /etc/xen/auto/paris", 1)?;
    // What xm defines, clients see, and the other way round.
    dom0.ok("sed 's/escalus/abram/g' /etc/xen/escalus >/tmp/abram; xm new /tmp/abram")?;
    says(dom0, "list --all", &["- abram shut off"])?;
    dom0.ok("xm delete abram")?;
    dom0.fails(&virsh("dominfo abram"), 1)?;
    dom0.ok(&virsh("dumpxml escalus | sed \"s/ machine='xenpv'>linux/>hvm/\" >/tmp/hvm.xml"))?;
    let refused = dom0.fails(&virsh("define /tmp/hvm.xml"), 1)?;
    ensure!(refused.contains("unsupported configuration: os type 'hvm'"), "{refused}");
    Ok(())
}

fn a_guest_is_described_as_it_runs(dom0: &mut Dom0) -> Outcome {
    says(
        dom0,
        "dominfo rosaline",
        &["OS Type: linux", "State: running", "Max memory: 131072 KiB"],
    )?;
    says(
        dom0,
        "dumpxml rosaline",
        &["<console type='pty' tty='/dev/pts/", "<target dev='rosaline'/>"],
    )?;
    says(dom0, "vcpuinfo rosaline", &["VCPU: 0", "CPU Affinity: y"])?;
    says(dom0, "vcpucount rosaline", &["maximum live 1", "current config 1"])?;
    says(dom0, "domblklist rosaline", &["xvda /var/lib/xen/images/rosaline.img"])?;
    says(dom0, "domblkstat rosaline xvda", &["xvda rd_req", "xvda wr_bytes"])?;
    says(dom0, "domblkinfo rosaline xvda", &["Capacity:"])?;
    says(dom0, "domiflist rosaline", &["rosaline bridge xenbr0", "00:16:3e:59:a7:88"])?;
    says(dom0, "domifstat rosaline rosaline", &["rosaline rx_bytes", "rosaline tx_packets"])?;
    says(
        dom0,
        "domstats rosaline",
        &["state.state=1", "net.0.name=rosaline", "block.0.name=xvda"],
    )?;
    says(dom0, "dommemstat rosaline", &["actual 131072"])?;
    says(dom0, "schedinfo rosaline", &["weight : 256", "cap : 0"])
}

fn a_guest_is_changed_while_it_runs(dom0: &mut Dom0) -> Outcome {
    says(dom0, "schedinfo rosaline --set weight=512", &["weight : 512"])?;
    dom0.ok(&virsh("setmem rosaline 110M --live"))?;
    let domid = said(dom0, "domid rosaline")?;
    let target = dom0.ok(&format!("xenstore-read /local/domain/{domid}/memory/target"))?;
    ensure!(target.trim_end() == "112640", "{target}");
    let less = format!(
        "{} | grep -q 'Used memory: *11[23][0-9][0-9][0-9] KiB'",
        virsh("dominfo rosaline")
    );
    dom0.wait_for(&less, Duration::from_secs(30), |output| output.status == 0)?;
    dom0.ok(&virsh("setmem rosaline 128M --live"))?;
    dom0.ok(&virsh("vcpupin rosaline 0 0"))?;
    says(dom0, "vcpupin rosaline", &["0 0"])?;
    let refused = dom0.fails(&virsh("setvcpus rosaline 4"), 1)?;
    ensure!(refused.contains("maxvcpus = 1"), "{refused}");
    says(dom0, "suspend rosaline", &["suspended"])?;
    ensure!(said(dom0, "domstate rosaline")? == "paused");
    says(dom0, "resume rosaline", &["resumed"])
}

fn devices_come_and_go(dom0: &mut Dom0) -> Outcome {
    dom0.ok("dd if=/dev/zero of=/var/lib/xen/images/extra.img bs=1M count=4 2>/dev/null")?;
    dom0.ok(&virsh(
        "attach-disk rosaline /var/lib/xen/images/extra.img xvdb --sourcetype file --live",
    ))?;
    says(dom0, "domblklist rosaline", &["xvdb /var/lib/xen/images/extra.img"])?;
    dom0.ok(&virsh("detach-disk rosaline xvdb --live"))?;
    ensure!(!said(dom0, "domblklist rosaline")?.contains("xvdb"));
    dom0.ok(&virsh("attach-interface rosaline bridge xenbr0 --mac 00:16:3e:00:00:77 --live"))?;
    says(dom0, "domiflist rosaline", &["00:16:3e:00:00:77"])?;
    dom0.ok(&virsh("detach-interface rosaline bridge --mac 00:16:3e:00:00:77 --live"))?;
    ensure!(!said(dom0, "domiflist rosaline")?.contains("00:16:3e:00:00:77"));
    dom0.ok(&virsh(
        "attach-disk escalus /var/lib/xen/images/extra.img xvdb --sourcetype file --config",
    ))?;
    let file = dom0.ok("cat /etc/xen/escalus")?;
    ensure!(file.contains("'file:/var/lib/xen/images/extra.img,xvdb,w'"), "{file}");
    dom0.ok(&virsh("detach-disk escalus xvdb --config")).map(drop)
}

fn a_guest_is_started_and_stopped(dom0: &mut Dom0) -> Outcome {
    dom0.ok("(timeout 600 virsh -c xen:///system event --all --loop >/tmp/events 2>&1 &)")?;
    dom0.ok("sleep 3")?;
    says(dom0, "start escalus", &["Domain 'escalus' started"])?;
    let again = dom0.fails(&virsh("start escalus"), 1)?;
    ensure!(again.contains("already"), "{again}");
    let first = said(dom0, "domid escalus")?;
    says(dom0, "reset escalus", &["reset"])?;
    ensure!(said(dom0, "domid escalus")? != first);
    let up = "ping -c 1 -W 1 10.0.0.3";
    dom0.wait_for(up, Duration::from_secs(90), |output| output.status == 0)?;
    says(dom0, "shutdown escalus", &["being shutdown"])?;
    let state = virsh("domstate escalus");
    let off = |output: &tests::Output| output.stdout.trim_end() == "shut off";
    dom0.wait_for(&state, Duration::from_secs(60), off)?;
    // One without a definition is gone when it ends.
    dom0.ok(&virsh(
        "dumpxml escalus | sed 's/<name>escalus/<name>benvolio/; s/^.*<uuid>.*$//' >/tmp/b.xml",
    ))?;
    says(dom0, "create /tmp/b.xml --paused", &["Domain 'benvolio' created"])?;
    ensure!(said(dom0, "domstate benvolio")? == "paused");
    ensure!(said(dom0, "list --transient --name")? == "benvolio");
    says(dom0, "destroy benvolio", &["destroyed"])?;
    dom0.fails(&virsh("dominfo benvolio"), 1)?;
    let events = dom0.ok("sleep 2; cat /tmp/events")?;
    for wanted in [
        "event 'lifecycle' for domain 'escalus': Started Booted",
        "event 'lifecycle' for domain 'escalus': Stopped Destroyed",
        "event 'lifecycle' for domain 'escalus': Stopped Shutdown",
        "event 'lifecycle' for domain 'benvolio': Started Booted",
    ] {
        ensure!(events.contains(wanted), "no {wanted} in\n{events}");
    }
    Ok(())
}

fn a_management_tool_does_its_work(dom0: &mut Dom0) -> Outcome {
    dom0.ok(
        "cp --sparse=always /var/lib/xen/images/escalus.img /var/lib/xen/images/tybalt.img || \
             cp /var/lib/xen/images/escalus.img /var/lib/xen/images/tybalt.img",
    )?;
    script(dom0, include_str!("virtd_scripts/management.py"))
}

fn virt_install_makes_a_guest(dom0: &mut Dom0) -> Outcome {
    let images = "/var/lib/xen/images";
    dom0.ok(&format!("cp {images}/escalus.img {images}/mercutio.img"))?;
    let address = "10.0.0.4::10.0.0.1:255.255.255.0:mercutio:eth0";
    let command = format!(
        "virt-install --connect xen:///system --name mercutio --memory 128 --import --paravirt \
         --disk path={images}/mercutio.img,bus=xen --network bridge=xenbr0 --graphics none \
         --boot 'kernel=/boot/vmlinuz-guest,initrd=/boot/initrd-guest,kernel_args=root=/dev/xvda \
         console=hvc0 ip={address}' --noautoconsole --osinfo detect=off,require=off"
    );
    let output = dom0.run_within(&command, Duration::from_secs(200))?;
    ensure!(output.status == 0, "{output}");
    let up = "ping -c 1 -W 1 10.0.0.4";
    dom0.wait_for(up, Duration::from_secs(90), |output| output.status == 0)?;
    says(dom0, "list --all --persistent", &["mercutio running"])?;
    dom0.ok("test -f /etc/xen/mercutio")?;
    dom0.ok(&virsh("destroy mercutio"))?;
    dom0.ok(&virsh("undefine mercutio")).map(drop)
}

/// Runs a script by dom0's Python.
fn script(dom0: &mut Dom0, text: &str) -> Outcome {
    let command = format!("cat >/tmp/script.py <<'END'\n{text}END\npython3 /tmp/script.py");
    let output = dom0.run_within(&command, Duration::from_secs(200))?;
    ensure!(output.status == 0 && output.stdout == "all is well\n", "{output}");
    Ok(())
}

fn who_may_only_read_changes_nothing(dom0: &mut Dom0) -> Outcome {
    let refused = dom0.fails("virsh -r -c xen:///system destroy rosaline", 1)?;
    ensure!(refused.contains("read only access prevents virDomainDestroy"), "{refused}");
    ensure!(dom0.ok("virsh -r -c xen:///system domstate rosaline")?.trim_end() == "running");
    Ok(())
}

fn strange_bytes_are_answered_or_hung_up_on(dom0: &mut Dom0) -> Outcome {
    script(dom0, include_str!("virtd_scripts/bytes.py"))
}

fn death_costs_nothing_but_connections(dom0: &mut Dom0) -> Outcome {
    let before = (said(dom0, "list --all --name")?, said(dom0, "domid rosaline")?);
    dom0.ok("kill -9 $(pidof virtd)")?;
    dom0.wait_for(&virsh("list"), Duration::from_secs(60), |output| output.status == 0)?;
    ensure!((said(dom0, "list --all --name")?, said(dom0, "domid rosaline")?) == before);
    // xend's death is survived by connections, even.
    dom0.ok("kill -9 $(pidof xend)")?;
    dom0.wait_for(&virsh("list"), Duration::from_secs(60), |output| output.status == 0)?;
    ensure!((said(dom0, "list --all --name")?, said(dom0, "domid rosaline")?) == before);
    Ok(())
}

fn settings_are_read_again(dom0: &mut Dom0) -> Outcome {
    let tcp = "virsh -c xen+tcp://127.0.0.1:16510/system";
    dom0.fails(&format!("{tcp} list"), 1)?;
    dom0.ok("svccfg -s virtd setprop config/listen-tcp = true")?;
    dom0.ok("svccfg -s virtd setprop config/tcp-port = 16510")?;
    dom0.ok("svcadm refresh virtd")?;
    dom0.wait_for(&format!("{tcp} list"), Duration::from_secs(20), |output| output.status == 0)?;
    dom0.ok(&format!("{tcp} dominfo rosaline")).map(drop)
}
