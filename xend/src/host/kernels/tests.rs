use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use super::folder::MOST;
use super::*;

/// A packed file that contains one byte.
fn packed(byte: u8) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[byte]).unwrap();
    file
}

/// What comes of such a file, and whether it was unpacked for that.
fn unpack(kernels: &Kernels, byte: u8) -> (Vec<u8>, bool) {
    unpack_file(kernels, packed(byte))
}

fn unpack_file(kernels: &Kernels, file: File) -> (Vec<u8>, bool) {
    let mut is_unpacked = false;
    let unpack = |packed: Vec<u8>| {
        is_unpacked = true;
        Ok([packed, vec![0; 3]].concat())
    };
    let mut file = kernels.unpacked(file, unpack).unwrap();
    let mut unpacked = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut unpacked).unwrap();
    (unpacked, is_unpacked)
}

#[test]
fn each_is_unpacked_once_while_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let kernels = Kernels::new(folder.path().join("kernels"));
    assert_eq!(unpack(&kernels, 1), (vec![1, 0, 0, 0], true));
    assert_eq!(unpack(&kernels, 1), (vec![1, 0, 0, 0], false));
    assert_eq!(unpack(&kernels, 2), (vec![2, 0, 0, 0], true));
    // An error is kept nowhere.
    let error = kernels.unpacked(packed(3), |_| Err("damaged".to_owned())).unwrap_err();
    assert_eq!(error, "damaged");
    assert!(unpack(&kernels, 3).1);
}

#[test]
fn a_file_is_known_again_until_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let kernels = Kernels::new(folder.path().join("kernels"));
    // One that was not changed lately.
    let old = "/etc/passwd";
    let stamp = Stamp::of(&fs::metadata(old).unwrap());
    assert!(unpack_file(&kernels, File::open(old).unwrap()).1);
    assert!(!unpack_file(&kernels, File::open(old).unwrap()).1);
    assert!(kernels.known.lock().unwrap().contains_key(&stamp));
    // A young one may change once more without looking different.
    let young = folder.path().join("young");
    fs::write(&young, [1]).unwrap();
    assert!(stamp.is_old() && !Stamp::of(&fs::metadata(&young).unwrap()).is_old());
    // One that is known, and isn't kept any more, is read again.
    fs::remove_dir_all(folder.path().join("kernels")).unwrap();
    assert!(unpack_file(&kernels, File::open(old).unwrap()).1);
}

/// Has ten seconds pass for what is kept.
fn make_older(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let file = File::options().write(true).open(entry.unwrap().path()).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.set_modified(modified - Duration::from_secs(10)).unwrap();
    }
}

#[test]
fn what_was_not_used_for_long_goes() {
    let folder = tempfile::tempdir().unwrap();
    let kernels = Kernels::new(folder.path());
    for packed in 0..MOST as u8 {
        unpack(&kernels, packed);
        make_older(folder.path());
    }
    // The first was made first, but is used again.
    assert!(!unpack(&kernels, 0).1);
    assert!(unpack(&kernels, 100).1);
    assert!(!unpack(&kernels, 0).1);
    assert!(unpack(&kernels, 1).1, "more are kept than should be");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), MOST);
}

#[test]
fn without_a_place_for_them_they_are_unpacked_all_the_same() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let kernels = Kernels::new(file.path());
    assert_eq!(unpack(&kernels, 1), (vec![1, 0, 0, 0], true));
    assert_eq!(unpack(&kernels, 1), (vec![1, 0, 0, 0], true));
    assert!(prepare(&kernels, 1, || ()).is_err());
}

/// Prepares a packed file; what it takes is done by `unpack`.
fn prepare(kernels: &Kernels, byte: u8, unpack: impl FnOnce()) -> Result<(), String> {
    let unpack = |packed: Vec<u8>| {
        unpack();
        Ok([packed, vec![0; 3]].concat())
    };
    kernels.prepare(packed(byte), unpack)
}

#[test]
fn what_is_prepared_is_not_unpacked_again() {
    let folder = tempfile::tempdir().unwrap();
    let kernels = Kernels::new(folder.path().join("kernels"));
    prepare(&kernels, 1, || ()).unwrap();
    prepare(&kernels, 1, || panic!("it is prepared")).unwrap();
    assert_eq!(unpack(&kernels, 1), (vec![1, 0, 0, 0], false));
    let error = kernels.prepare(packed(2), |_| Err("damaged".to_owned())).unwrap_err();
    assert_eq!(error, "damaged");
    assert!(unpack(&kernels, 2).1);
    // A file that was old when it was prepared isn't even read.
    let old = || File::open("/etc/passwd").unwrap();
    kernels.prepare(old(), Ok).unwrap();
    assert!(kernels.known().contains_key(&Stamp::of(&old().metadata().unwrap())));
}

#[test]
fn nothing_goes_for_what_nobody_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let kernels = Kernels::new(folder.path());
    unpack(&kernels, 0);
    make_older(folder.path());
    for byte in 1..MOST as u8 {
        prepare(&kernels, byte, || ()).unwrap();
    }
    let error = prepare(&kernels, 100, || panic!("there is no room")).unwrap_err();
    assert!(error.contains("no room"), "{error}");
    // What is asked for takes the place of one that was only prepared.
    assert!(unpack(&kernels, 100).1);
    assert!(!unpack(&kernels, 0).1);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), MOST);
}

#[test]
fn what_was_half_written_takes_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let kernels = Kernels::new(folder.path());
    for number in 0..MOST {
        fs::write(folder.path().join(format!("{number}.new")), "half").unwrap();
    }
    prepare(&kernels, 1, || ()).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Begins to prepare a kernel, does something while it is unpacked, and ends that when told to.
fn while_prepared(kernels: &Kernels, byte: u8, work: impl FnOnce(mpsc::Sender<()>)) {
    std::thread::scope(|scope| {
        let (begun, has_begun) = mpsc::channel();
        let (end, may_end) = mpsc::channel();
        scope.spawn(move || {
            let wait = || {
                begun.send(()).unwrap();
                may_end.recv().unwrap();
            };
            prepare(kernels, byte, wait).unwrap();
        });
        has_begun.recv().unwrap();
        work(end);
    });
}

#[test]
fn who_wants_what_is_being_prepared_waits_for_just_that() {
    let folder = tempfile::tempdir().unwrap();
    let kernels = Kernels::new(folder.path());
    while_prepared(&kernels, 1, |end| {
        // Another one comes first.
        assert!(unpack(&kernels, 2).1);
        prepare(&kernels, 1, || panic!("it is being prepared")).unwrap();
        std::thread::scope(|scope| {
            let waiters = [(); 2].map(|()| scope.spawn(|| unpack(&kernels, 1)));
            while !kernels.turns.is_awaited() {
                std::thread::yield_now();
            }
            end.send(()).unwrap();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), (vec![1, 0, 0, 0], false));
            }
        });
    });
    assert!(kernels.turns.names().is_empty());
}

#[test]
fn room_is_made_beside_what_is_being_prepared() {
    let folder = tempfile::tempdir().unwrap();
    let kernels = Kernels::new(folder.path());
    while_prepared(&kernels, 100, |end| {
        for byte in 0..MOST as u8 {
            unpack(&kernels, byte);
            make_older(folder.path());
        }
        assert!(unpack(&kernels, 0).1, "there was no room for all");
        end.send(()).unwrap();
    });
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), MOST);
}
