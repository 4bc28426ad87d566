//! Software written elsewhere: Debian's xenstore-* and the pyxs package.

mod running;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use running::{Xenstored, printed};
use store::client::Tx;

#[test]
fn the_stock_tools_read_write_list_and_remove() {
    let store = Xenstored::start();
    let run = |program: &str, words: &[&str]| printed(&store.run(program, words));
    run("xenstore-write", &["/a/b", "one", "/a/c", "two"]);
    assert_eq!(run("xenstore-read", &["/a/b", "/a/c"]), "one\ntwo\n");
    assert_eq!(run("xenstore-list", &["/a"]), "b\nc\n");
    assert_eq!(run("xenstore-ls", &["/a"]), "b = \"one\"\nc = \"two\"\n");
    run("xenstore-exists", &["/a/b"]);
    run("xenstore-rm", &["/a/b"]);
    assert_eq!(store.run("xenstore-exists", &["/a/b"]).status.code(), Some(1));
    assert!(!store.run("xenstore-read", &["/a/b"]).status.success());
}

#[test]
fn the_stock_tools_set_permissions() {
    let store = Xenstored::start();
    let run = |program: &str, words: &[&str]| printed(&store.run(program, words));
    run("xenstore-write", &["/a", "1", "/a/b", "2"]);
    run("xenstore-chmod", &["-r", "/a", "n3", "r4", "b5"]);
    let listing = run("xenstore-ls", &["-pf", "/a"]);
    assert!(listing.contains("(n3,r4,b5)"), "{listing}");
}

#[test]
fn xenstore_watch_sees_changes() {
    let store = Xenstored::start();
    let mut watch = store.tool("xenstore-watch");
    let mut watch = watch.args(["-n", "3", "/a"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    // The first event comes at once: from then on nothing is missed.
    assert_eq!(lines.next().unwrap().unwrap(), "/a");
    let client = store.client();
    for path in ["/a/b", "/other", "/a/c/d"] {
        client.write(Tx::NONE, path, "x").unwrap();
    }
    let lines: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(lines, ["/a/b", "/a/c/d"]);
    assert!(watch.wait().unwrap().success());
}

#[test]
fn xenstore_ls_shows_more_children_than_fit_into_one_message() {
    let store = Xenstored::start();
    let client = store.client();
    let names: Vec<_> = (0..1000).map(|at| format!("child-{at:04}")).collect();
    for name in &names {
        client.write(Tx::NONE, &format!("/many/{name}"), "x").unwrap();
    }
    let listing = printed(&store.run("xenstore-ls", &["/many"]));
    let listed: Vec<_> = listing.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(listed, names);
    assert_eq!(client.directory(Tx::NONE, "/many").unwrap(), names);
}

const PYXS: &str = r#"
import sys
from pyxs import Client, PyXSError

with Client(unix_socket_path=sys.argv[1]) as c:
    c.write(b"/foo/bar", b"baz")
    assert c.read(b"/foo/bar") == b"baz"
    assert c[b"/foo/bar"] == b"baz"
    assert c.exists(b"/foo/bar") and not c.exists(b"/nothing")
    c.mkdir(b"/foo/dir")
    assert sorted(c.list(b"/foo")) == [b"bar", b"dir"]
    c.set_perms(b"/foo/bar", [b"n0", b"r7"])
    assert c.get_perms(b"/foo/bar") == [b"n0", b"r7"]
    assert c.get_domain_path(7) == b"/local/domain/7"
    assert not c.is_domain_introduced(7)

    c.transaction()
    c.write(b"/foo/bar", b"in")
    assert c.commit()
    assert c.read(b"/foo/bar") == b"in"
    c.transaction()
    c.write(b"/foo/bar", b"out")
    c.rollback()
    assert c.read(b"/foo/bar") == b"in"

    with Client(unix_socket_path=sys.argv[1]) as other:
        c.transaction()
        c.read(b"/foo/bar")
        other.write(b"/foo/bar", b"theirs")
        c.write(b"/foo/bar", b"mine")
        assert not c.commit()
        assert c.read(b"/foo/bar") == b"theirs"

    try:
        c.read(b"/nothing")
    except PyXSError as e:
        assert e.args[0] == 2, e.args
    else:
        raise AssertionError("a missing node was read")

    with c.monitor() as m:
        m.watch(b"/foo", b"token")
        first = next(m.wait())
        assert (first.path, first.token) == (b"/foo", b"token"), first
        c.write(b"/foo/bar", b"again")
        second = next(m.wait())
        assert (second.path, second.token) == (b"/foo/bar", b"token"), second
        m.unwatch(b"/foo", b"token")
    c.delete(b"/foo")
    assert not c.exists(b"/foo")
print("done")
"#;

#[test]
fn pyxs_works() {
    let store = Xenstored::start();
    let venv = tempfile::tempdir().unwrap();
    let python = venv.path().join("bin/python");
    let installed = [
        Command::new("python3").args(["-m", "venv"]).arg(venv.path()).output().unwrap(),
        Command::new(&python).args(["-m", "pip", "install", "-q", "pyxs"]).output().unwrap(),
    ];
    installed.iter().for_each(|output| drop(printed(output)));
    let output = Command::new(&python).args(["-c", PYXS]).arg(store.socket()).output().unwrap();
    assert_eq!(printed(&output), "done\n");
}
