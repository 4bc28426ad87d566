//! A thread that waits for changes in the repository and passes them on.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::repo::{Changed, Repo, socket_path};

/// How long a repository may be away before we say so, and go on trying.
const PATIENCE: Duration = Duration::from_secs(30);
/// Groups that the restarter writes itself.
const OURS: &str = "restarter";

/// What changed, and the generation that it leads to.
pub(crate) type News = (u64, Vec<Changed>);

/// Passes on what changes after `generation`. `waker` gets a byte whenever there is something.
pub(crate) fn follow(generation: u64, waker: UnixStream) -> Receiver<News> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || run(generation, &waker, &sender));
    receiver
}

fn run(mut generation: u64, mut waker: &UnixStream, sender: &Sender<News>) {
    loop {
        let Ok(repo) = Repo::connect_to(&socket_path(), PATIENCE) else {
            super::log::global("the repository is away; is svc.configd running?");
            continue;
        };
        while let Ok((next, changed)) = repo.changes_since(generation, None) {
            generation = next;
            let foreign: Vec<Changed> =
                changed.into_iter().filter(|c| c.pg.as_deref() != Some(OURS)).collect();
            if foreign.is_empty() {
                continue;
            }
            if sender.send((generation, foreign)).is_err() || waker.write_all(b"!").is_err() {
                return;
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
