use std::path::Path;

use proptest::prelude::*;
use xend::config::{GuestConfig, Source, parse};

use super::*;

fn guest(text: &str) -> GuestConfig {
    parse(text, Source::CommandLine, &[], "juliet", Path::new("/")).unwrap().0
}

const XML: &str = "<domain type='xen'><name>juliet</name><memory unit='MiB'>64</memory>
    <os><type>linux</type><kernel>/k</kernel></os>%</domain>";

fn refused(rest: &str) -> String {
    domain(&XML.replace('%', rest)).unwrap_err().to_string()
}

#[test]
fn what_clients_write_is_understood() {
    let xml = "<domain type='xen'>
      <name>juliet</name><uuid>4dea22b3-1d52-d8f3-2516-782e98ab3fa0</uuid>
      <title>x</title><description>y
 z</description><metadata><a:b xmlns:a='http://a'/></metadata>
      <memory>262144</memory><currentMemory unit='KiB'>131072</currentMemory>
      <vcpu current='1' cpuset='0-1'>2</vcpu>
      <os><type arch='x86_64' machine='xenpv'>xen</type><kernel>/boot/k</kernel>
        <initrd>/boot/i</initrd><cmdline>root=/dev/xvda console=hvc0</cmdline></os>
      <features><acpi/></features><on_crash>restart</on_crash>
      <devices>
        <emulator>/usr/bin/q</emulator>
        <disk type='file' device='disk'><driver name='qemu' type='raw'/>
          <source file='/a,b.img'/><target dev='xvda' bus='xen'/><shareable/></disk>
        <interface type='network'><source network='xenbr0'/><mac address='00:16:3e:00:00:01'/>
          <target dev='vif1.0'/><ip address='10.0.0.2' prefix='24'/></interface>
        <console type='pty'/><input type='mouse' bus='xen'/>
      </devices></domain>";
    let wanted = guest(
        "uuid='4dea22b3-1d52-d8f3-2516-782e98ab3fa0'; memory=128; maxmem=256; vcpus=1; maxvcpus=2
cpus='0-1'; kernel='/boot/k'; ramdisk='/boot/i'; root='/dev/xvda'; extra='console=hvc0'
title='x'; description='y\\n z'; metadata=\"<a:b xmlns:a='http://a'/>\"
on_crash='restart'; disk=['file:vdev=xvda,access=w!,target=/a,b.img']
vif=['bridge=xenbr0,mac=00:16:3e:00:00:01,ip=10.0.0.2/24']",
    );
    assert_eq!(domain(xml).unwrap(), wanted);
}

#[test]
fn what_cannot_be_had_is_refused_by_name() {
    assert!(
        refused("<devices><hostdev mode='x' type='pci'/></devices>")
            .contains("<hostdev type='pci'>")
    );
    assert!(refused("<bootloader>pygrub</bootloader>").contains("<bootloader>"));
    let disk = "<devices><disk type='file'><driver type='qcow2'/></disk></devices>";
    assert!(refused(disk).contains("'qcow2'"));
    assert!(refused("<on_reboot>coredump-destroy</on_reboot>").contains("on_reboot"));
    assert!(domain("<domain type='kvm'/>").unwrap_err().to_string().contains("'kvm'"));
    assert!(domain("<domain").is_err() && domain("<network/>").is_err());
    assert!(domain("<!DOCTYPE a [<!ENTITY b 'c'>]><domain type='xen'/>").is_err());
    assert!(device("<graphics type='vnc'/>").is_err());
}

#[test]
fn a_guest_that_runs_has_more_to_show() {
    let config =
        guest("kernel='/k'; vif=['mac=00:16:3e:00:00:01', 'mac=00:16:3e:00:00:02,vifname=j']");
    let live = Live {
        domid: 5,
        tty: Some("/dev/pts/3".to_owned()),
        vifs: vec![
            LiveVif { devid: 0, mac: "00:16:3e:00:00:01".to_owned() },
            LiveVif { devid: 4, mac: "00:16:3e:00:00:02".to_owned() },
        ],
    };
    let xml = write(&config, Some(&live));
    for part in [
        "<domain type='xen' id='5'>",
        "<target dev='vif5.0'/>",
        "<target dev='j'/>",
        "<console type='pty' tty='/dev/pts/3'>",
    ] {
        assert!(xml.contains(part), "{part}: {xml}");
    }
    // And is the same guest when it is defined from that.
    assert_eq!(domain(&xml).unwrap().vifs[0].vifname, None);
}

proptest! {
    #[test]
    fn a_guest_comes_through(
        memory in 1u64..9999,
        more in 0u64..99,
        path in "/[a-z,=:%.<&' ]{1,12}x",
        backing in prop_oneof![Just("file:"), Just("phy:")],
        mode in prop_oneof![Just("w"), Just("r"), Just("w!"), Just("r!")],
        rest in prop::sample::select(vec![
            "", "cpus='0-3'", "ramdisk='/r'", "extra='a b'", "root='/dev/xvda'; extra='quiet'",
            "vcpus=2; cpus=['0','1-2']", "maxvcpus=4", "on_crash='preserve'",
            "title='a<b'; description='c\\n\\td'; metadata='<e xmlns=\"f\">g</e>'",
        ]),
    ) {
        let config = guest(&format!(
            "kernel='/k'; memory={memory}; maxmem={}; {rest}; \
             uuid='00000000-0000-0000-0000-000000000001'
disk=[\"{backing}vdev=xvda,access={mode},target={path}\", 'phy:/dev/x,hda:cdrom,r']
vif=['bridge=xenbr0,mac=00:16:3e:00:00:01,ip=10.0.0.2,vifname=v,script=s']",
            memory + more,
        ));
        prop_assert_eq!(domain(&write(&config, None)).unwrap(), config);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*|(<[a-z]{1,8}( type='[a-z]{1,8}')?/?>){0,8}") {
        let _ = domain(&text);
        let _ = device(&text);
        let _ = domain(&XML.replace('%', &text));
    }
}
