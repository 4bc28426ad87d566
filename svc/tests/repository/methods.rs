//! The delivered start methods, as far as they can run on any host.

use std::fs;
use std::path::Path;

use crate::fixture::{Done, System};

const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests");
const STORE: &str = "svc:/system/xvm/store:default";

/// With the methods' common part where they look for it, and the manifest of the store.
fn system() -> System {
    let system = System::start();
    let include = fs::read_to_string(Path::new(MANIFESTS).join("share/smf_include.sh")).unwrap();
    system.write("lib/svc/share/smf_include.sh", &include);
    system.svccfg(&["import", &format!("{MANIFESTS}/store.toml")]).ok();
    system
}

fn is_control_domain() -> bool {
    fs::read_to_string("/proc/xen/capabilities").is_ok_and(|text| text.contains("control_d"))
}

#[test]
fn xen_daemons_disable_themselves_without_a_hypervisor() {
    if is_control_domain() {
        return;
    }
    let system = system();
    let run = system.shell(&format!(
        "SMF_FMRI={STORE} SMF_REASON_FILE=\"$SVC_ROOT/why\" {MANIFESTS}/method/xvm-daemon /bin/true"
    ));
    let reason = "this kernel does not run as the control domain of a hypervisor\n";
    assert_eq!(run, Done { status: 101, out: String::new(), err: reason.to_owned() });
    assert_eq!(fs::read_to_string(system.path().join("why")).unwrap(), reason);
}

#[test]
fn a_reason_may_hold_any_character() {
    let system = system();
    let include = system.path().join("lib/svc/share/smf_include.sh");
    let reason = r#"a "quoted" \ back 'tick' $x (y) = z"#;
    system.write("reason", reason);
    let script = format!(
        r#". {}; smf_method_exit $SMF_EXIT_TEMP_DISABLE odd "$(cat {})""#,
        include.display(),
        system.path().join("reason").display()
    );
    system.write("method", &script);
    let why = system.path().join("why");
    let line =
        format!("SMF_REASON_FILE={} sh {}", why.display(), system.path().join("method").display());
    assert_eq!(system.shell(&line).status, 101);
    assert_eq!(fs::read_to_string(why).unwrap(), format!("{reason}\n"));
}

#[test]
fn methods_are_executable_and_named_by_manifests() {
    use std::os::unix::fs::PermissionsExt;
    let mut manifests = String::new();
    for entry in fs::read_dir(MANIFESTS).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            manifests.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    for entry in fs::read_dir(Path::new(MANIFESTS).join("method")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        assert!(manifests.contains(&format!("\"/lib/svc/method/{name}")), "nobody uses {name}");
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o111, 0o111, "{name}");
    }
    for word in manifests.split('"').filter(|word| word.starts_with("/lib/svc/method/")) {
        let name = word.trim_start_matches("/lib/svc/method/").split(' ').next().unwrap();
        assert!(Path::new(MANIFESTS).join("method").join(name).exists(), "{name} is missing");
    }
}
