//! The socket where other restarters connect (docs/restarter-protocol.md): who they are, their
//! lines in, ours out. Nothing that they say or leave unread keeps anybody waiting.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{Uid, geteuid};

use crate::delegate::{Event, LINE_MAX, Report, Request, VERSION, line, parse, socket_path};
use crate::fmri::Fmri;

/// How many connections there may be.
const CONNECTIONS_MAX: usize = 64;
/// How much may wait to be read by a restarter: all of 100,000 instances, a few times.
const UNREAD_MAX: usize = 64 << 20;

/// Names a connection.
pub(crate) type Link = u64;

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A restarter wants to be known by this name.
    Bind(Link, Fmri),
    /// A restarter says how an instance is doing.
    Report {
        /// The restarter.
        by: Fmri,
        /// What it says.
        report: Report,
        /// It had received all that it was told of the instance.
        is_answer: bool,
    },
    /// A restarter has gone.
    Gone(Fmri),
}

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    /// The name it is known by.
    restarter: Option<Fmri>,
    input: Vec<u8>,
    output: Vec<u8>,
    /// The latest event, and the latest of each instance.
    latest: u64,
    of_instance: BTreeMap<Fmri, u64>,
    /// It is hung up on when it has been told why.
    is_over: bool,
}

/// All connections.
pub(crate) struct Delegates {
    listener: UnixListener,
    connections: BTreeMap<Link, Connection>,
    next: Link,
}

impl Delegates {
    /// Listens. Everybody may connect, and hears why if that is all they may.
    pub(crate) fn open() -> io::Result<Self> {
        let path = socket_path();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
        Ok(Self { listener, connections: BTreeMap::new(), next: 0 })
    }

    /// What poll(2) should look for.
    pub(crate) fn interests(&self) -> Vec<PollFd<'_>> {
        let each = self.connections.values().map(|connection| {
            let flags = match connection.output.is_empty() {
                true => PollFlags::POLLIN,
                false => PollFlags::POLLIN | PollFlags::POLLOUT,
            };
            PollFd::new(connection.stream.as_fd(), flags)
        });
        let listener = PollFd::new(self.listener.as_fd(), PollFlags::POLLIN);
        [listener].into_iter().chain(each).collect()
    }

    /// Takes in what has arrived, and sends what waits.
    pub(crate) fn hear(&mut self) -> Vec<Heard> {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.connections.len() < CONNECTIONS_MAX
                && let Ok(connection) = Connection::new(stream)
            {
                self.next += 1;
                self.connections.insert(self.next, connection);
            }
        }
        let mut heard = Vec::new();
        let mut gone = Vec::new();
        for (link, connection) in &mut self.connections {
            if !connection.hear(*link, &mut heard) || !connection.flush() {
                gone.push(*link);
            }
        }
        for link in gone {
            let connection = self.connections.remove(&link);
            heard.extend(connection.and_then(|gone| gone.restarter).map(Heard::Gone));
        }
        heard
    }

    /// Makes a connection that of `restarter`; one that it had before is over.
    pub(crate) fn bind(&mut self, link: Link, restarter: Fmri) {
        if let Some(earlier) = self.find(&restarter) {
            earlier.restarter = None;
            earlier.refuse("another connection has taken its place");
        }
        if let Some(connection) = self.connections.get_mut(&link) {
            connection.restarter = Some(restarter.clone());
            connection.say(&Event::Bound { restarter, version: VERSION });
        }
    }

    /// Tells a connection why it is hung up on.
    pub(crate) fn refuse(&mut self, link: Link, why: &str) {
        if let Some(connection) = self.connections.get_mut(&link) {
            connection.refuse(why);
        }
    }

    /// Tells a restarter something that concerns no instance, or no order.
    pub(crate) fn say(&mut self, to: &Fmri, event: &Event) {
        if let Some(connection) = self.find(to) {
            connection.say(event);
        }
    }

    /// Tells a restarter an event that is numbered.
    pub(crate) fn tell(&mut self, to: &Fmri, fmri: &Fmri, event: impl FnOnce(u64) -> Event) {
        let Some(connection) = self.find(to) else { return };
        connection.latest += 1;
        let event = event(connection.latest);
        match event {
            Event::RemoveInstance { .. } => connection.of_instance.remove(fmri),
            _ => connection.of_instance.insert(fmri.clone(), connection.latest),
        };
        connection.say(&event);
    }

    fn find(&mut self, restarter: &Fmri) -> Option<&mut Connection> {
        let is_its =
            |connection: &&mut Connection| connection.restarter.as_ref() == Some(restarter);
        self.connections.values_mut().find(is_its)
    }
}

impl Connection {
    fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let uid = Uid::from_raw(getsockopt(&stream, PeerCredentials)?.uid());
        let mut connection = Self {
            stream,
            restarter: None,
            input: Vec::new(),
            output: Vec::new(),
            latest: 0,
            of_instance: BTreeMap::new(),
            is_over: false,
        };
        if !uid.is_root() && uid != geteuid() {
            connection.refuse(&format!("user {uid} may not be a restarter; root may"));
        }
        Ok(connection)
    }

    /// Reads once and deals with all whole lines; whether the connection lives.
    fn hear(&mut self, link: Link, heard: &mut Vec<Heard>) -> bool {
        let mut chunk = [0; LINE_MAX];
        match self.stream.read(&mut chunk) {
            Ok(0) => return false,
            Ok(n) if !self.is_over => self.input.extend_from_slice(&chunk[..n]),
            Ok(_) => {}
            Err(error) if is_transient(&error) => {}
            Err(_) => return false,
        }
        while !self.is_over
            && let Some(request) = parse(&mut self.input)
        {
            match request {
                Ok(request) => heard.extend(self.request(link, request)),
                Err(violation) => self.refuse(&violation.to_string()),
            }
        }
        true
    }

    fn request(&mut self, link: Link, request: Request) -> Option<Heard> {
        match (request, &self.restarter) {
            (Request::Bind { .. }, Some(_)) => {
                self.refuse("\"bind\" is the first line, and no other");
            }
            (Request::Bind { version, .. }, None) if version != VERSION => {
                self.refuse(&format!("version {version} is not spoken here; {VERSION} is"));
            }
            (Request::Bind { restarter, .. }, None) => return Some(Heard::Bind(link, restarter)),
            (Request::Report(_), None) => {
                self.refuse(
                    "the first line is {\"request\":\"bind\",...}, and BOUND is waited for",
                );
            }
            (Request::Report(report), Some(by)) => {
                let by = by.clone();
                if let Err(violation) = report.check() {
                    let (message, instance) = (violation.to_string(), Some(report.instance));
                    self.say(&Event::Error { message, instance });
                    return None;
                }
                let latest = self.of_instance.get(&report.instance);
                let is_answer = report.id.is_some() && report.id >= latest.copied();
                return Some(Heard::Report { by, report, is_answer });
            }
        }
        None
    }

    fn refuse(&mut self, why: &str) {
        self.say(&Event::Error { message: why.to_owned(), instance: None });
        self.is_over = true;
    }

    fn say(&mut self, event: &Event) {
        if self.is_over {
            return;
        }
        match line(event) {
            Ok(line) => self.output.extend(line),
            Err(violation) => super::log::global(&format!("a restarter is not told: {violation}")),
        }
    }

    /// Sends what goes now; whether the connection lives.
    fn flush(&mut self) -> bool {
        let mut sent = 0;
        while sent < self.output.len() {
            match self.stream.write(&self.output[sent..]) {
                Ok(n) => sent += n,
                Err(error) if is_transient(&error) => break,
                Err(_) => return false,
            }
        }
        self.output.drain(..sent);
        let is_told = self.output.is_empty();
        self.output.len() <= UNREAD_MAX && !(self.is_over && is_told)
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
