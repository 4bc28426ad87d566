//! The poll loop: one thread, one request at a time, so commits are in one order for everybody.

use std::io::{self, Stdin};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use svc::memory;
use svc::repo::{Request, Response};

use crate::connection::{Connection, Hangup, Waiter};
use crate::db::{Db, DbError};
use crate::files::{FileError, remove_if_there, with_suffix};
use crate::requests::{self, Answer};
use crate::rights::Rights;

/// How many clients there may be, if the system allows that many descriptors.
const CLIENTS: u64 = 4096;

/// How many clients one user other than root may have, so that nobody locks the others out.
const CLIENTS_OF_USER: usize = 256;

/// How long there has to be nothing to do before memory is given back.
const IDLE: Duration = Duration::from_secs(2);

/// Descriptors needed for anything but clients.
const OTHER_DESCRIPTORS: u64 = 64;

/// The repository can't be served any longer.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The database is damaged; the next start mends it.
    #[error("the repository is DAMAGED: {0}")]
    Damaged(#[from] DbError),
    /// poll(2) failed.
    #[error("poll: {0}")]
    Poll(nix::Error),
}

/// Makes the socket, which appears when it can be connected to and not before.
pub fn listen(path: &Path) -> Result<UnixListener, FileError> {
    let draft = with_suffix(path, ".new");
    remove_if_there(&draft)?;
    let make = || {
        let listener = UnixListener::bind(&draft)?;
        listener.set_nonblocking(true)?;
        // Everybody may connect; who may write is a matter of peer credentials.
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o666))?;
        std::fs::rename(&draft, path)?;
        Ok(listener)
    };
    make().map_err(FileError::at(path))
}

/// Serves for ever, or until the other end of `leash` is closed: by whom all this is for, or
/// because he is dead.
pub fn serve(listener: &UnixListener, db: Db, leash: Option<Stdin>) -> Result<(), ServeError> {
    let clients = Vec::new();
    let mut server = Server { db, clients, most: client_limit(), leash, tidy_at: None };
    while server.turn(listener)? {}
    Ok(())
}

/// How many clients there may be, after asking the system for enough descriptors.
fn client_limit() -> usize {
    let wanted = CLIENTS + OTHER_DESCRIPTORS;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return CLIENTS_OF_USER };
    let granted = match setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard).max(soft), hard) {
        Ok(()) => wanted.min(hard),
        Err(_) => soft,
    };
    granted.saturating_sub(OTHER_DESCRIPTORS).clamp(1, CLIENTS) as usize
}

struct Server {
    db: Db,
    clients: Vec<Connection>,
    most: usize,
    leash: Option<Stdin>,
    /// When memory is given back, unless there is more to do by then.
    tidy_at: Option<Instant>,
}

impl Server {
    /// Waits for something to happen and deals with it. Returns whether to go on.
    fn turn(&mut self, listener: &UnixListener) -> Result<bool, ServeError> {
        let ready = self.wait(listener)?;
        let leash = self.leash.is_some().then(|| ready[ready.len() - 1]);
        if leash.is_some_and(|flags| flags.contains(PollFlags::POLLHUP)) {
            return Ok(false);
        }
        let before = self.db.generation();
        let now = Instant::now();
        self.tidy(now, ready.iter().any(|flags| !flags.is_empty()));
        let (accept, ready) = (ready[0], &ready[1..]);
        let mut kept = Vec::with_capacity(self.clients.len());
        for (mut client, &flags) in std::mem::take(&mut self.clients).into_iter().zip(ready) {
            match self.attend(&mut client, flags, now)? {
                Ok(()) => kept.push(client),
                Err(reason) => report(&client, &reason),
            }
        }
        self.clients = kept;
        while self.db.is_unsynced() {
            self.sync()?;
        }
        if self.db.generation() != before {
            self.wake_waiters()?;
        }
        if !accept.is_empty() {
            self.accept(listener);
        }
        Ok(true)
    }

    /// What poll(2) reports: the listener first, then each client, and the leash, if there is one.
    fn wait(&self, listener: &UnixListener) -> Result<Vec<PollFlags>, ServeError> {
        let interest =
            if self.clients.len() < self.most { PollFlags::POLLIN } else { PollFlags::empty() };
        let clients =
            self.clients.iter().map(|client| PollFd::new(client.as_fd(), client.interest()));
        let mut fds: Vec<PollFd<'_>> =
            std::iter::once(PollFd::new(listener.as_fd(), interest)).chain(clients).collect();
        // That it is closed is reported unasked.
        fds.extend(self.leash.as_ref().map(|leash| PollFd::new(leash.as_fd(), PollFlags::empty())));
        let deadlines = self.clients.iter().filter_map(Connection::deadline);
        let deadline = deadlines.chain(self.tidy_at).min();
        match poll(&mut fds, timeout_until(deadline)) {
            Ok(_) => Ok(fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty())).collect()),
            Err(nix::Error::EINTR) => Ok(vec![PollFlags::empty(); fds.len()]),
            Err(error) => Err(ServeError::Poll(error)),
        }
    }

    /// Gives memory back after a while in which nobody wanted anything.
    fn tidy(&mut self, now: Instant, is_busy: bool) {
        if is_busy {
            self.tidy_at = Some(now + IDLE);
        } else if self.tidy_at.is_some_and(|at| at <= now) {
            self.tidy_at = None;
            // What can't be let go is kept, and no harm is done.
            let _ = self.db.release_memory();
            memory::release();
        }
    }

    /// Deals with one client. The outer error ends the server, the inner one the connection.
    fn attend(
        &mut self,
        client: &mut Connection,
        flags: PollFlags,
        now: Instant,
    ) -> Result<Result<(), Hangup>, ServeError> {
        let overdue = client.deadline().is_some_and(|deadline| deadline <= now);
        if client.is_sending() {
            return Ok(if overdue || !flags.is_empty() { client.flush() } else { Ok(()) });
        }
        if let Some(waiter) = client.waiter {
            let gone = PollFlags::POLLHUP | PollFlags::POLLERR;
            return if flags.intersects(gone) {
                Ok(Err(io::Error::from(io::ErrorKind::ConnectionReset).into()))
            } else if overdue {
                Ok(client.send(&requests::changes(&self.db, waiter.generation)?))
            } else {
                Ok(Ok(()))
            };
        }
        if overdue || !flags.is_empty() {
            let first = client.receive();
            self.converse(client, first)
        } else {
            Ok(Ok(()))
        }
    }

    /// Makes the commits of this turn durable, answers those who made them, and goes on with those
    /// who had to wait for that.
    fn sync(&mut self) -> Result<(), ServeError> {
        let failure = match self.db.sync() {
            Ok(()) => None,
            Err(error) if error.is_damage() => return Err(error.into()),
            Err(error) => Some(error.failure()),
        };
        let mut kept = Vec::with_capacity(self.clients.len());
        for mut client in std::mem::take(&mut self.clients) {
            let outcome = match (client.held.take(), client.deferred.take()) {
                (None, None) => Ok(()),
                (Some(held), _) => {
                    let response = failure.clone().map_or(held, Response::Failed);
                    match client.send(&response) {
                        Ok(()) if client.is_idle() => {
                            let next = client.next_request();
                            self.converse(&mut client, next)?
                        }
                        sent => sent,
                    }
                }
                (None, deferred) => self.converse(&mut client, Ok(deferred))?,
            };
            match outcome {
                Ok(()) => kept.push(client),
                Err(reason) => report(&client, &reason),
            }
        }
        self.clients = kept;
        Ok(())
    }

    /// Answers requests until there is no whole one left. While there are commits that aren't
    /// durable, only others may join them.
    fn converse(
        &mut self,
        client: &mut Connection,
        mut next: Result<Option<Request>, Hangup>,
    ) -> Result<Result<(), Hangup>, ServeError> {
        loop {
            let request = match next {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(Ok(())),
                Err(reason) => return Ok(Err(reason)),
            };
            if self.db.is_unsynced() && !matches!(request, Request::Commit { .. }) {
                client.deferred = Some(request);
                return Ok(Ok(()));
            }
            match requests::answer(&mut self.db, request, &client.rights)? {
                Answer::Now(response) => {
                    if let Err(reason) = client.send(&response) {
                        return Ok(Err(reason));
                    }
                }
                Answer::WhenSynced(response) => client.held = Some(response),
                Answer::Later { generation, timeout_ms } => {
                    let deadline = timeout_ms
                        .and_then(|ms| Instant::now().checked_add(Duration::from_millis(ms)));
                    client.waiter = Some(Waiter { generation, deadline });
                }
            }
            if !client.is_idle() {
                return Ok(Ok(()));
            }
            next = client.next_request();
        }
    }

    fn wake_waiters(&mut self) -> Result<(), ServeError> {
        let mut kept = Vec::with_capacity(self.clients.len());
        for mut client in std::mem::take(&mut self.clients) {
            let woken = match client.waiter {
                Some(waiter) => client.send(&requests::changes(&self.db, waiter.generation)?),
                None => Ok(()),
            };
            match woken {
                Ok(()) => kept.push(client),
                Err(reason) => report(&client, &reason),
            }
        }
        self.clients = kept;
        Ok(())
    }

    fn accept(&mut self, listener: &UnixListener) {
        while self.clients.len() < self.most {
            match listener.accept() {
                Ok((stream, _)) => self.admit(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    eprintln!("svc.configd: accept: {error}");
                    return;
                }
            }
        }
    }

    fn admit(&mut self, stream: UnixStream) {
        // A client that is gone already is no loss.
        let Ok(client) = Connection::new(stream) else { return };
        let of_user = self.clients.iter().filter(|other| other.uid == client.uid).count();
        if client.rights == Rights::All || of_user < CLIENTS_OF_USER {
            self.clients.push(client);
        }
    }
}

fn timeout_until(deadline: Option<Instant>) -> PollTimeout {
    let Some(deadline) = deadline else { return PollTimeout::NONE };
    // Rounded up, or the loop would spin through the last millisecond.
    let left = deadline.saturating_duration_since(Instant::now()).as_millis().saturating_add(1);
    PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
}

/// Says why a client was hung up on, unless it just left.
fn report(client: &Connection, reason: &Hangup) {
    if !matches!(reason, Hangup::Gone(_)) {
        eprintln!("svc.configd: client of uid {}: {reason}", client.uid);
    }
}
