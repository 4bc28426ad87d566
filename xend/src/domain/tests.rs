//! Domains on a host where every step can fail: whatever happens, in the end there is a whole
//! guest or nothing of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::config::{GuestConfig, Source, parse};
use crate::host::fake::{Backends, Fake, Trouble};
use crate::host::{Hypervisor as _, Stop};
use crate::sxp;

struct Place {
    dir: TempDir,
    fake: Fake,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for file in ["k", "disk.img"] {
            std::fs::write(dir.path().join(file), "x").unwrap();
        }
        std::fs::create_dir_all(dir.path().join("net/xenbr0/bridge")).unwrap();
        Self { dir, fake: Fake::default() }
    }

    fn config(&self, text: &str) -> GuestConfig {
        let text = format!(
            "kernel='k'; vif=['']; disk=['file:{}/disk.img,xvda,w!']; uuid='{}'; {text}",
            self.dir.path().display(),
            Uuid::from_u128(7),
        );
        parse(&text, Source::CommandLine, &[], "juliet", self.dir.path()).unwrap().0
    }

    /// An xend that has just been started on this host.
    fn xend(&self) -> Arc<Manager> {
        let settings =
            Settings { device_create_timeout: Duration::from_millis(50), ..Settings::default() };
        let manager = Arc::new(Manager::new(Host {
            hypervisor: Box::new(self.fake.clone()),
            stores: Box::new(self.fake.clone()),
            records: self.records(),
            definitions: Definitions::new(self.dir.path().join("etc")),
            settings: RwLock::new(Arc::new(settings)),
            boot_id: "this".to_owned(),
            net: self.dir.path().join("net"),
        }));
        manager.take_up().unwrap();
        manager
    }

    fn records(&self) -> Records {
        Records::new(self.dir.path().join("records"))
    }

    fn assert_nothing_left(&self, when: &str) {
        let domains = self.fake.domains();
        assert_eq!(domains.len(), 1, "{when}: {domains:?}");
        assert_eq!(self.fake.paths(), Vec::<String>::new(), "{when}");
        assert_eq!(self.records().load().unwrap().0, [], "{when}");
    }

    fn assert_whole(&self, manager: &Manager, when: &str) {
        let domains = self.fake.domains();
        assert_eq!(domains.len(), 2, "{when}: {domains:?}");
        let domid = domains[1].domid;
        assert_eq!(manager.find("juliet").unwrap().domid(), Some(domid), "{when}");
        let base = format!("/local/domain/{domid}");
        assert_eq!(self.fake.value(&format!("{base}/name")).as_deref(), Some("juliet"), "{when}");
        for device in ["vbd/{}/51712", "vif/{}/0"] {
            let path = device.replace("{}", &domid.to_string());
            let path = format!("/local/domain/0/backend/{path}/hotplug-status");
            assert_eq!(self.fake.value(&path).as_deref(), Some("connected"), "{when}");
        }
        let foreign = |path: &String| {
            let folders = [format!("{base}/"), format!("/libxl/{domid}/"), "/vm/".to_owned()];
            let backends = [format!("/vbd/{domid}/"), format!("/vif/{domid}/")];
            let path = format!("{path}/");
            !folders.iter().any(|folder| path.starts_with(folder))
                && !backends.iter().any(|folder| path.contains(folder))
        };
        let rest: Vec<String> = self.fake.paths().into_iter().filter(foreign).collect();
        assert_eq!(rest, Vec::<String>::new(), "{when}");
        let records = self.records().load().unwrap().0;
        assert_eq!(records.len(), 1, "{when}");
        assert_eq!((records[0].phase, records[0].domid), (Phase::Running, Some(domid)), "{when}");
    }
}

/// Has `manager` look after its domains until `done`.
fn look_until(manager: &Arc<Manager>, what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        let _ = manager.look();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Nobody is at any domain any more.
fn settled(manager: &Manager) -> bool {
    let idle = |domain: &Arc<Domain>| {
        domain.turn.try_take().is_some()
            && matches!(domain.record().phase, Phase::Running | Phase::Preserved)
    };
    manager.known().iter().all(idle)
}

#[test]
fn a_guest_is_made_and_destroyed() {
    let place = Place::new();
    let manager = place.xend();
    manager.create(place.config("")).unwrap();
    place.assert_whole(&manager, "made");
    assert!(place.fake.domains()[1].paused);
    manager.unpause("juliet").unwrap();
    assert!(!place.fake.domains()[1].paused);
    manager.shutdown("1", "poweroff").unwrap();
    let asked = place.fake.value("/local/domain/1/control/shutdown");
    assert_eq!(asked.as_deref(), Some("poweroff"));
    let again = manager.create(place.config("uuid=None")).unwrap_err().to_string();
    assert_eq!(again, "Domain 'juliet' already exists with ID '1'");
    manager.destroy("juliet").unwrap();
    place.assert_nothing_left("destroyed");
    assert_eq!(manager.destroy("juliet").unwrap_err(), OpError::NotFound("juliet".into()));
    assert!(manager.destroy("0").unwrap_err().to_string().contains("control domain"));
}

#[test]
fn whatever_step_of_making_fails_nothing_is_left() {
    for step in 0.. {
        let place = Place::new();
        let manager = place.xend();
        place.fake.trouble(Trouble::Once(step));
        let made = manager.create(place.config(""));
        place.fake.trouble(Trouble::Never);
        if made.is_ok() {
            place.assert_whole(&manager, "no step failed");
            assert!(step > 20, "only {step} steps could fail");
            return;
        }
        look_until(&manager, "cleaning up", || manager.known().is_empty());
        place.assert_nothing_left(&format!("step {step} failed"));
    }
}

#[test]
fn when_even_cleaning_up_fails_it_is_tried_again() {
    for step in [6, 9, 12, 15, 18] {
        let place = Place::new();
        let manager = place.xend();
        place.fake.trouble(Trouble::From(step));
        assert!(manager.create(place.config("")).is_err());
        place.fake.trouble(Trouble::Never);
        look_until(&manager, "cleaning up", || manager.known().is_empty());
        place.assert_nothing_left(&format!("all failed from step {step}"));
    }
}

/// Kills xend at every step of `act`, starts another one, and has `check` look at what became.
fn kill_at_every_step(
    prepare: impl Fn(&Place, &Arc<Manager>),
    act: impl Fn(&Place, &Arc<Manager>),
    check: impl Fn(&Place, &Arc<Manager>, &str),
) {
    for step in 0.. {
        let place = Place::new();
        let manager = place.xend();
        prepare(&place, &manager);
        place.fake.trouble(Trouble::Death(step));
        let died = catch_unwind(AssertUnwindSafe(|| act(&place, &manager))).is_err();
        let died = died || place.fake.steps() > step;
        place.fake.trouble(Trouble::Never);
        drop(manager);
        let manager = place.xend();
        look_until(&manager, "settling", || settled(&manager));
        check(&place, &manager, &format!("killed at step {step}"));
        if !died {
            assert!(step > 5, "only {step} steps");
            return;
        }
    }
}

#[test]
fn xend_killed_while_making_leaves_nothing_or_a_whole_guest() {
    kill_at_every_step(
        |_, _| {},
        |place, manager| drop(manager.create(place.config(""))),
        |place, manager, when| match manager.known().len() {
            0 => place.assert_nothing_left(when),
            _ => place.assert_whole(manager, when),
        },
    );
}

#[test]
fn xend_killed_while_destroying_ends_it_after_its_return() {
    kill_at_every_step(
        |place, manager| drop(manager.create(place.config("")).unwrap()),
        |_, manager| drop(manager.destroy("juliet")),
        |place, manager, when| match manager.known().len() {
            0 => place.assert_nothing_left(when),
            // Killed before it had begun.
            _ => place.assert_whole(manager, when),
        },
    );
}

#[test]
fn xend_killed_while_restarting_brings_the_guest_back() {
    kill_at_every_step(
        |place, manager| {
            manager.create(place.config("")).unwrap();
            place.fake.stop(1, Stop::Reboot);
        },
        |_, manager| {
            let domain = manager.known().remove(0);
            let driver = domain.turn.take();
            drop(super::drive::attend(manager, &domain, &driver));
        },
        |place, manager, when| {
            place.assert_whole(manager, when);
            assert!(place.fake.domains()[1].domid > 1, "{when}");
        },
    );
}

#[test]
fn a_guest_outlives_xend_and_is_known_again() {
    let place = Place::new();
    place.xend().create(place.config("")).unwrap();
    let before = place.fake.paths();
    let manager = place.xend();
    place.assert_whole(&manager, "taken up");
    assert_eq!(place.fake.paths(), before);
    // It stopped while no xend was there.
    drop(manager);
    place.fake.stop(1, Stop::Poweroff);
    let began = Instant::now();
    let manager = place.xend();
    look_until(&manager, "destroying", || manager.known().is_empty());
    place.assert_nothing_left("powered off");
    // Nobody waited for a device that the guest had closed itself.
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn each_way_to_stop_has_its_consequence() {
    let place = Place::new();
    let manager = place.xend();
    manager.create(place.config("on_crash='preserve'")).unwrap();
    place.fake.stop(1, Stop::Reboot);
    look_until(&manager, "restarting", || settled(&manager) && place.fake.domains()[1].domid == 2);
    place.assert_whole(&manager, "rebooted");
    assert_eq!(manager.restarts("juliet"), Ok(1));
    assert!(!place.fake.domains()[1].paused);
    place.fake.stop(2, Stop::Crash);
    let phase = || manager.known()[0].record().phase;
    look_until(&manager, "preserving", || phase() == Phase::Preserved && settled(&manager));
    assert!(manager.shutdown("juliet", "poweroff").unwrap_err().to_string().contains("preserved"));
    manager.destroy("2").unwrap();
    place.assert_nothing_left("destroyed");
}

#[test]
fn rename_restart_leaves_the_old_one_under_another_name() {
    let place = Place::new();
    let manager = place.xend();
    manager.create(place.config("on_crash='rename-restart'")).unwrap();
    place.fake.stop(1, Stop::Crash);
    look_until(&manager, "restarting", || {
        settled(&manager) && manager.known().len() == 2 && place.fake.domains().len() == 3
    });
    let name = |domid: u16| place.fake.value(&format!("/local/domain/{domid}/name")).unwrap();
    assert_eq!((name(1).as_str(), name(2).as_str()), ("juliet-1", "juliet"));
    assert_eq!(place.fake.domains()[2].uuid, Uuid::from_u128(7));
    // Both are known again after a restart of xend.
    let manager = place.xend();
    assert_eq!(manager.known().len(), 2);
    manager.destroy("juliet-1").unwrap();
    place.assert_whole(&manager, "the old one is destroyed");
}

#[test]
fn a_guest_that_dies_at_once_is_not_restarted_for_ever() {
    let place = Place::new();
    let manager = place.xend();
    manager.create(place.config("on_crash='restart'")).unwrap();
    for _ in 0..super::policy::MAX_SHORT_LIVES {
        let domid = place.fake.domains()[1].domid;
        place.fake.stop(domid, Stop::Crash);
        look_until(&manager, "restarting", || {
            settled(&manager) && place.fake.domains()[1].domid == domid + 1
        });
    }
    place.fake.stop(place.fake.domains()[1].domid, Stop::Crash);
    look_until(&manager, "giving up", || manager.known().is_empty());
    place.assert_nothing_left("given up");
}

#[test]
fn a_device_that_does_not_come_up_says_why() {
    let place = Place::new();
    let manager = place.xend();
    place.fake.backends(Backends::Failing);
    let error = manager.create(place.config("")).unwrap_err().to_string();
    assert_eq!(error, "disk 51712: no such bridge");
    place.assert_nothing_left("failed");
    place.fake.backends(Backends::Silent);
    let error = manager.create(place.config("")).unwrap_err().to_string();
    assert!(error.contains("is the service xenbackendd online?"), "{error}");
    place.assert_nothing_left("silent");
}

#[test]
fn a_guest_can_be_destroyed_while_it_waits_for_its_devices() {
    let place = Place::new();
    let manager = place.xend();
    let patient =
        Settings { device_create_timeout: Duration::from_secs(60), ..Settings::default() };
    manager.host().set_settings(patient);
    place.fake.backends(Backends::Silent);
    let (other, config) = (Arc::clone(&manager), place.config(""));
    let maker = std::thread::spawn(move || other.create(config).map(drop));
    look_until(&manager, "making", || manager.find("1").is_ok());
    // Meanwhile nobody has to wait to see it.
    assert!(sxp::pretty(&manager.list(true, "all", true).unwrap()).contains("(name juliet)"));
    manager.destroy("juliet").unwrap();
    let error = maker.join().unwrap().unwrap_err().to_string();
    assert_eq!(error, "it is destroyed while it is made");
    place.assert_nothing_left("destroyed");
}

#[test]
fn what_is_plainly_wrong_makes_nothing_at_all() {
    let place = Place::new();
    let manager = place.xend();
    let refused = |text: &str| manager.create(place.config(text)).unwrap_err().to_string();
    assert!(refused("kernel='/missing'").contains("does not exist"));
    assert!(refused("vif=['bridge=xenbr9']").contains("no bridge xenbr9"));
    assert!(refused("memory=2000000").contains("not enough free memory"));
    assert_eq!(place.fake.domains().len(), 1);
}

#[test]
fn domains_of_others_are_seen_and_left_alone() {
    let place = Place::new();
    let manager = place.xend();
    let domid = place.fake.appear(Uuid::from_u128(9), "romeo");
    let names = manager.list(false, "all", false).unwrap();
    assert_eq!(names, ["Domain-0", "romeo"].into_iter().collect());
    let taken = manager.create(place.config("name='romeo'")).unwrap_err().to_string();
    assert_eq!(taken, "Domain 'romeo' already exists");
    manager.look().unwrap();
    assert_eq!(place.fake.domains().len(), 2);
    manager.pause("romeo").unwrap();
    assert!(place.fake.info(domid).unwrap().unwrap().paused);
    manager.destroy("romeo").unwrap();
    assert_eq!(place.fake.domains().len(), 1);
}

#[test]
fn a_guest_that_somebody_else_destroys_is_cleaned_away() {
    let place = Place::new();
    let manager = place.xend();
    manager.create(place.config("")).unwrap();
    place.fake.vanish(1);
    look_until(&manager, "cleaning up", || manager.known().is_empty());
    place.assert_nothing_left("vanished");
}

#[test]
fn nothing_outlives_a_boot_of_the_host() {
    let place = Place::new();
    place.xend().create(place.config("")).unwrap();
    let after = Place { dir: place.dir, fake: Fake::default() };
    let mut records = after.records().load().unwrap().0;
    records[0].boot_id = "another".to_owned();
    after.records().save(&records[0]).unwrap();
    let manager = after.xend();
    assert!(manager.known().is_empty());
    after.assert_nothing_left("after a boot");
}
