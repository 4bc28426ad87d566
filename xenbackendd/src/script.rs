//! Scripts of the administrator's, run as Linux's hotplug scripts are (xl-network-configuration(5),
//! docs/misc/block-scripts.txt): the device in the environment, the action as argument.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::device::{Device, Kind};
use crate::vif;

/// Scripts whose work this daemon does itself.
const BUILT_IN: [&str; 2] = ["block", "vif-bridge"];
/// A script that takes longer hangs.
const TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// How much of what a script complains is passed on.
const COMPLAINT: usize = 512;

/// The script to run for a device, or `None` if its node names one of ours or none.
pub fn foreign(node: Option<&str>) -> Option<PathBuf> {
    let path = Path::new(node.filter(|node| !node.is_empty())?);
    let name = path.file_name()?.to_str()?;
    (!BUILT_IN.contains(&name)).then(|| path.to_owned())
}

/// Runs a script for a device; the error is what it wrote to stderr, or why it could not run.
pub fn run(script: &Path, device: &Device, setting_up: bool) -> Result<(), String> {
    let action = match (device.kind, setting_up) {
        (Kind::Vbd, true) => "add",
        (Kind::Vbd, false) => "remove",
        (Kind::Vif, true) => "online",
        (Kind::Vif, false) => "offline",
    };
    let mut command = Command::new(script);
    command
        .arg(action)
        .env("script", script)
        .env("XENBUS_TYPE", device.kind.name())
        .env("XENBUS_PATH", format!("backend/{}", device.relative()))
        .env("XENBUS_BASE_PATH", "backend")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if device.kind == Kind::Vif {
        command.arg("type_if=vif").env("vif", vif::kernel_name(device));
    }
    let named = |reason: String| format!("{}: {reason}", script.display());
    let mut child = command.spawn().map_err(|error| named(error.to_string()))?;
    let complaint = listen(&mut child);
    let status = wait(&mut child).map_err(named)?;
    match status.success() {
        true => Ok(()),
        false => Err(named(format!("{status}: {}", complaint()))),
    }
}

/// Collects what a script writes to stderr.
fn listen(child: &mut Child) -> impl FnOnce() -> String + use<> {
    let stderr = child.stderr.take();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(stderr) = stderr {
            let _ = stderr.take(COMPLAINT as u64).read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).trim().to_owned()
    });
    move || reader.join().unwrap_or_default()
}

fn wait(child: &mut Child) -> Result<ExitStatus, String> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(POLL),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("still ran after {} s, killed", TIMEOUT.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn our_own_steps_need_no_script() {
        assert_eq!(foreign(None), None);
        assert_eq!(foreign(Some("/etc/xen/scripts/block")), None);
        assert_eq!(foreign(Some("vif-bridge")), None);
        assert_eq!(foreign(Some("/x/vif-route")), Some("/x/vif-route".into()));
    }

    #[test]
    fn a_script_sees_its_device_and_its_complaint_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("block-test");
        let text = format!(
            "#!/bin/sh\necho \"$1 $XENBUS_TYPE $XENBUS_PATH\" > {}/seen\n\
             [ \"$1\" = add ] || {{ echo no such pool >&2; exit 3; }}\n",
            folder.path().display()
        );
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        let device = Device { kind: Kind::Vbd, domid: 2, devid: 768 };
        run(&script, &device, true).unwrap();
        let seen = std::fs::read_to_string(folder.path().join("seen")).unwrap();
        assert_eq!(seen, "add vbd backend/vbd/2/768\n");
        let error = run(&script, &device, false).unwrap_err();
        assert!(error.contains("no such pool") && error.contains("3"), "{error}");
        assert!(run(Path::new("/no/such"), &device, true).unwrap_err().contains("/no/such"));
    }
}
