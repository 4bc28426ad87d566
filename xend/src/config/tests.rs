//! Whole guest files: what is taken, what is warned of, what is refused and with which words.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

fn try_parse(text: &str, overrides: &[&str]) -> Result<(GuestConfig, Vec<String>), String> {
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    let source = Source::File("/etc/xen/rosaline".into());
    parse(text, source, &overrides, "rosaline", Path::new("/home/romeo"))
        .map_err(|error| error.to_string())
}

fn guest(text: &str) -> GuestConfig {
    let (guest, warnings) = try_parse(text, &[]).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    guest
}

fn refused(text: &str) -> String {
    try_parse(text, &[]).unwrap_err()
}

#[test]
fn a_file_as_xm_users_write_it() {
    let guest = guest(
        "# Rosaline\n\
         base = '/dev/verona'\n\
         name = \"rosaline\"\n\
         memory = 0x400\n\
         maxmem = 2048\n\
         vcpus = 2\n\
         kernel = \"/boot/vmlinuz\" + '-6.1'\n\
         ramdisk = '/boot/initrd-%s' % '6.1'\n\
         root = '/dev/sda1 ro'\n\
         extra = 'console=hvc0 ' \\\n    'quiet'\n\
         vif = ['vifname=rosaline,ip=,bridge=xenbr0,mac=00:16:3e:59:A7:88' ]\n\
         disk = [\n  'phy:%s/%s,0,w' % (base, name),\n  'file:/iso,6:cdrom,r', # the CD\n]\n\
         on_shutdown = 'destroy'\non_reboot = 'destroy'\non_crash = 'preserve'\n\
         uuid = '06ED00FE-1162-4FC4-B5D8-11993EE4A8B9'\n",
    );
    assert_eq!((guest.name.as_str(), guest.memory, guest.maxmem), ("rosaline", 1024, 2048));
    assert_eq!((guest.vcpus, guest.maxvcpus), (2, 2));
    assert_eq!(guest.kernel, PathBuf::from("/boot/vmlinuz-6.1"));
    assert_eq!(guest.cmdline(), "root=/dev/sda1 ro console=hvc0 quiet");
    assert_eq!(guest.disks[0].target, PathBuf::from("/dev/verona/rosaline"));
    assert_eq!(guest.disks.iter().map(|disk| disk.vdev.number).collect::<Vec<_>>(), [0, 6]);
    assert_eq!(guest.vifs.len(), 1);
    let actions = (guest.on_poweroff, guest.on_reboot, guest.on_crash);
    assert_eq!(actions, (Action::Destroy, Action::Destroy, Action::Preserve));
    assert_eq!(guest.uuid.unwrap().to_string(), "06ed00fe-1162-4fc4-b5d8-11993ee4a8b9");
}

#[test]
fn what_is_not_said_has_a_default() {
    let guest = guest("kernel = 'vmlinuz'\nvif = ['']");
    assert_eq!(guest.name, "rosaline");
    assert_eq!((guest.memory, guest.maxmem, guest.vcpus), (128, 128, 1));
    assert_eq!(guest.kernel, PathBuf::from("/home/romeo/vmlinuz"));
    assert_eq!((guest.ramdisk.clone(), guest.cmdline().as_str()), (None, ""));
    assert_eq!(guest.vifs, [Vif::default()]);
    let actions = (guest.on_poweroff, guest.on_reboot, guest.on_crash);
    assert_eq!(actions, (Action::Destroy, Action::Restart, Action::Restart));
}

#[test]
fn processors_are_pinned_together_or_each() {
    let text = |guest: &GuestConfig, vcpu| guest.cpus_of(vcpu).map(CpuSet::text);
    let together = guest("kernel='k'; vcpus=2; cpus='0-1'");
    assert_eq!(text(&together, 1).as_deref(), Some("0-1"));
    let each = guest("kernel='k'; vcpus=2; cpus=['0', 3]");
    assert_eq!(text(&each, 1).as_deref(), Some("3"));
    assert_eq!(text(&guest("kernel='k'; cpus='all'"), 0), None);
    assert!(refused("kernel='k'; vcpus=2; cpus=['0','1','2']").contains("3 members"));
    assert!(refused("kernel='k'; cpus='a'").contains("no processor's number"));
}

#[test]
fn the_command_line_comes_first() {
    let text = "kernel = '/k'\nmemory = 'x'\ndisk = ['file:/a,xvda,w']\nname = 'b'";
    let overrides =
        ["memory=256", "disk=phy:/dev/a,xvda,w", "disk=phy:/dev/b,xvdb,w", "extra=ro single"];
    let (guest, _) = try_parse(text, &overrides).unwrap();
    assert_eq!((guest.memory, guest.disks.len()), (256, 2));
    assert_eq!(guest.extra.as_deref(), Some("ro single"));
    let (guest, _) = try_parse(text, &["memory=256", "vif=[]", "name='c' 'd'"]).unwrap();
    assert_eq!((guest.name.as_str(), guest.vifs.len()), ("cd", 0));
    let refused = |arguments: &[&str]| try_parse(text, arguments).unwrap_err();
    assert!(refused(&["memroy=1"]).starts_with("command line: 'memroy' is no setting"));
    assert!(refused(&["memory=lots"]).starts_with("command line: memory = 'lots' is no number"));
    assert!(refused(&["fast"]).contains("KEY=VALUE"));
}

#[test]
fn a_setting_without_meaning_is_warned_of_with_its_place() {
    let text = "kernel = '/k'\nvfb = ['sdl=1']\nvif = ['model=e1000']\nroot='/dev/x'\ncmdline='a'";
    let (guest, warnings) = try_parse(text, &[]).unwrap();
    assert_eq!(guest.cmdline(), "a");
    assert_eq!(
        warnings,
        [
            "/etc/xen/rosaline, line 4, column 6: cmdline is given, so root and extra are ignored",
            "/etc/xen/rosaline, line 3, column 8: vif: 'model' has no effect on a paravirtualized guest",
            "/etc/xen/rosaline, line 2, column 7: 'vfb' has no meaning here and is ignored",
        ]
    );
}

#[test]
fn errors_name_file_line_and_reason() {
    let cases = [
        ("memory = 64", "/etc/xen/rosaline: no kernel is named (kernel = '/path')"),
        (
            "kernel = '/k'\nmemory = -5",
            "/etc/xen/rosaline, line 2, column 10: memory = -5 is no number from 1 to 16777216 MiB",
        ),
        (
            "kernel = '/k'\nmemory = ['a']",
            "/etc/xen/rosaline, line 2, column 10: memory must be a number, not a list",
        ),
        (
            "kernel = '/k'\ndisk = 'file:/a,xvda,w'",
            "/etc/xen/rosaline, line 2, column 8: disk must be a list, as in disk = ['file:/path,xvda,w'], \
             not a string",
        ),
        (
            "kernel = '/k'\ndisk = ['file:/a,xvda,w',\n        'tap:aio:/b,xvdb,w']",
            "/etc/xen/rosaline, line 3, column 9: disk 'tap:aio:/b,xvdb,w': disks of type 'tap:' are not \
             supported; use 'phy:' for a block device or 'file:' for a raw image",
        ),
        (
            "kernel = '/k'\nvif = ['mac=x']",
            "/etc/xen/rosaline, line 2, column 8: vif 'mac=x': 'x' is no MAC address, as in 00:16:3e:59:a7:88",
        ),
        (
            "kernel = '/k'\non_crash = 'coredump-destroy'",
            "/etc/xen/rosaline, line 2, column 12: on_crash: 'coredump-destroy' is not supported: no core files \
             are written",
        ),
        (
            "kernel = '/k'\nname = '12'",
            "/etc/xen/rosaline, line 2, column 8: the name '12' would be taken for a domain's id",
        ),
        ("kernel = '/k'\nuuid = 'x'", "/etc/xen/rosaline, line 2, column 8: uuid: 'x' is no UUID"),
        (
            "kernel = '/k'\ndisk = ['file:/a,xvda,w', 'file:/b,xvda,r']",
            "/etc/xen/rosaline: two disks have the same vdev, xvda",
        ),
        ("kernel = '/k'\nmaxmem = 1", "/etc/xen/rosaline: maxmem = 1 is less than memory = 128"),
        (
            "kernel = '/k'\nbootloader = 'pygrub'",
            "/etc/xen/rosaline, line 2, column 14: bootloader is not supported: name the kernel and ramdisk of \
             the guest as files of this host",
        ),
        (
            "kernel = '/k'\ntype = 'hvm'",
            "/etc/xen/rosaline, line 2, column 8: type 'hvm' is not supported, only 'pv' is",
        ),
        (
            "kernel = '/k'\nextra = /platform/i86xpv/kernel/unix",
            "/etc/xen/rosaline, line 2, column 9: unexpected '/', a value should stand here",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(refused(text), message);
    }
    assert!(refused("kernel = '/k'\nextra = 'x' * 1024").contains("longer than 1023"));
    assert!(refused("kernel = '/k\\nx'").contains("unprintable"));
    assert!(
        refused("kernel='/k'; on_poweroff='destroy'; on_shutdown='restart'").contains("differ")
    );
}

#[test]
fn files_are_found_and_read() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    std::fs::write(dir.path().join("juliet"), "kernel = '/k'\n").unwrap();
    std::fs::write(dir.path().join("latin1"), b"kernel = '/k'\nname = '\xe9'\n").unwrap();
    let file = find("juliet", dir.path()).unwrap();
    assert_eq!(load(&file, &[], dir.path()).unwrap().0.name, "juliet");
    let missing = find("tybalt", dir.path()).unwrap_err().to_string();
    assert_eq!(missing, "tybalt: no such guest file in . or /etc/xen");
    assert!(find("folder", dir.path()).is_err());
    let latin1 = load(&dir.path().join("latin1"), &[], dir.path()).unwrap_err().to_string();
    assert!(latin1.ends_with("/latin1, line 2, column 9: is not UTF-8 text"), "{latin1}");
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(
        lines in prop::collection::vec(
            "(name|memory|vcpus|disk|vif|cpus|kernel|uuid|on_crash) = \
             (\\[)?['\"]?[a-z0-9:/,=-]{0,12}['\"]?(\\])?( [%*+] ['\"(]?[a-z0-9%]{0,3}['\")]?)?",
            0..8,
        ),
    ) {
        let _ = try_parse(&lines.join("\n"), &[]);
    }

    #[test]
    fn a_guest_survives_being_kept(memory in 1u64..9999, vcpus in 1u32..9, count in 0usize..5) {
        let disks: Vec<String> = (0..count).map(|n| format!("'file:/d{n},d{n},w'")).collect();
        let text = format!("kernel='/k'; memory={memory}; vcpus={vcpus}; disk=[{}]", disks.join(","));
        let guest = guest(&text);
        let kept = serde_json::to_string(&guest).unwrap();
        prop_assert_eq!(serde_json::from_str::<GuestConfig>(&kept).unwrap(), guest);
    }
}
