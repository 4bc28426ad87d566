//! Users other than root: what `/etc/user_attr` allows them, and nothing else. These tests need
//! root, to become somebody else; another user has nobody to become.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::thread;

use nix::unistd::{Uid, User, geteuid};

use crate::fixture::{Configd, fmri, set};
use svc::repo::{Change, Repo, RepoError, View};
use svc::value::PropType;

const NOBODY: u32 = 65534;

/// Does `work` as nobody, on a connection of its own.
fn as_nobody<T: Send + 'static>(
    configd: Configd,
    work: impl FnOnce(&Repo) -> T + Send + 'static,
) -> (Configd, T) {
    fs::set_permissions(configd.path("."), Permissions::from_mode(0o755)).unwrap();
    let thread = thread::spawn(move || {
        // SAFETY: the system call, unlike the C library's function, changes this thread only.
        assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) }, 0);
        let result = work(&configd.repo());
        (configd, result)
    });
    thread.join().unwrap()
}

/// A repository where nobody has the profile Operator and one authorization.
fn with_user_attr() -> Configd {
    let configd = Configd::start();
    let nobody = User::from_uid(Uid::from_raw(NOBODY)).unwrap();
    let name = nobody.map_or(NOBODY.to_string(), |user| user.name);
    fs::create_dir_all(configd.path("etc/security")).unwrap();
    let users = format!("{name}::::auths=solaris.smf.modify.application;profiles=Operator\n");
    fs::write(configd.path("etc/user_attr"), users).unwrap();
    let profiles = "Operator:::Restarts services:auths=solaris.smf.manage\n";
    fs::write(configd.path("etc/security/prof_attr"), profiles).unwrap();
    configd
}

fn is_denied<T>(result: Result<T, RepoError>) -> bool {
    result.is_err_and(|error| error.is_denied() && error.to_string() == "Permission denied.")
}

#[test]
fn others_may_read_and_not_write() {
    if !geteuid().is_root() {
        return;
    }
    let configd = Configd::start();
    configd.repo().commit(set(&[("a", 1)])).unwrap();
    let (configd, ()) = as_nobody(configd, |repo| {
        assert_eq!(repo.instances().unwrap(), [fmri("svc:/test:x")]);
        assert!(is_denied(repo.commit(set(&[("a", 2)]))));
        assert!(is_denied(repo.request(&fmri("svc:/test:x"), "restart")));
        assert!(is_denied(repo.back_up("mine")));
    });
    let group = configd.repo().pg(&fmri("svc:/test:x"), "config", &View::Direct).unwrap().unwrap();
    assert_eq!(group.first("a"), Some("1"));
}

#[test]
fn users_do_what_their_authorizations_allow() {
    if !geteuid().is_root() {
        return;
    }
    let configd = with_user_attr();
    configd.repo().commit(set(&[("a", 1)])).unwrap();
    let (configd, ()) = as_nobody(configd, |repo| {
        let instance = fmri("svc:/test:x");
        repo.commit(set(&[("a", 2)])).expect("a group of type application");
        repo.request(&instance, "restart").expect("an operator restarts");
        repo.request_refresh(&instance).expect("and refreshes");
        assert!(is_denied(repo.commit(vec![Change::Delete(instance)])));
        assert!(is_denied(repo.back_up("mine")));
    });
    let group = configd.repo().pg(&fmri("svc:/test:x"), "config", &View::Running).unwrap().unwrap();
    assert_eq!(group.first("a"), Some("2"));
}

#[test]
fn a_password_is_for_those_who_may_read_it() {
    if !geteuid().is_root() {
        return;
    }
    let configd = Configd::start();
    let instance = || fmri("svc:/test:x");
    let secret = |prop: &str, value: &str| Change::SetProp {
        fmri: instance(),
        pg: "config".into(),
        prop: prop.into(),
        ty: PropType::Astring,
        values: vec![value.into()],
    };
    let protected = [secret("vnc_passwd", "rosebud"), secret("read_authorization", "site.vnc")];
    configd.repo().commit([set(&[]), protected.to_vec()].concat()).unwrap();
    let password = move |repo: &Repo| {
        let group = repo.pg(&instance(), "config", &View::Composed).unwrap().unwrap();
        assert!(group.is_protected());
        group.get("vnc_passwd").unwrap().first().map(str::to_owned)
    };
    assert_eq!(password(&configd.repo()).as_deref(), Some("rosebud"));
    let (configd, hidden) = as_nobody(configd, password);
    assert_eq!(hidden, None);
    fs::create_dir_all(configd.path("etc/security")).unwrap();
    fs::write(configd.path("etc/security/policy.conf"), "AUTHS_GRANTED=site.vnc\n").unwrap();
    let (_configd, shown) = as_nobody(configd, password);
    assert_eq!(shown.as_deref(), Some("rosebud"), "everybody has been granted it");
}
