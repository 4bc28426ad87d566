//! Much, long, odd and broken input, many clients at once, and no room left on the disk.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use crate::fixture::{Configd, fmri, set};
use svc::repo::frame::encode;
use svc::repo::{Change, Repo, Request, View, snapshots};
use svc::value::{PropType, PropertyGroup};

fn text(prop: &str, value: &str) -> Change {
    Change::SetProp {
        fmri: fmri("svc:/test:x"),
        pg: "config".into(),
        prop: prop.into(),
        ty: PropType::Astring,
        values: vec![value.into()],
    }
}

fn config(repo: &Repo, view: &View) -> PropertyGroup {
    repo.pg(&fmri("svc:/test:x"), "config", view).unwrap().unwrap()
}

#[test]
fn a_group_may_have_100_000_properties() {
    let mut configd = Configd::start();
    let repo = configd.repo();
    let value = "a value of thirty characters..";
    let props = (0..100_000).map(|n| text(&format!("property_{n}"), value));
    let snapshot = Change::Snapshot { fmri: fmri("svc:/test:x"), name: snapshots::RUNNING.into() };
    repo.commit(set(&[]).into_iter().chain(props).chain([snapshot]).collect()).unwrap();
    repo.commit(vec![text("property_99999", "changed")]).unwrap();
    configd.kill();
    configd.start_again();
    let edited = config(&repo, &View::Direct);
    assert_eq!(edited.props.len(), 100_000);
    assert_eq!(edited.first("property_99999"), Some("changed"));
    assert_eq!(config(&repo, &View::Running).first("property_99999"), Some(value));
}

#[test]
fn values_may_have_a_mebibyte() {
    let configd = Configd::start();
    let repo = configd.repo();
    for character in ["x", "\u{1}", "\u{fc}", "\""] {
        let value = character.repeat((1 << 20) / character.len());
        repo.commit([set(&[]), vec![text("long", &value)]].concat()).unwrap();
        assert!(config(&repo, &View::Direct).first("long") == Some(&value), "{character:?}");
    }
    let too_long = repo.commit(vec![text("long", &"x".repeat(65 << 20))]).unwrap_err();
    assert!(too_long.to_string().contains("is too long (the limit is"), "{too_long}");
    repo.generation().unwrap();
}

#[test]
fn odd_names_are_refused_and_odd_values_kept() {
    let configd = Configd::start();
    let repo = configd.repo();
    repo.commit(set(&[])).unwrap();
    let long = "x".repeat(200);
    for name in
        ["", " ", "a b", "a/b", "a:b", "1a", "-", "a\0", "\u{fc}", "'; DROP TABLE pg;", &long]
    {
        let refused = repo.commit(vec![text(name, "value")]).unwrap_err().to_string();
        assert_eq!(refused, format!("Invalid property name \"{name}\"."));
    }
    for (n, value) in
        ["", " ", "'; DROP TABLE pg;--", "\"\\", "\u{1f980}\n\t\r", "%s%n"].iter().enumerate()
    {
        let prop = format!("p{n}");
        repo.commit(vec![text(&prop, value)]).unwrap();
        assert_eq!(config(&repo, &View::Direct).first(&prop), Some(*value));
    }
}

/// What may come from a client that is broken or means harm: rubbish, frames cut off, and frames
/// in which a byte is wrong.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let frame = encode(&Request::Commit { changes: set(&[("a", 1)]) }).unwrap();
    let length = frame.len();
    let cut = (Just(frame.clone()), 0..length).prop_map(|(frame, at)| frame[..at].to_vec());
    let wrong = (Just(frame), 0..length, any::<u8>()).prop_map(|(mut frame, at, byte)| {
        frame[at] = byte;
        frame
    });
    let framed = prop::collection::vec(any::<u8>(), 0..300)
        .prop_map(|body| [&(body.len() as u32).to_le_bytes()[..], &body].concat());
    let nested = (1..20_000_usize).prop_map(|depth| {
        let body = "[".repeat(depth);
        [&(body.len() as u32).to_le_bytes()[..], body.as_bytes()].concat()
    });
    prop_oneof![prop::collection::vec(any::<u8>(), 0..300), framed, nested, cut, wrong]
}

#[test]
fn no_bytes_bring_the_server_down() {
    let mut configd = Configd::start();
    let socket = configd.socket();
    let repo = configd.repo();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(400));
    let outcome = runner.run(&bytes(), |bytes| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        // The server may have hung up by now.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
        prop_assert!(repo.generation().is_ok());
        Ok(())
    });
    outcome.unwrap();
    assert!(configd.is_running());
}

#[test]
fn who_does_not_read_keeps_nobody_waiting() {
    let configd = Configd::start();
    let repo = configd.repo();
    repo.commit([set(&[]), vec![text("long", &"x".repeat(1 << 20))]].concat()).unwrap();
    let request = Request::Groups { fmri: fmri("svc:/test:x"), view: View::Direct };
    let deaf: Vec<UnixStream> = (0..20)
        .map(|_| {
            let mut stream = UnixStream::connect(configd.socket()).unwrap();
            stream.write_all(&encode(&request).unwrap().repeat(3)).unwrap();
            stream
        })
        .collect();
    for value in 0..20 {
        repo.commit(set(&[("a", value)])).unwrap();
    }
    assert_eq!(config(&repo, &View::Direct).first("a"), Some("19"));
    drop(deaf);
}

#[test]
fn two_hundred_clients_are_served_at_once() {
    let configd = Configd::start();
    configd.repo().commit(set(&[])).unwrap();
    let all_connected = Barrier::new(200);
    thread::scope(|scope| {
        for client in 0..200 {
            let (configd, all_connected) = (&configd, &all_connected);
            scope.spawn(move || {
                let repo = configd.repo();
                all_connected.wait();
                repo.commit(set(&[(&format!("p{client}"), client)])).unwrap();
                let mine = config(&repo, &View::Direct).get(&format!("p{client}")).cloned();
                assert_eq!(mine.unwrap().as_count(), Some(client));
            });
        }
    });
    assert_eq!(config(&configd.repo(), &View::Direct).props.len(), 200);
}

#[test]
fn without_room_writes_fail_reads_go_on_and_later_all_is_well() {
    let mut configd = Configd::start();
    let repo = configd.repo();
    repo.commit(set(&[("a", 1)])).unwrap();
    configd.limit_file_size(Some(4096));
    for _ in 0..3 {
        let error = repo.commit(set(&[("a", 2)])).unwrap_err();
        assert!(error.is_backend(), "{error}");
        assert!(error.to_string().contains("nothing was changed"), "{error}");
        assert_eq!(config(&repo, &View::Direct).first("a"), Some("1"));
    }
    let error = repo.back_up("manifest_import").unwrap_err();
    assert!(error.is_backend(), "{error}");
    configd.limit_file_size(None);
    repo.commit(set(&[("a", 3)])).unwrap();
    repo.back_up("manifest_import").unwrap();
    configd.kill();
    configd.start_again();
    assert_eq!(config(&repo, &View::Direct).first("a"), Some("3"));
}

#[test]
fn a_start_without_room_for_a_backup_is_a_start() {
    let mut configd = Configd::start();
    configd.repo().commit(set(&[("a", 1)])).unwrap();
    configd.kill();
    std::fs::remove_dir_all(configd.path("run/svc")).unwrap();
    // A folder in the way stands for whatever keeps the backup from being made.
    std::fs::create_dir_all(configd.path("var/svc/repository-boot.new/x")).unwrap();
    configd.start_again();
    let repo = configd.repo();
    repo.changes_since(u64::MAX, Some(Duration::ZERO)).unwrap();
    assert_eq!(config(&repo, &View::Direct).first("a"), Some("1"));
    configd.kill();
    let said = configd.said();
    assert!(said.contains("there is NO BACKUP of this boot"), "{said}");
}
