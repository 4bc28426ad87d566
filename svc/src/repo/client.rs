//! The client: a blocking connection that is made again when `svc.configd` comes back.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::actions;
use super::frame::{self, FrameError};
use super::wire::{Change, Changed, Code, Failure, Request, Response, Snapshot, View};
use crate::fmri::Fmri;
use crate::value::{Groups, PropertyGroup};

/// How long a lost `svc.configd` is waited for.
const RECONNECT: Duration = Duration::from_secs(10);

/// How long an answer may take on top of the time that the client asked it to wait.
const ANSWER: Duration = Duration::from_secs(60);

/// How many requests are said before an answer is read: so many that neither side waits for the
/// other, and so few that they fit into the socket's buffer.
const WINDOW: usize = 64;

/// The pause between attempts to connect.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a request to the repository failed.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// Nobody listens.
    #[error(
        "Could not connect to the repository server at {path}: {source} (is svc.configd running?)"
    )]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The connection broke and could not be made again, or no answer came.
    #[error("The repository server does not answer: {0}")]
    Lost(io::Error),
    /// The message is too long, or the answer makes no sense.
    #[error("Repository protocol error: {0}")]
    Protocol(#[from] FrameError),
    /// The answer doesn't belong to the question.
    #[error("Repository protocol error: unexpected answer")]
    Unexpected,
    /// The repository refused.
    #[error(transparent)]
    Refused(#[from] Failure),
}

impl RepoError {
    /// Whether the service, instance, group or snapshot doesn't exist.
    pub fn is_not_found(&self) -> bool {
        self.is(Code::NotFound)
    }

    /// Whether the caller may not do that.
    pub fn is_denied(&self) -> bool {
        self.is(Code::Denied)
    }

    /// Whether somebody else changed it meanwhile: read it again, and try again.
    pub fn is_stale(&self) -> bool {
        self.is(Code::Stale)
    }

    /// Whether the repository itself failed, a full disk say: it may succeed later.
    pub fn is_backend(&self) -> bool {
        self.is(Code::Backend)
    }

    fn is(&self, code: Code) -> bool {
        matches!(self, Self::Refused(failure) if failure.code == code)
    }
}

/// A connection to the repository, for one thread.
#[derive(Debug)]
pub struct Repo {
    path: PathBuf,
    stream: RefCell<Option<UnixStream>>,
}

impl Repo {
    /// Connects to the system's repository. A `svc.configd` that just died is waited for; one that
    /// never ran is an error at once.
    pub fn connect() -> Result<Self, RepoError> {
        Self::open(&super::socket_path(), RECONNECT, |kind| kind == ErrorKind::ConnectionRefused)
    }

    /// Connects to the repository at the socket `path`, which may take until `timeout` to appear.
    pub fn connect_to(path: &Path, timeout: Duration) -> Result<Self, RepoError> {
        Self::open(path, timeout, is_absent)
    }

    fn open(
        path: &Path,
        timeout: Duration,
        retry: fn(ErrorKind) -> bool,
    ) -> Result<Self, RepoError> {
        let stream = connect(path, Instant::now() + timeout, retry)
            .map_err(|source| RepoError::Connect { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), stream: RefCell::new(Some(stream)) })
    }

    /// All instances, sorted.
    pub fn instances(&self) -> Result<Vec<Fmri>, RepoError> {
        self.entities(&Request::Instances)
    }

    /// All services, sorted.
    pub fn services(&self) -> Result<Vec<Fmri>, RepoError> {
        self.entities(&Request::Services)
    }

    fn entities(&self, request: &Request) -> Result<Vec<Fmri>, RepoError> {
        match self.call(request)? {
            Response::Entities(fmris) => Ok(fmris),
            _ => Err(RepoError::Unexpected),
        }
    }

    /// The property groups of a service or instance.
    pub fn pgs(&self, fmri: &Fmri, view: &View) -> Result<Groups, RepoError> {
        match self.call(&Request::Groups { fmri: fmri.clone(), view: view.clone() })? {
            Response::Groups(groups) => Ok(groups),
            _ => Err(RepoError::Unexpected),
        }
    }

    /// One property group of a service or instance.
    pub fn pg(
        &self,
        fmri: &Fmri,
        pg: &str,
        view: &View,
    ) -> Result<Option<PropertyGroup>, RepoError> {
        let (fmri, view) = (fmri.clone(), view.clone());
        match self.call(&Request::Group { fmri, pg: pg.to_owned(), view })? {
            Response::Group(group) => Ok(group),
            _ => Err(RepoError::Unexpected),
        }
    }

    /// One property group of a service or instance, with property `prop` alone, if it has that:
    /// which takes the same time however many others there are.
    pub fn property(
        &self,
        fmri: &Fmri,
        pg: &str,
        prop: &str,
        view: &View,
    ) -> Result<Option<PropertyGroup>, RepoError> {
        let (fmri, pg, prop) = (fmri.clone(), pg.to_owned(), prop.to_owned());
        match self.call(&Request::Property { fmri, pg, prop, view: view.clone() })? {
            Response::Group(group) => Ok(group),
            _ => Err(RepoError::Unexpected),
        }
    }

    /// The property groups of each of many; `None` of what doesn't exist.
    pub fn pgs_of(&self, fmris: &[Fmri], view: &View) -> Result<Vec<Option<Groups>>, RepoError> {
        let ask = |fmri: &Fmri| Request::Groups { fmri: fmri.clone(), view: view.clone() };
        self.of_each(fmris, ask, |response| match response {
            Response::Groups(groups) => Some(groups),
            _ => None,
        })
    }

    /// One property group of each of many; `None` of what doesn't exist.
    pub fn pg_of(
        &self,
        fmris: &[Fmri],
        pg: &str,
        view: &View,
    ) -> Result<Vec<Option<PropertyGroup>>, RepoError> {
        let ask = |fmri: &Fmri| {
            let (fmri, view) = (fmri.clone(), view.clone());
            Request::Group { fmri, pg: pg.to_owned(), view }
        };
        let groups = self.of_each(fmris, ask, |response| match response {
            Response::Group(group) => Some(group),
            _ => None,
        })?;
        Ok(groups.into_iter().map(Option::flatten).collect())
    }

    /// The names of the snapshots of each of many instances; `None` of what doesn't exist.
    pub fn snapshots_of(&self, fmris: &[Fmri]) -> Result<Vec<Option<Vec<String>>>, RepoError> {
        let ask = |fmri: &Fmri| Request::Snapshots { fmri: fmri.clone() };
        self.of_each(fmris, ask, |response| match response {
            Response::Snapshots(names) => Some(names),
            _ => None,
        })
    }

    /// Asks the same of many, without waiting for each answer.
    fn of_each<T>(
        &self,
        fmris: &[Fmri],
        ask: impl Fn(&Fmri) -> Request,
        take: impl Fn(Response) -> Option<T>,
    ) -> Result<Vec<Option<T>>, RepoError> {
        let mut all = Vec::with_capacity(fmris.len());
        for some in fmris.chunks(WINDOW) {
            let requests: Vec<Request> = some.iter().map(&ask).collect();
            for response in self.exchange(&requests, Some(ANSWER))? {
                all.push(match response {
                    Response::Failed(failure) if failure.code == Code::NotFound => None,
                    Response::Failed(failure) => return Err(failure.into()),
                    response => Some(take(response).ok_or(RepoError::Unexpected)?),
                });
            }
        }
        Ok(all)
    }

    /// One property group of every instance that has it, in one question; of its properties those in
    /// `props`, or all if that is empty.
    pub fn pg_of_all(
        &self,
        pg: &str,
        props: &[&str],
        view: &View,
    ) -> Result<BTreeMap<Fmri, PropertyGroup>, RepoError> {
        self.pgs_of_all(&[(pg, props, view)])?.pop().ok_or(RepoError::Unexpected)
    }

    /// Answers several of the questions of [`Self::pg_of_all`]. All are asked at once: one answer is
    /// read while the server looks for the next.
    pub fn pgs_of_all(
        &self,
        questions: &[(&str, &[&str], &View)],
    ) -> Result<Vec<BTreeMap<Fmri, PropertyGroup>>, RepoError> {
        let request = |(pg, props, view): &(&str, &[&str], &View)| Request::GroupOfAll {
            pg: (*pg).to_owned(),
            props: props.iter().map(|prop| (*prop).to_owned()).collect(),
            view: (*view).clone(),
        };
        let requests: Vec<_> = questions.iter().map(request).collect();
        let groups = |response| match answer(response)? {
            Response::GroupOfAll(groups) => Ok(groups),
            _ => Err(RepoError::Unexpected),
        };
        self.exchange(&requests, Some(ANSWER))?.into_iter().map(groups).collect()
    }

    /// Makes `changes`, all or none of them; they are on disk when this returns. Returns the
    /// repository's generation.
    pub fn commit(&self, changes: Vec<Change>) -> Result<u64, RepoError> {
        committed(self.call(&Request::Commit { changes })?)
    }

    /// Has commits made, one after the other, whatever becomes of those before. How they went is
    /// asked for with [`Self::outcomes`].
    pub(crate) fn send(&self, commits: Vec<Vec<Change>>) -> Result<Sent, RepoError> {
        let request = |changes| Request::Commit { changes };
        let requests: Vec<_> = commits.into_iter().map(request).collect();
        self.say(&requests, Some(ANSWER)).map(Sent)
    }

    /// How the commits went, as [`Self::commit`] says it of each.
    pub(crate) fn outcomes(&self, sent: Sent) -> Result<Vec<Result<u64, RepoError>>, RepoError> {
        let outcome = |response| answer(response).and_then(committed);
        Ok(self.answers(sent.0)?.into_iter().map(outcome).collect())
    }

    /// Backs the repository up as `repository-KIND-DATE`, before something that may go wrong. The
    /// latest few of each kind are kept.
    pub fn back_up(&self, kind: &str) -> Result<(), RepoError> {
        match self.call(&Request::Backup { kind: kind.to_owned() })? {
            Response::BackedUp => Ok(()),
            _ => Err(RepoError::Unexpected),
        }
    }

    /// Takes snapshot `name` of what is edited now.
    pub fn snapshot(&self, fmri: &Fmri, name: &str) -> Result<(), RepoError> {
        self.commit(vec![Change::Snapshot { fmri: fmri.clone(), name: name.to_owned() }]).map(drop)
    }

    /// Makes snapshot `to` the same as snapshot `from`.
    pub fn copy_snapshot(&self, fmri: &Fmri, from: &str, to: &str) -> Result<(), RepoError> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.commit(vec![Change::CopySnapshot { fmri: fmri.clone(), from, to }]).map(drop)
    }

    /// Asks the restarter of `fmri` for `action` (`refresh`, `restart`, ...), as svcadm(8) does.
    pub fn request(&self, fmri: &Fmri, action: &str) -> Result<(), RepoError> {
        self.commit(actions::request(fmri, action)).map(drop)
    }

    /// Makes what is edited visible to `fmri`, and has its restarter reread it.
    pub fn request_refresh(&self, fmri: &Fmri) -> Result<(), RepoError> {
        let name = super::snapshots::RUNNING.to_owned();
        let mut changes = vec![Change::Snapshot { fmri: fmri.clone(), name }];
        changes.extend(actions::request(fmri, "refresh"));
        self.commit(changes).map(drop)
    }

    /// The names of an instance's snapshots, sorted.
    pub fn snapshots(&self, fmri: &Fmri) -> Result<Vec<String>, RepoError> {
        match self.call(&Request::Snapshots { fmri: fmri.clone() })? {
            Response::Snapshots(names) => Ok(names),
            _ => Err(RepoError::Unexpected),
        }
    }

    /// What snapshot `name` holds, service and instance apart.
    pub fn read_snapshot(&self, fmri: &Fmri, name: &str) -> Result<Option<Snapshot>, RepoError> {
        let request = Request::ReadSnapshot { fmri: fmri.clone(), name: name.to_owned() };
        match self.call(&request)? {
            Response::Snapshot(snapshot) => Ok(snapshot),
            _ => Err(RepoError::Unexpected),
        }
    }

    /// The repository's generation now.
    pub fn generation(&self) -> Result<u64, RepoError> {
        Ok(self.changes_since(u64::MAX, Some(Duration::ZERO))?.0)
    }

    /// Waits until something changed after `generation`, or until `timeout` is over; for ever if
    /// there is none. Returns the generation to go on from, and what changed, each thing once.
    pub fn changes_since(
        &self,
        generation: u64,
        timeout: Option<Duration>,
    ) -> Result<(u64, Vec<Changed>), RepoError> {
        let timeout_ms = timeout.map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX));
        let request = Request::ChangesSince { generation, timeout_ms };
        match self.ask(&request, timeout.map(|t| t.saturating_add(ANSWER)))? {
            Response::Changes { generation, changed } => Ok((generation, changed)),
            _ => Err(RepoError::Unexpected),
        }
    }

    fn call(&self, request: &Request) -> Result<Response, RepoError> {
        self.ask(request, Some(ANSWER))
    }

    fn ask(&self, request: &Request, timeout: Option<Duration>) -> Result<Response, RepoError> {
        let mut responses = self.exchange(std::slice::from_ref(request), timeout)?;
        answer(responses.pop().ok_or(RepoError::Unexpected)?)
    }

    /// Says `requests`, and gives the answers.
    fn exchange(
        &self,
        requests: &[Request],
        timeout: Option<Duration>,
    ) -> Result<Vec<Response>, RepoError> {
        self.answers(self.say(requests, timeout)?)
    }

    /// Says `requests`, whose answers are asked for later. Others may be made in between.
    fn say(&self, requests: &[Request], timeout: Option<Duration>) -> Result<Said, RepoError> {
        let frames = requests.iter().map(frame::encode).collect::<Result<Vec<_>, _>>()?.concat();
        let mut said = Said { frames, count: requests.len(), timeout, stream: None };
        if requests.is_empty() {
            return Ok(said);
        }
        // Taken, so that a connection on which anything went wrong is not used again.
        if let Some(stream) = self.stream.take() {
            // Whatever is wrong with it, the answers are asked for on another one.
            said.stream = said.on(stream).ok();
        }
        Ok(said)
    }

    /// The answers to what was said; on a new connection, and said again, if the old one broke.
    fn answers(&self, mut said: Said) -> Result<Vec<Response>, RepoError> {
        if said.count == 0 {
            return Ok(Vec::new());
        }
        let give_up = Instant::now() + RECONNECT;
        loop {
            match self.attempt(&mut said, give_up) {
                Err(RepoError::Lost(error))
                    if is_broken(error.kind()) && Instant::now() < give_up =>
                {
                    thread::sleep(PAUSE);
                }
                answer => return answer,
            }
        }
    }

    fn attempt(&self, said: &mut Said, give_up: Instant) -> Result<Vec<Response>, RepoError> {
        let mut stream = match said.stream.take() {
            Some(stream) => stream,
            None => connect(&self.path, give_up, is_absent)
                .and_then(|stream| said.on(stream))
                .map_err(RepoError::Lost)?,
        };
        let responses = read_frames(&mut stream, said.count)?;
        self.stream.replace(Some(stream));
        Ok(responses)
    }
}

/// Requests on their way.
#[derive(Debug)]
struct Said {
    frames: Vec<u8>,
    count: usize,
    timeout: Option<Duration>,
    /// Where the answers come, if the requests could be said.
    stream: Option<UnixStream>,
}

impl Said {
    /// Says them on a connection.
    fn on(&self, mut stream: UnixStream) -> io::Result<UnixStream> {
        stream.set_read_timeout(self.timeout)?;
        stream.write_all(&self.frames)?;
        Ok(stream)
    }
}

/// Commits on their way; see [`Repo::send`].
#[derive(Debug)]
pub(crate) struct Sent(Said);

fn answer(response: Response) -> Result<Response, RepoError> {
    match response {
        Response::Failed(failure) => Err(failure.into()),
        response => Ok(response),
    }
}

fn committed(response: Response) -> Result<u64, RepoError> {
    match response {
        Response::Committed { generation } => Ok(generation),
        _ => Err(RepoError::Unexpected),
    }
}

fn connect(path: &Path, give_up: Instant, retry: fn(ErrorKind) -> bool) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path) {
            Err(error) if retry(error.kind()) && Instant::now() < give_up => thread::sleep(PAUSE),
            result => return result,
        }
    }
}

/// Whether the server may still be about to start.
fn is_absent(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}

fn is_broken(kind: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

fn read_frames(stream: &mut UnixStream, count: usize) -> Result<Vec<Response>, RepoError> {
    let mut responses = Vec::with_capacity(count);
    let mut buffer = Vec::new();
    let mut chunk = [0; 64 << 10];
    loop {
        while let Some(response) = frame::decode(&mut buffer)? {
            responses.push(response);
        }
        if responses.len() == count {
            return Ok(responses);
        }
        match stream.read(&mut chunk) {
            Ok(0) => return Err(RepoError::Lost(ErrorKind::UnexpectedEof.into())),
            Ok(n) => buffer.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(RepoError::Lost(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// What is said on the next connection, in answer to which so many commits are confirmed.
    fn serve(listener: &UnixListener, count: u64) -> UnixStream {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = Vec::new();
        let mut chunk = [0; 4096];
        let mut heard = 0;
        while heard < count {
            let length = stream.read(&mut chunk).unwrap();
            assert!(length > 0);
            buffer.extend_from_slice(&chunk[..length]);
            while let Some(request) = frame::decode::<Request>(&mut buffer).unwrap() {
                assert_eq!(request, Request::Commit { changes: Vec::new() });
                heard += 1;
                let answer = Response::Committed { generation: heard };
                stream.write_all(&frame::encode(&answer).unwrap()).unwrap();
            }
        }
        stream
    }

    fn generations(outcomes: Vec<Result<u64, RepoError>>) -> Vec<u64> {
        outcomes.into_iter().map(Result::unwrap).collect()
    }

    #[test]
    fn what_is_on_its_way_keeps_no_other_from_being_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let repo = Repo::connect_to(&path, PAUSE).unwrap();
        let sent = repo.send(vec![Vec::new(); 2]).unwrap();
        thread::scope(|scope| {
            // The first connection is not served before the other one was.
            let first = listener.accept().unwrap().0;
            scope.spawn(|| serve(&listener, 1));
            assert_eq!(repo.commit(Vec::new()).unwrap(), 1);
            // It breaks, and all that was said on it is said again.
            drop(first);
            repo.stream.take();
            scope.spawn(|| serve(&listener, 2));
            assert_eq!(generations(repo.outcomes(sent).unwrap()), [1, 2]);
        });
    }

    #[test]
    fn who_has_nothing_to_say_needs_no_server() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let repo = Repo::connect_to(&path, PAUSE).unwrap();
        drop(listener);
        repo.stream.take();
        let sent = repo.send(Vec::new()).unwrap();
        assert!(repo.outcomes(sent).unwrap().is_empty());
    }
}
