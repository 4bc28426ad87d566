//! Stock virsh against virtd on the host, with a stand-in for xend.

use std::io::Read;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::stand_in::{Virtd, defined, guest};

#[test]
fn virsh_lists_what_xend_has() {
    let virtd = Virtd::start(vec![guest("Domain-0", 0, 0), guest("rosaline", 1, 5)]);
    virtd.define("juliet", &defined(2));
    virtd.define("rosaline", &defined(1));
    let running = virtd.ok(&["list"]);
    assert!(running.contains("rosaline") && !running.contains("juliet"), "{running}");
    assert_eq!(virtd.ok(&["list", "--all", "--name"]), "Domain-0\nrosaline\njuliet\n\n");
    assert_eq!(virtd.ok(&["domid", "rosaline"]), "5\n\n");
    assert_eq!(virtd.ok(&["domstate", "juliet"]), "shut off\n\n");
    let info = virtd.ok(&["dominfo", "rosaline"]);
    assert!(info.contains("Max memory:     131072 KiB"), "{info}");
    let version = virtd.ok(&["version"]);
    assert!(version.contains("Running hypervisor: Xen 4.17.5"), "{version}");
    let juliet = virtd.ok(&["dumpxml", "juliet"]);
    assert!(juliet.contains("<kernel>/boot/k</kernel>"), "{juliet}");
    let missing = virtd.virsh(&["dominfo", "tybalt"]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("failed to get domain 'tybalt'"));
}

/// A port that nobody listens at now.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn openssl(folder: &Path, words: &str) {
    let output =
        Command::new("openssl").args(words.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {words}: {output:?}");
}

/// An authority, and what it says of `localhost` and of a client, by the names that virsh knows.
fn certificates(folder: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(folder, &format!("req -x509 {key} -keyout cakey.pem -out cacert.pem -subj /CN=ca"));
    for (name, extension) in
        [("server", "subjectAltName=DNS:localhost"), ("client", "extendedKeyUsage=clientAuth")]
    {
        std::fs::write(folder.join("extension"), extension).unwrap();
        let request = format!("req {key} -keyout {name}key.pem -out request -subj /CN={name}");
        openssl(folder, &request);
        let issuer = "-CA cacert.pem -CAkey cakey.pem -CAcreateserial -extfile extension";
        openssl(folder, &format!("x509 -req -in request {issuer} -out {name}cert.pem"));
    }
}

#[test]
fn tls_lets_in_who_has_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    certificates(&path);
    std::fs::create_dir(path.join("other")).unwrap();
    certificates(&path.join("other"));
    std::fs::copy(path.join("cacert.pem"), path.join("other/cacert.pem")).unwrap();
    let port = free_port();
    let _virtd = Virtd::start_with(vec![guest("rosaline", 1, 5)], folder, |settings| {
        settings.tls_port = Some(port);
        settings.ca_file = path.join("cacert.pem");
        settings.cert_file = path.join("servercert.pem");
        settings.key_file = path.join("serverkey.pem");
    });
    let list = |pki: &Path| {
        let uri = format!("xen+tls://localhost:{port}/system?pkipath={}", pki.display());
        Command::new("virsh").args(["-c", &uri, "list", "--name"]).output().unwrap()
    };
    let known = list(&path);
    assert_eq!(String::from_utf8_lossy(&known.stdout), "rosaline\n\n", "{known:?}");
    assert!(!list(&path.join("other")).status.success());
}

#[test]
fn a_socket_that_is_full_keeps_nobody_from_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let virtd = Virtd::start_with(vec![guest("rosaline", 1, 5)], folder, |settings| {
        settings.max_anonymous_clients = 3;
    });
    let socket = virtd.socket("libvirt-sock-ro");
    let connect = || {
        let stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    };
    let _waiting: Vec<UnixStream> = (0..3).map(|_| connect()).collect();
    // One too many is hung up on.
    assert_eq!(connect().read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(virtd.ok(&["list", "--name"]), "rosaline\n\n");
}
