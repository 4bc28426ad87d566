//! The daemon as a process: bad packets, many clients, restarts.

mod running;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use running::{PATIENCE, Xenstored, is_ended, receive};
use store::client::{Access, Client, Perm, Tx};
use store::wire::{Errno, Header, Op, PAYLOAD_MAX, Packet, fields};

fn is_served(store: &Xenstored) {
    store.client().write(Tx::NONE, "/alive", "yes").unwrap();
}

#[test]
fn an_oversized_packet_ends_its_connection_only() {
    let store = Xenstored::start();
    let bystander = store.client();
    for len in [PAYLOAD_MAX as u32 + 1, u32::MAX] {
        let mut bad = store.raw();
        let header = Header { op: Op::Write as u32, req_id: 1, tx_id: 0, len };
        bad.write_all(&header.encode()).unwrap();
        assert!(is_ended(&mut bad));
    }
    bystander.write(Tx::NONE, "/alive", "yes").unwrap();
}

#[test]
fn garbage_is_answered_or_ends_its_connection_only() {
    let store = Xenstored::start();
    let mut state = 1u64;
    let mut random = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    for _ in 0..200 {
        let mut bad = store.raw();
        let len = usize::from(random());
        let bytes: Vec<_> = (0..len).map(|_| random()).collect();
        let _ = bad.write_all(&bytes);
    }
    for op in 0..40 {
        let mut bad = store.raw();
        for payload in [&b""[..], b"\0", b"/\0", b"no nul", b"/a\0b", &[0xff; 300]] {
            let packet = Packet { op, req_id: 9, tx_id: 77, payload: payload.to_vec() };
            bad.write_all(&packet.encode()).unwrap();
            let reply = loop {
                let packet = receive(&mut bad).unwrap();
                if packet.op != Op::WatchEvent as u32 {
                    break packet;
                }
            };
            assert_eq!((reply.req_id, reply.tx_id), (9, 77));
        }
    }
    is_served(&store);
}

#[test]
fn half_a_packet_holds_nobody_up() {
    let store = Xenstored::start();
    let mut slow = store.raw();
    let bytes = Packet::new(Op::Write, 5, 0, *b"/slow\0x").encode();
    slow.write_all(&bytes[..10]).unwrap();
    is_served(&store);
    slow.write_all(&bytes[10..20]).unwrap();
    is_served(&store);
    slow.write_all(&bytes[20..]).unwrap();
    assert_eq!(receive(&mut slow).unwrap().payload, b"OK\0");
}

#[test]
fn requests_may_come_faster_than_replies_are_read() {
    let store = Xenstored::start();
    let mut eager = store.raw();
    let value = "v".repeat(4000);
    store.client().write(Tx::NONE, "/big", &value).unwrap();
    let mut reader = eager.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        for id in 0..5000 {
            eager.write_all(&Packet::new(Op::Read, id, 0, fields(["/big"])).encode()).unwrap();
        }
    });
    std::thread::sleep(Duration::from_millis(300));
    is_served(&store);
    for id in 0..5000 {
        let reply = receive(&mut reader).unwrap();
        assert_eq!((reply.req_id, reply.payload.len()), (id, 4000));
    }
    writer.join().unwrap();
}

#[test]
fn fifty_clients_count_to_a_thousand_together() {
    let store = Xenstored::start();
    store.client().write(Tx::NONE, "/count", "0").unwrap();
    let count = |client: &Client| {
        client.transaction(|tx| {
            let count: u32 = client.read_string(tx, "/count")?.unwrap().parse().unwrap();
            client.write(tx, "/count", (count + 1).to_string())
        })
    };
    std::thread::scope(|scope| {
        for number in 0..50 {
            let client = store.client();
            scope.spawn(move || {
                for step in 0..20 {
                    count(&client).unwrap();
                    client.write(Tx::NONE, &format!("/own/{number}/{step}"), "x").unwrap();
                }
            });
        }
    });
    let client = store.client();
    assert_eq!(client.read(Tx::NONE, "/count").unwrap(), b"1000");
    assert_eq!(client.directory(Tx::NONE, "/own").unwrap().len(), 50);
    assert_eq!(client.control(&["check"]).unwrap(), "OK");
}

#[test]
fn transactions_of_two_clients_conflict_only_over_the_same_nodes() {
    let store = Xenstored::start();
    let (mine, theirs) = (store.client(), store.client());
    let mut runs = 0;
    mine.transaction(|tx| {
        runs += 1;
        mine.write(tx, "/device/mine", "1")?;
        theirs.write(Tx::NONE, "/device/theirs", runs.to_string())
    })
    .unwrap();
    assert_eq!(runs, 1);
    mine.transaction(|tx| {
        runs += 1;
        mine.read(tx, "/device/theirs")?;
        if runs < 4 {
            theirs.write(Tx::NONE, "/device/theirs", runs.to_string())?;
        }
        mine.write(tx, "/device/mine", "2")
    })
    .unwrap();
    assert_eq!(runs, 4);
}

#[test]
fn a_client_goes_on_when_the_daemon_was_killed() {
    let mut store = Xenstored::start();
    let client = store.client();
    let perms = [Perm::new(3, Access::None), Perm::new(4, Access::Read)];
    client.write(Tx::NONE, "/a/b", "before").unwrap();
    client.set_perms(Tx::NONE, "/a/b", &perms).unwrap();
    client.watch("/a", "token").unwrap();
    client.next_event(Some(PATIENCE)).unwrap().unwrap();
    let mut runs = 0;
    client
        .transaction(|tx| {
            runs += 1;
            client.write(tx, "/a/t", "in a transaction")?;
            if runs == 1 {
                store.kill();
                store.start_again();
            }
            client.write(tx, "/a/u", "in a transaction")
        })
        .unwrap();
    assert_eq!(runs, 2);
    assert_eq!(client.read(Tx::NONE, "/a/b").unwrap(), b"before");
    assert_eq!(client.get_perms(Tx::NONE, "/a/b").unwrap(), perms);
    assert_eq!(client.directory(Tx::NONE, "/a").unwrap(), ["b", "t", "u"]);
    // The watch was set again, and fired for it; then for the commit.
    let mut paths = Vec::new();
    while let Some(event) = client.next_event(Some(Duration::from_millis(200))).unwrap() {
        assert_eq!(event.token, "token");
        paths.push(event.path);
    }
    assert_eq!(paths, ["/a", "/a/t", "/a/u"]);
    store.kill();
    store.start_again();
    store.client().write(Tx::NONE, "/a/b", "after").unwrap();
    let event = client.next_event(Some(PATIENCE)).unwrap().unwrap();
    assert_eq!(event.path, "/a");
}

#[test]
fn nothing_that_was_answered_is_lost() {
    let mut store = Xenstored::start();
    let client = store.client();
    for round in 0..20 {
        for step in 0..50 {
            client.write(Tx::NONE, &format!("/r/{round}/{step}"), step.to_string()).unwrap();
        }
        client.rm(Tx::NONE, &format!("/r/{round}/7")).unwrap();
        store.kill();
        store.start_again();
        assert_eq!(client.directory(Tx::NONE, &format!("/r/{round}")).unwrap().len(), 49);
    }
    assert_eq!(client.control(&["check"]).unwrap(), "OK");
}

#[test]
fn a_damaged_journal_costs_only_what_is_damaged() {
    let mut store = Xenstored::start();
    store.client().write(Tx::NONE, "/early", "1").unwrap();
    store.client().write(Tx::NONE, "/late", "1").unwrap();
    store.kill();
    let journal = store.folder.path().join("journal");
    let mut bytes = fs::read(&journal).unwrap();
    *bytes.last_mut().unwrap() ^= 0x55;
    fs::write(&journal, bytes).unwrap();
    store.start_again();
    let client = store.client();
    assert!(client.read(Tx::NONE, "/early").is_ok());
    assert!(client.read(Tx::NONE, "/late").unwrap_err().is_not_found());
    store.kill();
    fs::write(&journal, "no journal at all").unwrap();
    store.start_again();
    assert!(store.client().read(Tx::NONE, "/early").unwrap_err().is_not_found());
}

#[test]
fn errors_reach_the_client_by_name() {
    let store = Xenstored::start();
    let client = store.client();
    let read = client.read(Tx::NONE, "/nothing").unwrap_err();
    assert_eq!(read.to_string(), "store: READ /nothing: no such node (ENOENT)");
    assert_eq!(client.read_string(Tx::NONE, "/nothing").unwrap(), None);
    let errno = |error: store::client::Error| error.errno();
    assert_eq!(client.mkdir(Tx::NONE, "bad path").map_err(errno), Err(Some(Errno::Inval)));
    assert_eq!(client.mkdir(Tx::NONE, "/a\0b").map_err(errno), Err(Some(Errno::Inval)));
    let long = "v".repeat(PAYLOAD_MAX);
    assert_eq!(client.write(Tx::NONE, "/a", long).map_err(errno), Err(Some(Errno::TooBig)));
    // Without a hypervisor there is no domain to talk to.
    assert_eq!(client.introduce(7, 1, 1).map_err(errno), Err(Some(Errno::NoSys)));
    assert_eq!(client.release(7).map_err(errno), Err(Some(Errno::NoEnt)));
    assert!(!client.is_introduced(7).unwrap());
    assert_eq!(client.get_domain_path(7).unwrap(), "/local/domain/7");
}

#[test]
fn the_read_only_socket_only_reads() {
    let store = Xenstored::start();
    store.client().write(Tx::NONE, "/a", "1").unwrap();
    let path = store.folder.path().join("socket_ro");
    let client = Client::connect_to(&path).unwrap();
    assert_eq!(client.read(Tx::NONE, "/a").unwrap(), b"1");
    let error = client.write(Tx::NONE, "/a", "2").unwrap_err();
    assert_eq!(error.errno(), Some(Errno::Rofs));
    // Who is neither root nor the daemon's user only reads, wherever the file's mode lets it in.
    if geteuid().is_root() {
        fs::set_permissions(store.folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        fs::set_permissions(store.socket(), PermissionsExt::from_mode(0o666)).unwrap();
        let nobody = |program: &str, words: &[&str]| {
            store.tool(program).args(words).uid(65534).gid(65534).output().unwrap()
        };
        assert_eq!(running::printed(&nobody("xenstore-read", &["/a"])), "1\n");
        assert!(!nobody("xenstore-write", &["/a", "2"]).status.success());
        assert_eq!(store.client().read(Tx::NONE, "/a").unwrap(), b"1");
    }
}

#[test]
fn it_forks_when_it_is_ready_and_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("xenstored.pid");
    let log = folder.path().join("xenstored.log");
    let status = Xenstored::command(&folder)
        .args(["--pid-file", pid_file.to_str().unwrap(), "--log-file", log.to_str().unwrap()])
        .status()
        .unwrap();
    assert!(status.success());
    // Ready means ready: no waiting here.
    let client = Client::connect_to(&folder.path().join("socket")).unwrap();
    client.write(Tx::NONE, "/a", "1").unwrap();
    let second = Xenstored::command(&folder).arg("--no-fork").output().unwrap();
    let message = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1));
    assert!(message.contains("another xenstored is running"), "{message}");
    client.write(Tx::NONE, "/a", "2").unwrap();

    let pid: i32 = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    let gone = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        !pid_file.exists() && !folder.path().join("socket").exists()
    });
    assert!(gone);
    assert!(fs::read_to_string(&log).unwrap().contains("ended by a signal"));
}

#[test]
fn a_run_directory_that_can_not_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for words in [&["--no-fork"][..], &[]] {
        let output = Command::new(env!("CARGO_BIN_EXE_xenstored"))
            .arg("--no-domains")
            .args(words)
            .env("XENSTORED_RUNDIR", file.join("run"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1));
        assert!(message.starts_with("xenstored: ") && message.contains("file/run"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}
