//! What the protocol document promises, request by request, without I/O.

mod common;

use common::{World, domain};
use store::connection::ConnId;
use store::lifecycle::Life;
use store::wire::{Errno, Op, PAYLOAD_MAX, Packet, fields, split};

fn pairs(events: &[(&str, &str)]) -> Vec<(String, String)> {
    events.iter().map(|(path, token)| ((*path).to_owned(), (*token).to_owned())).collect()
}

#[test]
fn a_watch_fires_for_its_node_and_all_below_it() {
    let mut world = World::new();
    let tool = world.tool;
    let other = world.store.connect_socket(true);
    world.watch(other, "/a", "t").unwrap();
    assert_eq!(world.ask(other, Op::Watch, 0, fields(["/a", "t"])), Err(Errno::Exist));
    world.write(tool, 0, "/a/b/c", "1").unwrap();
    world.write(tool, 0, "/ab", "1").unwrap();
    world.ask(tool, Op::Mkdir, 0, fields(["/a/d"])).unwrap();
    world.ask(tool, Op::Mkdir, 0, fields(["/a/d"])).unwrap();
    world.set_perms("/a/d", "r0");
    assert_eq!(world.events(other), pairs(&[("/a/b/c", "t"), ("/a/d", "t")]));
    world.ask(other, Op::Unwatch, 0, fields(["/a", "t"])).unwrap();
    assert_eq!(world.ask(other, Op::Unwatch, 0, fields(["/a", "t"])), Err(Errno::NoEnt));
    world.write(tool, 0, "/a/b/c", "2").unwrap();
    assert_eq!(world.events(other), []);
}

#[test]
fn removal_fires_watches_below_with_their_own_paths() {
    let mut world = World::new();
    let tool = world.tool;
    let other = world.store.connect_socket(true);
    world.write(tool, 0, "/a/b/c", "1").unwrap();
    for (path, token) in [("/", "root"), ("/a/b", "b"), ("/a/b/c", "c"), ("/a/b/none", "none")] {
        world.watch(other, path, token).unwrap();
    }
    world.ask(tool, Op::Rm, 0, fields(["/a"])).unwrap();
    let events = pairs(&[("/a", "root"), ("/a/b", "b"), ("/a/b/c", "c")]);
    assert_eq!(world.events(other), events);
    world.ask(tool, Op::Rm, 0, fields(["/a"])).unwrap();
    assert_eq!(world.events(other), []);
}

#[test]
fn the_same_event_waits_only_once() {
    let mut world = World::new();
    let tool = world.tool;
    let other = world.store.connect_socket(true);
    world.watch(other, "/a", "t").unwrap();
    for value in ["1", "2", "3"] {
        world.write(tool, 0, "/a", value).unwrap();
    }
    assert_eq!(world.events(other), pairs(&[("/a", "t")]));
    world.write(tool, 0, "/a", "4").unwrap();
    assert_eq!(world.events(other), pairs(&[("/a", "t")]));
}

#[test]
fn domains_hear_only_of_what_they_may_read() {
    let mut world = World::new();
    let tool = world.tool;
    world.write(tool, 0, "/secret/a", "1").unwrap();
    world.write(tool, 0, "/open/a", "1").unwrap();
    world.set_perms("/open", "n0 r1");
    world.watch(domain(1), "/secret", "s").unwrap();
    world.watch(domain(1), "/open", "o").unwrap();
    world.write(tool, 0, "/secret/a", "2").unwrap();
    // The node itself can't be read, but its parent can.
    world.write(tool, 0, "/open/a", "2").unwrap();
    assert_eq!(world.events(domain(1)), pairs(&[("/open/a", "o")]));
    // Losing the right to read is still heard of.
    world.write(tool, 0, "/x", "").unwrap();
    world.set_perms("/x", "n0 r1");
    world.watch(domain(1), "/x", "x").unwrap();
    world.set_perms("/x", "n0");
    assert_eq!(world.events(domain(1)), pairs(&[("/x", "x")]));
    world.write(tool, 0, "/x", "2").unwrap();
    assert_eq!(world.events(domain(1)), []);
}

#[test]
fn relative_watches_give_relative_paths() {
    let mut world = World::new();
    let tool = world.tool;
    world.write(tool, 0, "/local/domain/1/device", "").unwrap();
    world.set_perms("/local/domain/1/device", "n0 r1");
    world.watch(domain(1), "device", "rel").unwrap();
    world.watch(domain(1), "/local/domain/1/device", "abs").unwrap();
    world.write(tool, 0, "/local/domain/1/device/vif", "").unwrap();
    let events = pairs(&[("device/vif", "rel"), ("/local/domain/1/device/vif", "abs")]);
    assert_eq!(world.events(domain(1)), events);
}

#[test]
fn transactions_are_invisible_until_they_commit() {
    let mut world = World::new();
    let tool = world.tool;
    let other = world.store.connect_socket(true);
    world.watch(other, "/a", "t").unwrap();
    let tx = world.begin(tool).unwrap();
    world.write(tool, tx, "/a", "1").unwrap();
    world.write(tool, tx, "/a", "2").unwrap();
    assert_eq!(world.ask(tool, Op::Read, tx, fields(["/a"])), Ok(b"2".to_vec()));
    assert_eq!(world.read("/a"), Err(Errno::NoEnt));
    assert_eq!(world.events(other), []);
    world.end(tool, tx, true).unwrap();
    assert_eq!(world.read("/a").unwrap(), "2");
    assert_eq!(world.events(other), pairs(&[("/a", "t")]));
    assert_eq!(world.end(tool, tx, true), Err(Errno::NoEnt));

    let tx = world.begin(tool).unwrap();
    world.write(tool, tx, "/a", "3").unwrap();
    world.end(tool, tx, false).unwrap();
    assert_eq!(world.read("/a").unwrap(), "2");
    assert_eq!(world.events(other), []);
}

#[test]
fn conflicting_transactions_end_with_eagain_and_others_do_not() {
    let mut world = World::new();
    let (tool, other) = (world.tool, world.store.connect_socket(true));
    world.write(tool, 0, "/a", "1").unwrap();
    let (mine, theirs) = (world.begin(tool).unwrap(), world.begin(other).unwrap());
    for (conn, tx) in [(tool, mine), (other, theirs)] {
        world.ask(conn, Op::Read, tx, fields(["/a"])).unwrap();
        world.write(conn, tx, "/a", "2").unwrap();
    }
    world.end(tool, mine, true).unwrap();
    assert_eq!(world.end(other, theirs, true), Err(Errno::Again));

    let (mine, theirs) = (world.begin(tool).unwrap(), world.begin(other).unwrap());
    world.write(tool, mine, "/b/mine", "1").unwrap();
    world.write(other, theirs, "/b/theirs", "1").unwrap();
    world.end(tool, mine, true).unwrap();
    world.end(other, theirs, true).unwrap();
    assert_eq!(world.ask(tool, Op::Directory, 0, fields(["/b"])), Ok(b"mine\0theirs\0".to_vec()));
}

#[test]
fn transactions_do_not_nest_and_belong_to_their_connection() {
    let mut world = World::new();
    let tool = world.tool;
    let tx = world.begin(tool).unwrap();
    assert_eq!(world.ask(tool, Op::TransactionStart, tx, b"\0"), Err(Errno::Busy));
    let other = world.store.connect_socket(true);
    assert_eq!(world.end(other, tx, true), Err(Errno::NoEnt));
    assert_eq!(world.ask(tool, Op::Read, tx + 1, fields(["/"])), Err(Errno::NoEnt));
    assert_eq!(world.ask(tool, Op::TransactionEnd, tx, b"X\0"), Err(Errno::Inval));
    // A watch isn't part of a transaction, whatever the header says.
    world.ask(tool, Op::Watch, 99, fields(["/a", "t"])).unwrap();
    world.ask(tool, Op::ResetWatches, 0, b"\0").unwrap();
    assert_eq!(world.end(tool, tx, true), Err(Errno::NoEnt));
}

#[test]
fn long_lists_of_children_come_in_parts() {
    let mut world = World::new();
    let tool = world.tool;
    let names: Vec<_> = (0..500).map(|at| format!("a-rather-long-name-{at:05}")).collect();
    for name in &names {
        world.ask(tool, Op::Mkdir, 0, fields([&format!("/d/{name}")])).unwrap();
    }
    assert_eq!(world.ask(tool, Op::Directory, 0, fields(["/d"])), Err(Errno::TooBig));
    let (mut list, mut generations) = (Vec::new(), Vec::new());
    while !list.ends_with(b"\0\0") {
        let offset = list.len().to_string();
        let part = world.ask(tool, Op::DirectoryPart, 0, fields(["/d", &offset])).unwrap();
        assert!(part.len() <= PAYLOAD_MAX);
        let end = part.iter().position(|&byte| byte == 0).unwrap();
        generations.push(part[..end].to_vec());
        list.extend_from_slice(&part[end + 1..]);
    }
    generations.dedup();
    assert_eq!(generations.len(), 1);
    list.pop();
    assert_eq!(list, fields(&names));
    world.ask(tool, Op::Mkdir, 0, fields(["/d/new"])).unwrap();
    let part = world.ask(tool, Op::DirectoryPart, 0, fields(["/d", "0"])).unwrap();
    assert_ne!(split(&part)[0], generations[0]);
}

#[test]
fn domains_are_introduced_and_released() {
    let mut world = World::new();
    let tool = world.tool;
    let watcher = world.store.connect_socket(true);
    world.watch(watcher, "@introduceDomain", "in").unwrap();
    world.watch(watcher, "@releaseDomain", "out").unwrap();
    world.watch(domain(2), "@releaseDomain", "out").unwrap();
    let introduced = |world: &mut World, domid: &str| {
        world.ask(tool, Op::IsDomainIntroduced, 0, fields([domid])).unwrap()
    };
    assert_eq!(introduced(&mut world, "7"), b"F\0");
    world.ask(tool, Op::Introduce, 0, fields(["7", "9", "3"])).unwrap();
    assert_eq!(introduced(&mut world, "7"), b"T\0");
    assert_eq!(world.events(watcher), pairs(&[("@introduceDomain", "in")]));
    let path = world.ask(tool, Op::GetDomainPath, 0, fields(["7"]));
    assert_eq!(path, Ok(b"/local/domain/7\0".to_vec()));

    world.write(tool, 0, "/local/domain/7/x", "").unwrap();
    world.set_perms("/local/domain/7", "n7");
    world.write(tool, 0, "/shared", "").unwrap();
    world.set_perms("/shared", "n0 r7 r2");
    world.set_perms("@releaseDomain", "n0 r2");
    world.ask(tool, Op::Release, 0, fields(["7"])).unwrap();
    assert_eq!(introduced(&mut world, "7"), b"F\0");
    assert!(!world.host.connected.contains(&7));
    assert_eq!(world.events(watcher), pairs(&[("@releaseDomain", "out")]));
    assert_eq!(world.events(domain(2)), pairs(&[("@releaseDomain", "out")]));
    // What was its own is gone, and so are its rights.
    assert_eq!(world.read("/local/domain/7"), Err(Errno::NoEnt));
    let perms = world.ask(tool, Op::GetPerms, 0, fields(["/shared"]));
    assert_eq!(perms, Ok(b"n0\0r2\0".to_vec()));
}

#[test]
fn introductions_that_make_no_sense_are_refused() {
    let mut world = World::new();
    let tool = world.tool;
    world.host.missing.insert(9);
    for (bad, error) in [
        (["0", "1", "1"], Errno::Inval),
        (["7", "1", "0"], Errno::Inval),
        (["70000", "1", "1"], Errno::Inval),
        (["9", "1", "1"], Errno::Inval),
    ] {
        assert_eq!(world.ask(tool, Op::Introduce, 0, fields(bad)), Err(error), "{bad:?}");
    }
    assert_eq!(world.ask(tool, Op::Release, 0, fields(["0"])), Err(Errno::Inval));
    assert_eq!(world.ask(tool, Op::Release, 0, fields(["9"])), Err(Errno::NoEnt));
    assert_eq!(world.ask(tool, Op::SetTarget, 0, fields(["1", "9"])), Err(Errno::NoEnt));
    // A domain may not manage others.
    let privileged = [
        (Op::Introduce, fields(["7", "1", "1"])),
        (Op::Release, fields(["2"])),
        (Op::Resume, fields(["2"])),
        (Op::SetTarget, fields(["1", "2"])),
        (Op::Control, fields(["check"])),
    ];
    for (op, payload) in privileged {
        assert_eq!(world.ask(domain(1), op, 0, payload), Err(Errno::Acces), "{op}");
    }
}

#[test]
fn a_domain_that_shuts_down_is_announced_once_until_it_resumes() {
    let mut world = World::new();
    let tool = world.tool;
    world.watch(tool, "@releaseDomain", "out").unwrap();
    let observe = |world: &mut World, life| {
        world.store.observe(1, life, &mut world.host);
        world.events(tool).len()
    };
    assert_eq!(observe(&mut world, Life::Alive), 0);
    assert_eq!(observe(&mut world, Life::ShutDown), 1);
    assert_eq!(observe(&mut world, Life::ShutDown), 0);
    world.ask(tool, Op::Resume, 0, fields(["1"])).unwrap();
    assert_eq!(observe(&mut world, Life::ShutDown), 1);
    assert_eq!(observe(&mut world, Life::Gone), 1);
    assert_eq!(observe(&mut world, Life::Gone), 0);
    assert!(world.store.connection(domain(1)).is_none());
}

#[test]
fn a_target_lends_its_rights() {
    let mut world = World::new();
    let tool = world.tool;
    world.write(tool, 0, "/a", "1").unwrap();
    world.set_perms("/a", "n2");
    assert_eq!(world.ask(domain(1), Op::Read, 0, fields(["/a"])), Err(Errno::Acces));
    world.ask(tool, Op::SetTarget, 0, fields(["1", "2"])).unwrap();
    assert_eq!(world.ask(domain(1), Op::Read, 0, fields(["/a"])), Ok(b"1".to_vec()));
    // Not any more when the target is gone: its number may be another's one day.
    world.ask(tool, Op::Release, 0, fields(["2"])).unwrap();
    world.write(tool, 0, "/a", "1").unwrap();
    world.set_perms("/a", "n2");
    assert_eq!(world.ask(domain(1), Op::Read, 0, fields(["/a"])), Err(Errno::Acces));
}

#[test]
fn an_introduction_again_starts_from_nothing() {
    let mut world = World::new();
    let tool = world.tool;
    world.watch(domain(1), "/local/domain/1/x", "t").unwrap();
    let tx = world.begin(domain(1)).unwrap();
    world.ask(tool, Op::Introduce, 0, fields(["1", "9", "8"])).unwrap();
    assert_eq!(world.end(domain(1), tx, true), Err(Errno::NoEnt));
    world.write(tool, 0, "/local/domain/1/x", "").unwrap();
    assert_eq!(world.events(domain(1)), []);
}

#[test]
fn quotas_stop_a_domain_and_can_be_changed() {
    let mut world = World::new();
    let tool = world.tool;
    let control = |world: &mut World, words: &[&str]| {
        let answer = world.ask(tool, Op::Control, 0, fields(words))?;
        Ok::<_, Errno>(String::from_utf8(answer).unwrap())
    };
    let watches = (0..).take_while(|at| world.watch(domain(1), "/a", &at.to_string()).is_ok());
    assert_eq!(watches.count(), 128);
    let transactions = (0..).take_while(|_| world.begin(domain(1)).is_ok()).count();
    assert_eq!(transactions, 10);
    assert_eq!(world.begin(domain(1)), Err(Errno::NoSpc));
    let usage = control(&mut world, &["quota", "1"]).unwrap();
    assert!(usage.contains("watches          :      128"), "{usage}");
    control(&mut world, &["quota", "set", "transactions", "11"]).unwrap();
    assert!(world.begin(domain(1)).is_ok());
    assert!(control(&mut world, &["quota"]).unwrap().contains("transactions     :       11"));
    assert_eq!(control(&mut world, &["quota", "set", "wishes", "3"]), Err(Errno::Inval));
    assert_eq!(control(&mut world, &["quota", "99"]), Err(Errno::NoEnt));
    // Tools have none.
    assert!((0..200).all(|at| world.watch(tool, "/a", &at.to_string()).is_ok()));
}

#[test]
fn a_domain_that_does_not_read_costs_a_bounded_amount_of_memory() {
    let mut world = World::new();
    let tool = world.tool;
    let home = "/local/domain/1";
    world.write(tool, 0, home, "").unwrap();
    world.set_perms(home, "r1");
    for token in 0..100 {
        world.watch(domain(1), "x", &format!("{token:0>1000}")).unwrap();
    }
    for at in 0..100 {
        world.write(tool, 0, &format!("{home}/x/{at}"), "").unwrap();
    }
    let waiting = world.store.connection(domain(1)).unwrap().outbox.len();
    assert!((2_500_000..=2_621_440).contains(&waiting), "{waiting}");
    assert!(world.events(domain(1)).len() < 100 * 100);
    // Once it has read, it hears again.
    world.write(tool, 0, &format!("{home}/x/new"), "").unwrap();
    assert_eq!(world.events(domain(1)).len(), 100);
}

#[test]
fn requests_wait_while_their_replies_do() {
    let mut world = World::new();
    let request = Packet::new(Op::Read, 1, 0, fields(["/"])).encode();
    let mut left = request.repeat(30);
    let more = world.store.receive_ring(1, &left, &mut world.host).unwrap();
    assert!(more);
    assert_eq!(world.store.connection(domain(1)).unwrap().outbox.replies(), 20);
    left.drain(..20 * request.len());
    assert_eq!(world.store.domains()[&1].ring.cons as usize, 20 * request.len());
    world.events_dropped(domain(1));
    assert!(!world.store.receive_ring(1, &left, &mut world.host).unwrap());
    assert_eq!(world.store.connection(domain(1)).unwrap().outbox.replies(), 10);
}

#[test]
fn a_read_only_connection_only_reads() {
    let mut world = World::new();
    let reader = world.store.connect_socket(false);
    assert!(world.ask(reader, Op::Directory, 0, fields(["/"])).is_ok());
    world.watch(reader, "/a", "t").unwrap();
    assert_eq!(world.write(reader, 0, "/a", "1"), Err(Errno::Rofs));
    for op in [Op::Mkdir, Op::Rm] {
        assert_eq!(world.ask(reader, op, 0, fields(["/a"])), Err(Errno::Rofs));
    }
    assert_eq!(world.ask(reader, Op::Control, 0, fields(["check"])), Err(Errno::Rofs));
    assert_eq!(world.ask(reader, Op::Introduce, 0, fields(["7", "1", "1"])), Err(Errno::Rofs));
}

#[test]
fn requests_that_nobody_knows_are_answered() {
    let mut world = World::new();
    let ask = |world: &mut World, op: u32| {
        let packet = Packet { op, req_id: 3, tx_id: 0, payload: b"/\0".to_vec() };
        world.store.handle(ConnId::Socket(1), &packet, &mut world.host);
        let outbox = &world.store.connection(ConnId::Socket(1)).unwrap().outbox;
        Packet::take(&mut outbox.next().to_vec()).unwrap().unwrap()
    };
    for op in [15, 16, 20, 25, 0xffff] {
        let reply = ask(&mut world, op);
        assert_eq!((reply.op, reply.req_id), (Op::Error as u32, 3));
        assert_eq!(reply.payload, b"ENOSYS\0");
        world.events_dropped(ConnId::Socket(1));
    }
}
