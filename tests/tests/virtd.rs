//! libvirt's stock clients against virtd, with real guests.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use tests::{Boot, Case, Dom0, Outcome, run_group};

const CASES: &[Case] = &[
    ("the_service_comes_up_when_it_is_enabled", the_service_comes_up_when_it_is_enabled),
    ("virsh_sees_the_guests_that_xm_sees", virsh_sees_the_guests_that_xm_sees),
    ("lists_are_filtered", lists_are_filtered),
    ("the_host_is_described", the_host_is_described),
    ("definitions_are_the_files_of_xm", definitions_are_the_files_of_xm),
    ("what_is_said_of_a_guest_is_kept", what_is_said_of_a_guest_is_kept),
    ("a_guest_is_described_as_it_runs", a_guest_is_described_as_it_runs),
    ("a_guest_is_changed_while_it_runs", a_guest_is_changed_while_it_runs),
    ("devices_come_and_go", devices_come_and_go),
    ("a_guest_is_started_and_stopped", a_guest_is_started_and_stopped),
    ("a_newer_virsh_manages_guests", a_newer_virsh_manages_guests),
    ("a_guest_is_rebooted_and_talked_to", a_guest_is_rebooted_and_talked_to),
    ("a_management_tool_does_its_work", a_management_tool_does_its_work),
    ("virt_install_makes_guests", virt_install_makes_guests),
    ("who_may_only_read_changes_nothing", who_may_only_read_changes_nothing),
    ("strange_bytes_are_answered_or_hung_up_on", strange_bytes_are_answered_or_hung_up_on),
    ("death_costs_nothing_but_connections", death_costs_nothing_but_connections),
    ("settings_are_read_again", settings_are_read_again),
];

fn main() -> ExitCode {
    run_group("virtd", &Boot::as_chosen(), CASES)
}

/// `virsh` with these words.
fn virsh(words: &str) -> String {
    format!("virsh -c xen:///system {words}")
}

/// What virsh prints with these words, without the blank lines at its end.
fn said(dom0: &mut Dom0, words: &str) -> Result<String> {
    Ok(dom0.ok(&virsh(words))?.trim_end().to_owned())
}

/// Columns are as wide as what is in them.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Checks that virsh prints all of `parts` with these words.
fn says(dom0: &mut Dom0, words: &str, parts: &[&str]) -> Outcome {
    tells(dom0, &[(words, parts)])
}

/// What one virsh prints at each of these commands, without superfluous blanks, and what it
/// complains of: it is run once, since that takes longer than most of them.
fn answers(dom0: &mut Dom0, commands: &[&str]) -> Result<(Vec<String>, String)> {
    const BETWEEN: &str = "=next=";
    let marked: Vec<String> =
        commands.iter().map(|command| format!("{command}; echo {BETWEEN}")).collect();
    let output = dom0.run(&virsh(&format!("'{}'", marked.join("; "))))?;
    let mut answers: Vec<String> = output.stdout.split(BETWEEN).map(squeezed).collect();
    answers.pop();
    ensure!(answers.len() == commands.len(), "{output}");
    Ok((answers, output.stderr))
}

/// Checks that virsh prints all parts at each of these commands.
fn tells(dom0: &mut Dom0, table: &[(&str, &[&str])]) -> Outcome {
    let commands: Vec<&str> = table.iter().map(|(command, _)| *command).collect();
    let (answers, complaints) = answers(dom0, &commands)?;
    for ((command, parts), answer) in table.iter().zip(answers) {
        for part in *parts {
            let found = answer.contains(&squeezed(part));
            ensure!(found, "virsh {command}: no {part} in\n{answer}\n{complaints}");
        }
    }
    Ok(())
}

/// Checks that virsh prints just that at each of these commands.
fn tells_just(dom0: &mut Dom0, table: &[(&str, &str)]) -> Outcome {
    let commands: Vec<&str> = table.iter().map(|(command, _)| *command).collect();
    let (answers, complaints) = answers(dom0, &commands)?;
    for ((command, wanted), answer) in table.iter().zip(answers) {
        ensure!(answer == *wanted, "virsh {command}: {answer}, not {wanted}\n{complaints}");
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
    let domid = dom0.ok("xm domid rosaline")?;
    let domid = domid.trim_end();
    let uuid = said(dom0, "domuuid escalus")?;
    tells_just(
        dom0,
        &[
            ("list --name", "Domain-0 rosaline"),
            ("list --inactive --name", "escalus"),
            ("domid rosaline", domid),
            (&format!("domname {domid}"), "rosaline"),
            (&format!("domname {uuid}"), "escalus"),
            ("domstate rosaline", "running"),
        ],
    )?;
    says(dom0, "list --all", &["- escalus shut off", "rosaline running"])?;
    // Who opens no connection by name comes here as well.
    ensure!(dom0.ok("virsh uri")?.trim_end() == "xen:///system");
    Ok(())
}

fn lists_are_filtered(dom0: &mut Dom0) -> Outcome {
    tells_just(
        dom0,
        &[
            ("list --name --all --persistent", "Domain-0 rosaline escalus"),
            ("list --name --all --transient", ""),
            ("list --name --all --autostart", "rosaline"),
            ("list --name --all --no-autostart", "Domain-0 escalus"),
            ("list --name --state-running", "Domain-0 rosaline"),
            ("list --name --state-paused", ""),
            ("list --name --state-shutoff", "escalus"),
            ("list --name --state-other", ""),
            ("list --name --all --with-managed-save", ""),
            ("list --name --all --without-managed-save", "Domain-0 rosaline escalus"),
            ("list --name --all --with-snapshot", ""),
            ("list --name --all --without-snapshot", "Domain-0 rosaline escalus"),
            ("list --name --all --with-checkpoint", ""),
            ("list --name --all --without-checkpoint", "Domain-0 rosaline escalus"),
        ],
    )
}

fn the_host_is_described(dom0: &mut Dom0) -> Outcome {
    let hostname = dom0.ok("hostname")?;
    tells(
        dom0,
        &[
            ("version", &["Running hypervisor: Xen 4.17."]),
            ("hostname", &[hostname.trim_end()]),
            ("nodeinfo", &["CPU model: x86_64", "CPU(s): 1", "Memory size:"]),
            ("capabilities", &["<os_type>xen</os_type>", "<arch name='x86_64'>"]),
            ("domcapabilities", &["<machine>xenpv</machine>", "<value>cdrom</value>"]),
            ("freecell --all", &["KiB"]),
            ("net-list --all", &["xenbr0 active yes yes"]),
            ("net-dumpxml xenbr0", &["<bridge name='xenbr0'/>"]),
            ("pool-list --all", &["default active yes"]),
            ("vol-list default", &["rosaline.img /var/lib/xen/images/rosaline.img"]),
            ("vol-info rosaline.img --pool default", &["Type: file", "Capacity:"]),
        ],
    )
}

fn definitions_are_the_files_of_xm(dom0: &mut Dom0) -> Outcome {
    dom0.ok(&virsh("dumpxml escalus | sed 's/escalus/paris/g; s/^.*<uuid>.*$//' >/tmp/paris.xml"))?;
    tells(
        dom0,
        &[
            ("define /tmp/paris.xml", &["Domain 'paris' defined from /tmp/paris.xml"]),
            ("autostart paris", &["marked as autostarted"]),
            ("dominfo paris", &["Autostart: enable", "Persistent: yes", "State: shut off"]),
            ("setmaxmem paris 262144 --config", &[]),
            ("setmem paris 65536 --config", &[]),
            ("setvcpus paris 2 --maximum --config", &[]),
        ],
    )?;
    let file = dom0.ok("cat /etc/xen/paris")?;
    ensure!(file.contains("disk = ['file:/var/lib/xen/images/paris.img,xvda,w']"), "{file}");
    ensure!(file.contains("memory = 64\nmaxmem = 256\nvcpus = 1\nmaxvcpus = 2\n"), "{file}");
    let listed = dom0.ok("xm list --state=halted")?;
    ensure!(listed.contains("paris"), "{listed}");
    ensure!(!dom0.ok("xm list")?.contains("paris"));
    dom0.ok("test /etc/xen/auto/paris -ef /etc/xen/paris")?;
    // What an editor changes, clients see.
    dom0.ok("sed -i 's/^memory = 64/memory = 96/' /etc/xen/paris; sleep 1.1")?;
    tells(
        dom0,
        &[
            ("dominfo paris", &["Used memory: 98304 KiB"]),
            ("domxml-to-native xen-xl --domain paris", &["memory = 96", "kernel = "]),
            ("domxml-to-native xen-xm --domain paris", &["memory = 96", "kernel = "]),
            ("domxml-from-native xen-xm /etc/xen/escalus", &["<name>escalus</name>"]),
            ("domxml-from-native xen-xl /etc/xen/escalus", &["<name>escalus</name>"]),
            ("autostart --disable paris", &["unmarked as autostarted"]),
        ],
    )?;
    dom0.fails("test -e /etc/xen/auto/paris", 1)?;
    let undefined: &[&str] = &["Domain 'paris' has been undefined"];
    tells(dom0, &[("autostart paris", &[]), ("undefine paris", undefined)])?;
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

fn what_is_said_of_a_guest_is_kept(dom0: &mut Dom0) -> Outcome {
    tells(
        dom0,
        &[
            ("desc escalus --config --title \"Prince of Verona\"", &["title updated"]),
            ("desc escalus --config \"He rules.\"", &["description updated"]),
            (
                "metadata escalus http://verona --key v --set \"<house n=\\\"1\\\"/>\"",
                &["modified"],
            ),
            ("list --all --title", &["shut off Prince of Verona"]),
            ("desc escalus", &["He rules."]),
            ("metadata escalus http://verona", &["<house n=\"1\"/>"]),
            ("dumpxml escalus", &["<title>Prince of Verona</title>", "<v:house xmlns:v="]),
            ("desc rosaline --live --title Capulet", &["title updated"]),
            ("desc rosaline --title", &["Capulet"]),
            ("desc rosaline --title --config", &["No title for domain"]),
            ("metadata escalus http://verona --remove", &["removed"]),
        ],
    )?;
    let file = dom0.ok("cat /etc/xen/escalus")?;
    ensure!(file.contains("title = 'Prince of Verona'\ndescription = 'He rules.'\n"), "{file}");
    ensure!(!file.contains("metadata"), "{file}");
    Ok(())
}

fn a_guest_is_described_as_it_runs(dom0: &mut Dom0) -> Outcome {
    tells(
        dom0,
        &[
            ("dominfo rosaline", &["OS Type: linux", "State: running", "Max memory: 131072 KiB"]),
            (
                "dumpxml rosaline",
                &["<console type='pty' tty='/dev/pts/", "<target dev='rosaline'/>"],
            ),
            ("vcpuinfo rosaline", &["VCPU: 0", "CPU Affinity: y"]),
            ("vcpucount rosaline", &["maximum live 1", "current config 1"]),
            ("domblklist rosaline", &["xvda /var/lib/xen/images/rosaline.img"]),
            ("domblkstat rosaline xvda", &["xvda rd_req", "xvda wr_bytes"]),
            ("domblkinfo rosaline xvda", &["Capacity:"]),
            ("domiflist rosaline", &["rosaline bridge xenbr0", "00:16:3e:59:a7:88"]),
            ("domifstat rosaline rosaline", &["rosaline rx_bytes", "rosaline tx_packets"]),
            ("domstats rosaline", &["state.state=1", "net.0.name=rosaline", "block.0.name=xvda"]),
            ("dommemstat rosaline", &["actual 131072"]),
            ("schedinfo rosaline", &["weight : 256", "cap : 0"]),
        ],
    )
}

fn a_guest_is_changed_while_it_runs(dom0: &mut Dom0) -> Outcome {
    says(
        dom0,
        "schedinfo rosaline --set weight=512; setmem rosaline 110M --live",
        &["weight : 512"],
    )?;
    let domid = dom0.ok("xm domid rosaline")?;
    let domid = domid.trim_end();
    let target = dom0.ok(&format!("xenstore-read /local/domain/{domid}/memory/target"))?;
    ensure!(target.trim_end() == "112640", "{target}");
    let less = format!(
        "{} | grep -q 'Used memory: *11[23][0-9][0-9][0-9] KiB'",
        virsh("dominfo rosaline")
    );
    dom0.wait_for(&less, Duration::from_secs(30), |output| output.status == 0)?;
    tells(
        dom0,
        &[
            ("setmem rosaline 128M --live", &[]),
            ("vcpupin rosaline 0 0", &[]),
            ("vcpupin rosaline", &["0 0"]),
            ("suspend rosaline", &["suspended"]),
            ("domstate rosaline", &["paused"]),
            ("list --name --state-paused", &["rosaline"]),
            ("resume rosaline", &["resumed"]),
        ],
    )?;
    let refused = dom0.fails(&virsh("setvcpus rosaline 4"), 1)?;
    ensure!(refused.contains("maxvcpus = 1"), "{refused}");
    Ok(())
}

fn devices_come_and_go(dom0: &mut Dom0) -> Outcome {
    let (image, mac) = ("/var/lib/xen/images/extra.img", "00:16:3e:00:00:77");
    dom0.ok(&format!("dd if=/dev/zero of={image} bs=1M count=4 2>/dev/null"))?;
    tells(
        dom0,
        &[
            (&format!("attach-disk rosaline {image} xvdb --sourcetype file --live"), &["success"]),
            ("domblklist rosaline", &["xvdb /var/lib/xen/images/extra.img"]),
            ("detach-disk rosaline xvdb --live", &["success"]),
            (&format!("attach-interface rosaline bridge xenbr0 --mac {mac} --live"), &["success"]),
            ("domiflist rosaline", &[mac]),
            (&format!("detach-interface rosaline bridge --mac {mac} --live"), &["success"]),
            (&format!("attach-disk escalus {image} xvdb --sourcetype file --config"), &["success"]),
        ],
    )?;
    let file = dom0.ok("cat /etc/xen/escalus")?;
    ensure!(file.contains("'file:/var/lib/xen/images/extra.img,xvdb,w'"), "{file}");
    let commands =
        ["domblklist rosaline", "domiflist rosaline", "detach-disk escalus xvdb --config"];
    let (left, complaints) = answers(dom0, &commands)?;
    ensure!(!left[0].contains("xvdb") && !left[1].contains(mac), "{left:?}");
    ensure!(left[2].contains("success"), "{left:?} {complaints}");
    Ok(())
}

fn a_guest_is_started_and_stopped(dom0: &mut Dom0) -> Outcome {
    dom0.ok("(timeout 600 virsh -c xen:///system event --all --loop >/tmp/events 2>&1 &)")?;
    dom0.ok("sleep 3")?;
    let twice =
        ["start escalus", "domid escalus", "start escalus", "reset escalus", "domid escalus"];
    let (answers, complaints) = answers(dom0, &twice)?;
    ensure!(answers[0] == "Domain 'escalus' started", "{answers:?} {complaints}");
    ensure!(complaints.contains("already"), "{complaints}");
    ensure!(answers[1] != answers[4], "{answers:?}");
    dom0.wait_for_ping("10.0.0.3")?;
    says(dom0, "shutdown escalus", &["being shutdown"])?;
    let off = |output: &tests::Output| output.stdout.trim_end() == "shut off";
    dom0.wait_for(&virsh("domstate escalus"), Duration::from_secs(60), off)?;
    // One without a definition is gone when it ends.
    dom0.ok(&virsh(
        "dumpxml escalus | sed 's/<name>escalus/<name>benvolio/; s/^.*<uuid>.*$//' >/tmp/b.xml",
    ))?;
    tells(
        dom0,
        &[
            ("create /tmp/b.xml --paused", &["Domain 'benvolio' created"]),
            ("domstate benvolio", &["paused"]),
            ("list --transient --name", &["benvolio"]),
            ("destroy benvolio", &["destroyed"]),
        ],
    )?;
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

fn a_newer_virsh_manages_guests(dom0: &mut Dom0) -> Outcome {
    let commands = "version; list --all; start escalus --paused; dominfo escalus; \
                    domstats escalus; dumpxml escalus; destroy escalus; list --all";
    let text = dom0.ok(&format!("virsh-newer -c xen:///system '{commands}'"))?;
    ensure!(
        !text.contains("libvirt 9.") && text.contains("Running hypervisor: Xen 4.17."),
        "{text}"
    );
    let [found, started, rest] = *text.splitn(3, "Domain 'escalus' ").collect::<Vec<_>>() else {
        anyhow::bail!("it is not started and destroyed: {text}");
    };
    ensure!(squeezed(found).contains("- escalus shut off"), "{text}");
    for part in ["started", "State: paused", "state.state=3", "<name>escalus</name>"] {
        ensure!(squeezed(started).contains(part), "no {part} in {started}");
    }
    ensure!(squeezed(rest).starts_with("destroyed"), "{rest}");
    ensure!(squeezed(rest).contains("- escalus shut off"), "{rest}");
    Ok(())
}

fn a_guest_is_rebooted_and_talked_to(dom0: &mut Dom0) -> Outcome {
    let first = said(dom0, "domid rosaline")?;
    says(dom0, "reboot rosaline", &["being rebooted"])?;
    let again = |output: &tests::Output| !["", "-", first.as_str()].contains(&output.stdout.trim());
    dom0.wait_for(&virsh("domid rosaline"), Duration::from_secs(60), again)?;
    script(dom0, include_str!("virtd_scripts/console.py"))
}

fn a_management_tool_does_its_work(dom0: &mut Dom0) -> Outcome {
    dom0.ok(
        "cp --sparse=always /var/lib/xen/images/escalus.img /var/lib/xen/images/tybalt.img || \
             cp /var/lib/xen/images/escalus.img /var/lib/xen/images/tybalt.img",
    )?;
    script(dom0, include_str!("virtd_scripts/management.py"))
}

fn virt_install_makes_guests(dom0: &mut Dom0) -> Outcome {
    let (kernel, initrd) = ("/boot/vmlinuz-guest", "/boot/initrd-guest");
    virt_install(dom0, "mercutio", "10.0.0.4", |arguments| {
        format!("--import --boot 'kernel={kernel},initrd={initrd},kernel_args={arguments}'")
    })?;
    dom0.ok("test -f /etc/xen/mercutio")?;
    // Whatever it is installed from, what it boots from afterwards has to be said.
    virt_install(dom0, "laertes", "10.0.0.5", |arguments| {
        format!(
            "--location /boot,kernel=vmlinuz-guest,initrd=initrd-guest \
             --extra-args '{arguments}' \
             --boot 'kernel={kernel},initrd={initrd},kernel_args=root=/dev/xvda'"
        )
    })?;
    tells(
        dom0,
        &[
            ("dumpxml laertes", &["<kernel>/var/lib/xen/virtinst-"]),
            ("dumpxml --inactive laertes", &["<kernel>/boot/vmlinuz-guest</kernel>"]),
        ],
    )?;
    virt_install(dom0, "lorenzo", "10.0.0.6", |arguments| {
        format!(
            "--install 'kernel={kernel},initrd={initrd},kernel_args={arguments},\
             kernel_args_overwrite=yes' --transient"
        )
    })?;
    tells(
        dom0,
        &[
            ("list --transient --name", &["lorenzo"]),
            ("dumpxml lorenzo", &["<kernel>/var/lib/xen/virtinst-"]),
            ("destroy lorenzo", &["destroyed"]),
        ],
    )?;
    dom0.wait_for_ping("10.0.0.4")?;
    dom0.wait_for_ping("10.0.0.5")?;
    let ends = "destroy mercutio; destroy laertes; undefine mercutio; undefine laertes";
    dom0.ok(&virsh(&format!("'{ends}'")))?;
    tells_just(dom0, &[("list --all --name", "Domain-0 rosaline escalus")])
}

/// Has virt-install make a guest, which gets its kernel as `boot` says with these arguments.
fn virt_install(
    dom0: &mut Dom0,
    name: &str,
    address: &str,
    boot: impl Fn(&str) -> String,
) -> Outcome {
    let image = format!("/var/lib/xen/images/{name}.img");
    dom0.ok(&format!("cp /var/lib/xen/images/escalus.img {image}"))?;
    let arguments =
        format!("root=/dev/xvda console=hvc0 ip={address}::10.0.0.1:255.255.255.0:{name}:eth0");
    let command = format!(
        "virt-install --connect xen:///system --name {name} --memory 128 --paravirt \
         --disk path={image},bus=xen --network bridge=xenbr0 --graphics none {} --noautoconsole \
         --osinfo detect=off,require=off",
        boot(&arguments)
    );
    let output = dom0.run_within(&command, Duration::from_secs(200))?;
    ensure!(output.status == 0, "{output}");
    Ok(())
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
