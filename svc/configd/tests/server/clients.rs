//! Clients, friendly and hostile: what each may do, and that none harms another.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use crate::fixture::{Configd, fmri, set};
use svc::repo::frame::{MAX_FRAME, encode};
use svc::repo::{Request, View};

/// Whether the other side hung up, within a second.
fn is_closed(stream: &mut UnixStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_))
}

#[test]
fn hostile_clients_lose_their_own_connection_only() {
    let mut configd = Configd::start();
    let repo = configd.repo();
    repo.commit(set(&[("a", 1)])).unwrap();
    let too_long = u32::try_from(MAX_FRAME + 1).unwrap().to_le_bytes().to_vec();
    let garbage = [&5u32.to_le_bytes()[..], b"\xff\xfe{}}"].concat();
    let unknown = encode(&"format_the_disk").unwrap();
    let bad_fmri =
        [&51u32.to_le_bytes()[..], br#"{"snapshots":{"fmri":"svc:/../../etc/passwd:x y z"}}"#]
            .concat();
    for bytes in [too_long, garbage, unknown, bad_fmri] {
        let mut stream = UnixStream::connect(configd.socket()).unwrap();
        stream.write_all(&bytes).unwrap();
        assert!(is_closed(&mut stream), "{bytes:?}");
    }
    let mut silent = UnixStream::connect(configd.socket()).unwrap();
    silent.write_all(&[200]).unwrap();
    assert!(repo.pg(&fmri("svc:/test:x"), "config", &View::Direct).unwrap().is_some());
    assert!(configd.is_running());
}

#[test]
fn requests_in_a_row_are_answered_in_order() {
    let configd = Configd::start();
    configd.repo().commit(set(&[("a", 1)])).unwrap();
    let mut stream = UnixStream::connect(configd.socket()).unwrap();
    let row = [encode(&Request::Instances).unwrap(), encode(&Request::Services).unwrap()].concat();
    stream.write_all(&row.repeat(20)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let expected = [
        encode(&svc::repo::Response::Entities(vec![fmri("svc:/test:x")])).unwrap(),
        encode(&svc::repo::Response::Entities(vec![fmri("svc:/test")])).unwrap(),
    ]
    .concat()
    .repeat(20);
    let mut answers = vec![0; expected.len()];
    stream.read_exact(&mut answers).unwrap();
    assert_eq!(answers, expected);
}

#[test]
fn waiting_for_changes_ends_with_a_change_or_in_time() {
    let configd = Configd::start();
    let repo = configd.repo();
    let generation = repo.commit(set(&[("a", 1)])).unwrap();
    let begin = Instant::now();
    let wait = Duration::from_millis(200);
    assert_eq!(repo.changes_since(generation, Some(wait)).unwrap(), (generation, vec![]));
    assert!(begin.elapsed() >= wait);
    assert_eq!(repo.generation().unwrap(), generation);
    let (_, changed) = repo.changes_since(0, None).unwrap();
    assert!(!changed.is_empty(), "what happened before is told at once");
}

#[test]
fn a_second_server_is_refused_and_the_first_goes_on() {
    let configd = Configd::start();
    let repo = configd.repo();
    let output = configd.command().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("another svc.configd is running"), "{words}");
    repo.generation().unwrap();
}

#[test]
fn readiness_is_told_on_the_given_descriptor() {
    let configd = Configd::start();
    let other = tempfile::tempdir().unwrap();
    let (mut read, write) = std::io::pipe().unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&write);
    let mut command = configd.command();
    command.env("SVC_ROOT", other.path()).args(["--ready-fd", "9"]);
    // SAFETY: dup2 is async-signal-safe, and nothing else happens between fork and exec.
    unsafe {
        command.pre_exec(move || match libc::dup2(fd, 9) {
            9 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let mut child = command.spawn().unwrap();
    drop(write);
    let mut word = [0; 1];
    read.read_exact(&mut word).unwrap();
    assert!(other.path().join("run/svc/repository.sock").exists());
    child.kill().unwrap();
    child.wait().unwrap();
}
