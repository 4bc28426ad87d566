//! Instances that another restarter starts and stops. The graph is the same; their states are
//! those which that restarter reports, and what would be a method is an order to it.
//!
//! What is wanted follows from the state of both sides, so a connection may be lost at any time:
//! when the restarter is back it hears of each instance anew, and nothing is ordered before it has
//! said how that instance is doing.

use super::vertex::Vertex;
use super::{
    Action, Config, Dependency, Engine, Entity, Grouping, Look, Method, Order, Requester,
    RestartOn, StopReason,
};
use crate::fmri::Fmri;
use crate::state::State;

/// Who starts and stops an instance (`general/restarter`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Manager {
    /// The master restarter.
    #[default]
    Master,
    /// This instance.
    Delegate(Fmri),
    /// Nobody: that is no instance's name.
    Nobody,
}

/// The group by which an instance depends on its restarter, beside those of its description: no
/// property group has such a name.
const GROUP: &str = "/restarter";

impl Config {
    /// Has `manager` start and stop the instance, which depends on that, then: it is started only
    /// while its restarter runs, and goes down before it does.
    pub fn manage(&mut self, manager: Manager) {
        self.dependencies.retain(|group| group.name != GROUP);
        if let Manager::Delegate(restarter) = &manager {
            self.dependencies.push(Dependency {
                name: GROUP.to_owned(),
                grouping: Grouping::RequireAll,
                restart_on: RestartOn::None,
                entities: vec![Entity::Service(restarter.clone())],
            });
        }
        self.manager = manager;
    }
}

/// How an instance stands with its restarter.
#[derive(Debug)]
pub(super) struct Delegate {
    /// The restarter.
    pub(super) to: Fmri,
    /// The restarter is there and was told of the instance.
    pub(super) is_added: bool,
    /// It has answered that.
    is_known: bool,
    /// Whether it was last told that the instance shall run.
    told: Option<bool>,
    /// What was ordered and not answered yet.
    order: Option<Order>,
    /// Where the instance is on its way to, as the restarter says.
    moving: Option<State>,
    /// Who asked for its maintenance last.
    by: Option<Requester>,
    /// What is to be ordered when that is possible.
    waiting: Vec<Order>,
}

impl Delegate {
    pub(super) fn new(to: Fmri) -> Self {
        let (is_added, is_known, waiting) = (false, false, Vec::new());
        Self { to, is_added, is_known, told: None, order: None, moving: None, by: None, waiting }
    }

    /// Whether the instance is about to be something else than it is.
    pub(super) fn is_busy(&self) -> bool {
        self.order.is_some() || self.is_moving()
    }

    pub(super) fn is_moving(&self) -> bool {
        self.moving.is_some()
    }

    /// Where that brings it.
    pub(super) fn next(&self) -> Option<State> {
        self.moving.or(match self.order.or(self.waiting.first().copied())? {
            Order::Start | Order::AdminRestore => Some(State::Online),
            Order::Disable => Some(State::Disabled),
            Order::AdminDegraded => Some(State::Degraded),
            Order::Enable | Order::Stop | Order::StopReset => Some(State::Offline),
            Order::AdminRestart | Order::AdminMaintOff => Some(State::Offline),
            Order::AdminMaintOn | Order::AdminMaintOnImmediate => Some(State::Maintenance),
            Order::DependencyCycle | Order::InvalidDependency => Some(State::Maintenance),
            Order::AdminRefresh => None,
        })
    }

    /// Whether an instance in `state` is as was ordered.
    fn is_fulfilled_by(&self, state: State) -> bool {
        self.order.is_none_or(|order| match order {
            Order::Start => state.is_running(),
            Order::Stop | Order::StopReset | Order::AdminRestart => !state.is_running(),
            Order::Enable => state != State::Disabled,
            Order::Disable => state == State::Disabled,
            Order::AdminMaintOff => state != State::Maintenance,
            Order::AdminDegraded => state == State::Degraded,
            Order::AdminRestore => state == State::Online,
            Order::AdminRefresh => true,
            Order::AdminMaintOn | Order::AdminMaintOnImmediate => state == State::Maintenance,
            Order::DependencyCycle | Order::InvalidDependency => state == State::Maintenance,
        })
    }
}

/// What becomes of an instance that is to stop for this reason.
fn order_for(reason: StopReason) -> Order {
    match reason {
        StopReason::Disable => Order::Disable,
        StopReason::Restart => Order::AdminRestart,
        StopReason::Dependency | StopReason::Withdrawn => Order::StopReset,
        StopReason::Maintenance(_) => Order::AdminMaintOn,
        StopReason::Abandon(_) => Order::AdminMaintOnImmediate,
        _ => Order::Stop,
    }
}

impl Order {
    /// Whether it means anything to an instance in `state`.
    fn is_for(self, state: State) -> bool {
        match self {
            Self::AdminDegraded => state == State::Online,
            Self::AdminRestore => state == State::Degraded,
            Self::AdminMaintOff => state == State::Maintenance,
            Self::AdminMaintOn | Self::AdminMaintOnImmediate => state != State::Maintenance,
            _ => true,
        }
    }
}

/// Why an instance is in maintenance that was ordered there.
fn reason_of(order: Order, by: Option<Requester>) -> &'static str {
    match order {
        Order::AdminMaintOn | Order::AdminMaintOnImmediate => {
            by.unwrap_or(Requester::Administrator).name()
        }
        Order::DependencyCycle => "dependency_cycle",
        Order::InvalidDependency => "invalid_dependency",
        _ => "none",
    }
}

impl Engine {
    pub(super) fn delegate(&self, fmri: &Fmri) -> Option<&Delegate> {
        self.vertices.get(fmri)?.delegate.as_ref()
    }

    /// Whose the instance is, if it isn't ours.
    pub fn restarter_of(&self, fmri: &Fmri) -> Option<&Fmri> {
        self.delegate(fmri).map(|delegate| &delegate.to)
    }

    /// Whether its restarter is there and knows of the instance; ours is always.
    pub(super) fn is_reachable(vertex: &Vertex) -> bool {
        vertex.delegate.as_ref().is_none_or(|delegate| delegate.is_added)
    }

    /// Tells the restarter of an instance, if it is there.
    pub(super) fn add_to_restarter(&mut self, fmri: &Fmri) {
        let Some(to) = self.restarter_of(fmri).filter(|to| self.bound.contains(*to)) else {
            return;
        };
        let to = to.clone();
        let Some(vertex) = self.change(fmri) else { return };
        let enabled = vertex.is_wanted();
        let Some(delegate) = &mut vertex.delegate else { return };
        (delegate.is_added, delegate.is_known, delegate.told) = (true, false, Some(enabled));
        self.actions.push(Action::Add { to, fmri: fmri.clone(), enabled });
    }

    /// A restarter is there, or there again.
    pub(super) fn bound(&mut self, restarter: Fmri) {
        self.unbound(&restarter);
        self.bound.insert(restarter.clone());
        for fmri in self.delegated_to(&restarter) {
            self.add_to_restarter(&fmri);
        }
        self.actions.push(Action::Synced(restarter));
    }

    /// A restarter has gone. What it looked after stays as it was; nobody knows better.
    pub(super) fn unbound(&mut self, restarter: &Fmri) {
        if !self.bound.remove(restarter) {
            return;
        }
        for fmri in self.delegated_to(restarter) {
            let Some(vertex) = self.change(&fmri) else { continue };
            let is_deleted = vertex.deleted;
            vertex.method = None;
            let Some(delegate) = &mut vertex.delegate else { continue };
            (delegate.is_added, delegate.is_known, delegate.told) = (false, false, None);
            (delegate.order, delegate.moving) = (None, None);
            self.actions.push(Action::Changed(fmri.clone()));
            self.release(&fmri);
            if is_deleted {
                self.forget(&fmri);
            }
        }
    }

    fn delegated_to(&self, restarter: &Fmri) -> Vec<Fmri> {
        let is_its =
            |vertex: &Vertex| vertex.delegate.as_ref().is_some_and(|to| to.to == *restarter);
        let its = self.vertices.iter().filter(|(_, vertex)| is_its(vertex));
        its.map(|(fmri, _)| fmri.clone()).collect()
    }

    /// Orders something; later, if the restarter isn't there.
    pub(super) fn order(&mut self, fmri: &Fmri, order: Order) {
        let Some(vertex) = self.change(fmri) else { return };
        let Some(delegate) = &mut vertex.delegate else { return };
        if !delegate.is_known {
            delegate.waiting.retain(|other| *other != order);
            delegate.waiting.push(order);
            return self.actions.push(Action::Changed(fmri.clone()));
        }
        match order {
            Order::Enable | Order::Disable => delegate.told = Some(order == Order::Enable),
            _ => {}
        }
        if order != Order::AdminRefresh {
            delegate.order = Some(order);
        }
        let to = delegate.to.clone();
        self.actions.push(Action::Order { to, fmri: fmri.clone(), order });
        self.actions.push(Action::Changed(fmri.clone()));
    }

    /// What a method is to those that are ours.
    pub(super) fn order_method(&mut self, fmri: &Fmri, method: Method) {
        let reason = self.vertices.get(fmri).and_then(|vertex| vertex.stop);
        if let Some(StopReason::Maintenance(by) | StopReason::Abandon(by)) = reason {
            self.note_requester(fmri, by);
        }
        match (method, reason) {
            (Method::Start, _) => self.order(fmri, Order::Start),
            (Method::Refresh, _) => self.order(fmri, Order::AdminRefresh),
            (Method::Stop, reason) => self.order(fmri, reason.map_or(Order::Stop, order_for)),
        }
    }

    /// Does one thing for an instance, if there is one to do.
    pub(super) fn step_delegated(&mut self, fmri: &Fmri) {
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        let (is_wanted, is_active) = (vertex.is_wanted(), vertex.is_active());
        let Some(delegate) = vertex.delegate.as_mut().filter(|delegate| delegate.is_known) else {
            return;
        };
        let is_told = delegate.told == Some(is_wanted);
        // What became pointless meanwhile is not ordered any more.
        let state = vertex.state;
        let waiting = std::mem::take(&mut delegate.waiting);
        let mut due = waiting.into_iter().filter(|order| order.is_for(state));
        if let Some(order) = due.next() {
            delegate.waiting = due.collect();
            return self.order(fmri, order);
        }
        // Even while it is being started: the restarter knows best what can be broken off.
        if let Some(reason) = vertex.stop.filter(|_| vertex.method != Some(Method::Stop)) {
            return self.try_stop(fmri, reason);
        }
        if !is_told && (is_wanted || !is_active) {
            let order = if is_wanted { Order::Enable } else { Order::Disable };
            return self.order(fmri, order);
        }
        if is_wanted && vertex.state == State::Offline && !vertex.is_busy() {
            self.try_start(fmri);
        }
    }

    /// The restarter says how an instance is doing.
    pub(super) fn reported(&mut self, fmri: &Fmri, look: Look, is_error: bool, is_answer: bool) {
        let now = self.now;
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        let before = vertex.state;
        let method = vertex.method;
        let Some(delegate) = vertex.delegate.as_mut().filter(|delegate| delegate.is_added) else {
            return;
        };
        let (order, by) = (delegate.order, delegate.by);
        delegate.is_known = true;
        delegate.moving = look.next.filter(|next| *next != look.state);
        let is_stable = delegate.moving.is_none();
        let is_over = is_stable && (is_answer || delegate.is_fulfilled_by(look.state));
        let is_up = look.state.is_running();
        if is_over {
            delegate.order = None;
            vertex.method = None;
        }
        if is_over && method == Some(Method::Start) && look.state == State::Offline {
            // The restarter counts failures; we don't help it to make too many.
            vertex.not_before = Some(now + super::ends::SECOND);
        }
        let has_stopped = is_stable && !is_up;
        let is_wanted = vertex.config.enabled && !vertex.barred;
        if look.state == State::Offline && before != State::Offline && !is_wanted {
            // It forgot that it was told.
            delegate.told = None;
        }
        if is_up && !before.is_running() && !is_wanted {
            // It was brought up against our will, or before the restarter knew better.
            vertex.want_stop(StopReason::Disable);
        }
        if has_stopped || (is_over && method == Some(Method::Stop)) {
            vertex.stop = None;
            self.wait_no_more(fmri);
        }
        let auxiliary = match (look.state, order) {
            (State::Maintenance, Some(order)) if look.auxiliary == "none" => reason_of(order, by),
            _ => &look.auxiliary,
        };
        self.enter(fmri, look.state, auxiliary);
        if before.is_running() && !is_up && method != Some(Method::Stop) {
            self.propagate(fmri, if is_error { RestartOn::Error } else { RestartOn::Restart });
        }
        if is_up && !before.is_running() && method != Some(Method::Start) {
            self.stop_excluding(fmri);
        }
        if self.vertices[fmri].deleted && has_stopped {
            self.forget(fmri);
        } else if look.state == State::Offline && before != State::Offline {
            self.check_description(fmri);
        }
    }

    fn note_requester(&mut self, fmri: &Fmri, by: Requester) {
        if let Some(delegate) = self.vertices.get_mut(fmri).and_then(|v| v.delegate.as_mut()) {
            delegate.by = Some(by);
        }
    }

    /// Goes to maintenance because its description is of no use.
    pub(super) fn condemn(&mut self, fmri: &Fmri, why: &str, order: Order) {
        match self.delegate(fmri) {
            Some(_) => self.order(fmri, order),
            None => self.enter(fmri, State::Maintenance, why),
        }
    }

    /// What is asked of an instance that is not ours; whether it is one.
    pub(super) fn ask_restarter(&mut self, fmri: &Fmri, order: Order) -> bool {
        let is_delegated = self.delegate(fmri).is_some();
        if is_delegated {
            self.order(fmri, order);
        }
        is_delegated
    }

    /// Marks an instance that doesn't run as one that needs an administrator.
    pub(super) fn order_maintenance(&mut self, fmri: &Fmri, reason: StopReason, by: Requester) {
        self.note_requester(fmri, by);
        if !self.ask_restarter(fmri, order_for(reason)) {
            self.log(fmri, reason.message());
            self.enter(fmri, State::Maintenance, by.name());
        }
    }
}
