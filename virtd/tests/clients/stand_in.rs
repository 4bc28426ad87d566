//! A stand-in for xend, for what needs no hypervisor: it knows some guests and answers as xend
//! does. What a guest does is tested in dom0.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use virtd::server::Server;
use virtd::session::Host;
use virtd::settings::Settings;
use xend::rpc::server::{Handler, Server as Rpc};
use xend::rpc::{Call, Fault, Value, code};
use xend::sxp::{list, pair, text};

/// Guests that run, as xend lists them.
pub struct StandIn {
    pub domains: Vec<Value>,
}

impl Handler for StandIn {
    fn handle(&self, call: &Call) -> Result<Value, Fault> {
        match call.method.as_str() {
            "xend.domains_with_state" => Ok(Value::Array(self.domains.clone())),
            "xend.domain" => {
                let wanted = call.params[0].as_str().unwrap_or_default().to_owned();
                let found = self.domains.iter().find(|it| {
                    text(it, "uuid").as_ref() == Some(&wanted)
                        || text(it, "name") == Some(wanted.clone())
                });
                found.cloned().ok_or_else(|| Fault::new(code::INVALID_DOMAIN, wanted))
            }
            "xend.node.info" => Ok(list(
                "node",
                [
                    pair("nr_cpus", 4),
                    pair("total_memory", 1024),
                    pair("free_memory", 512),
                    pair("xen_major", 4),
                    pair("xen_minor", 17),
                    pair("xen_extra", ".5"),
                ],
            )),
            other => Err(Fault::new(code::GENERIC, format!("method \"{other}\" is not supported"))),
        }
    }
}

/// A guest that runs.
pub fn guest(name: &str, number: u32, domid: i64) -> Value {
    let members = [
        pair("name", name),
        pair("uuid", uuid::Uuid::from_u128(u128::from(number)).to_string()),
        pair("domid", domid),
        pair("status", "running"),
        pair("memory", 64),
        pair("maxmem", 128),
        pair("vcpus", 1),
        pair("cpu_time", 1.5),
        pair("persistent", 1),
    ];
    list("domain", members)
}

/// A guest that is only defined: what its file says.
pub fn defined(number: u32) -> String {
    let uuid = uuid::Uuid::from_u128(u128::from(number));
    format!("uuid = '{uuid}'\nkernel = '/boot/k'\nmemory = 64\nmaxmem = 128\n")
}

/// virtd with a stand-in below it; both live as long as the test program.
pub struct Virtd {
    folder: tempfile::TempDir,
}

impl Virtd {
    pub fn start(domains: Vec<Value>) -> Self {
        Self::start_with(domains, tempfile::tempdir().unwrap(), |_| ())
    }

    /// As [`start`](Self::start), in `folder`, with what `change` leaves of the settings.
    pub fn start_with(
        domains: Vec<Value>,
        folder: tempfile::TempDir,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let xend = folder.path().join("xmlrpc.sock");
        let rpc = Rpc::bind(&xend).unwrap();
        let stand_in = Arc::new(StandIn { domains });
        std::thread::spawn(move || {
            loop {
                rpc.accept(&stand_in);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let mut settings = Settings {
            unix_folder: folder.path().to_owned(),
            xend,
            definitions: folder.path().join("etc"),
            ..Settings::default()
        };
        change(&mut settings);
        let host = Arc::new(Host::new(&settings));
        let server = Server::bind(&settings, host).unwrap();
        std::thread::spawn(move || {
            loop {
                server.accept();
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self { folder }
    }

    /// Defines a guest, as an editor does.
    pub fn define(&self, name: &str, text: &str) {
        let etc = self.socket("etc");
        std::fs::create_dir_all(&etc).unwrap();
        std::fs::write(etc.join(name), text).unwrap();
    }

    pub fn socket(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Stock virsh with these words.
    pub fn virsh(&self, words: &[&str]) -> Output {
        let uri = uri(&self.socket("libvirt-sock"));
        Command::new("virsh").args(["-c", &uri]).args(words).output().unwrap()
    }

    /// What it prints when it must succeed.
    pub fn ok(&self, words: &[&str]) -> String {
        let output = self.virsh(words);
        assert!(output.status.success(), "virsh {words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

pub fn uri(socket: &Path) -> String {
    format!("xen+unix:///system?socket={}", socket.display())
}
