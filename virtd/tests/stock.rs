//! Stock virsh against virtd on the host, with a stand-in for xend.

mod stand_in;

use stand_in::{Virtd, guest};

#[test]
fn virsh_lists_what_xend_has() {
    let virtd = Virtd::start(vec![
        guest("Domain-0", 0, Some(0)),
        guest("rosaline", 1, Some(5)),
        guest("juliet", 2, None),
    ]);
    let running = virtd.ok(&["list"]);
    assert!(running.contains("rosaline") && !running.contains("juliet"), "{running}");
    assert_eq!(virtd.ok(&["list", "--all", "--name"]), "Domain-0\nrosaline\njuliet\n\n");
    assert_eq!(virtd.ok(&["domid", "rosaline"]), "5\n\n");
    assert_eq!(virtd.ok(&["domstate", "juliet"]), "shut off\n\n");
    let info = virtd.ok(&["dominfo", "rosaline"]);
    assert!(info.contains("Max memory:     131072 KiB"), "{info}");
    let version = virtd.ok(&["version"]);
    assert!(version.contains("Running hypervisor: Xen 4.17.5"), "{version}");
    let missing = virtd.virsh(&["dominfo", "tybalt"]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("failed to get domain 'tybalt'"));
}
