//! Events: which watches a change fires, and who may hear of it.

use std::sync::Arc;

use crate::change::Change;
use crate::connection::{ConnId, Kind};
use crate::operation::{Operation, View};
use crate::path::Path;
use crate::perms::{Caller, DomId};
use crate::quota::Quota;
use crate::store::Store;
use crate::tree::{Edit, Tree};
use crate::watch::Watch;
use crate::wire::{Errno, Op, PAYLOAD_MAX, Packet, fields};

/// An event on its way to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    conn: ConnId,
    path: Path,
    token: Arc<[u8]>,
    relative: bool,
}

impl Event {
    /// The event of `watch` at `path`, which is the watch's own or one below it.
    pub(crate) fn new(watch: &Watch, path: &Path) -> Self {
        let (token, relative) = (Arc::clone(&watch.key.token), watch.key.relative);
        Self { conn: watch.conn, path: path.clone(), token, relative }
    }

    /// The message; `None` if it would be too long.
    fn message(&self, home: DomId) -> Option<Arc<[u8]>> {
        let path = if self.relative { self.path.relative_to(home) } else { self.path.as_str() };
        let payload = fields([path.as_bytes(), &self.token]);
        let fits = payload.len() <= PAYLOAD_MAX;
        fits.then(|| Packet::new(Op::WatchEvent, 0, 0, payload).encode().into())
    }
}

/// May `caller` hear that something happened at `path`? It may if it can read the node, or the
/// one above it.
fn may_hear(tree: &Tree, caller: Caller, path: &Path) -> bool {
    let readable =
        |path: &Path| tree.get(path).is_some_and(|node| node.perms().access(caller).reads());
    readable(path) || path.parent().is_some_and(|parent| readable(&parent))
}

impl Store {
    /// Carries out all of `operations` for `caller`, or none. Answers the events to send.
    pub(crate) fn perform(
        &mut self,
        caller: Caller,
        operations: &[Operation],
    ) -> Result<Vec<Event>, Errno> {
        // One operation is all or nothing by itself: no need to hold the tree before it.
        let before = (operations.len() > 1).then(|| self.tree.clone());
        let (mut edits, mut events) = (Vec::new(), Vec::new());
        for operation in operations {
            let view = View { tree: &self.tree, caller, quotas: &self.quotas };
            match operation.plan(view) {
                Ok(plan) if plan.is_empty() => (),
                Ok(plan) => {
                    events.extend(self.edit(operation.path(), &plan));
                    edits.extend(plan);
                }
                Err(error) => {
                    if let Some(before) = before {
                        self.tree = before;
                    }
                    return Err(error);
                }
            }
        }
        edits.into_iter().for_each(|edit| self.note(Change::Edit(edit)));
        Ok(events)
    }

    /// Applies the edits of one operation at `path`. Answers the events that follow: to those
    /// who could read the node before, and to those who can now.
    fn edit(&mut self, path: &Path, edits: &[Edit]) -> Vec<Event> {
        let mut concerned: Vec<_> =
            self.watches.covering(path).into_iter().map(|watch| (watch, path.clone())).collect();
        if let [Edit::Remove { path }] = edits {
            let below = self.watches.below(path).into_iter();
            let existing = below.filter(|watch| self.tree.get(&watch.key.path).is_some());
            concerned.extend(existing.map(|watch| {
                let at = watch.key.path.clone();
                (watch, at)
            }));
        }
        let hears = |store: &Self, watch: &Watch, path: &Path| {
            let connection = store.connections.get(&watch.conn);
            connection.is_some_and(|it| may_hear(&store.tree, it.caller, path))
        };
        let before: Vec<_> =
            concerned.iter().map(|(watch, path)| hears(self, watch, path)).collect();
        edits.iter().for_each(|edit| self.tree.apply(edit));
        let heard = concerned.iter().zip(before);
        let heard = heard.filter(|((watch, path), before)| *before || hears(self, watch, path));
        heard.map(|((watch, path), _)| Event::new(watch, path)).collect()
    }

    /// Applies the edits that clean up after a dead domain.
    pub(crate) fn clean_up_after(&mut self, domid: DomId) -> Vec<Event> {
        let mut events = Vec::new();
        for edit in self.tree.without(domid) {
            // Nobody is told of entries that go: the domain they were for is gone.
            if let Edit::Remove { path } = &edit {
                events.extend(self.edit(path, std::slice::from_ref(&edit)));
            } else {
                self.tree.apply(&edit);
            }
            self.note(Change::Edit(edit));
        }
        events
    }

    /// The events of a special watch.
    pub(crate) fn special(&self, path: &Path) -> Vec<Event> {
        let hears = |watch: &Arc<Watch>| {
            let connection = self.connections.get(&watch.conn);
            connection.is_some_and(|it| may_hear(&self.tree, it.caller, path))
        };
        let watches = self.watches.covering(path).into_iter().filter(hears);
        watches.map(|watch| Event::new(&watch, path)).collect()
    }

    /// Queues events. One that waits already is not queued again, and a domain that lets too
    /// many wait gets no more until it has read some.
    pub(crate) fn send(&mut self, events: Vec<Event>) {
        for event in events {
            let Some(connection) = self.connections.get(&event.conn) else { continue };
            let Some(message) = event.message(connection.caller.domid) else { continue };
            let waiting = connection.outbox.len() + message.len();
            let full =
                !connection.caller.is_privileged() && !self.quotas.allows(Quota::Memory, waiting);
            if !full && !connection.outbox.has_event(&message) {
                self.queue(event.conn, Kind::Event, message);
            }
        }
    }
}
