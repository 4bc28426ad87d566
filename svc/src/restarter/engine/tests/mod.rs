//! The graph on its own: a world in which methods end when they are told to.

mod delegated;
mod failures;
mod random;
mod scale;
mod situations;

use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn fmri(name: &str) -> Fmri {
    Fmri::parse(&format!("svc:/{name}:default")).unwrap()
}

fn needs(names: &[&str], grouping: Grouping, restart_on: RestartOn) -> Dependency {
    let entities = names.iter().map(|name| Entity::Service(fmri(name).service())).collect();
    Dependency { name: names.join("-"), grouping, restart_on, entities }
}

fn config(dependencies: Vec<Dependency>) -> Config {
    Config {
        enabled: true,
        dependencies,
        model: Model::Contract,
        has_refresh: false,
        failure_count: 3,
        failure_period: 60_000,
        manager: Manager::Master,
        invalid: false,
        retry: None,
    }
}

/// A graph whose methods succeed when they are told to.
struct World {
    engine: Engine,
    running: BTreeMap<Fmri, Method>,
    dying: BTreeSet<Fmri>,
    order: Vec<(Fmri, Method)>,
    abandoned: Vec<Fmri>,
    logs: Vec<String>,
    now: u64,
}

impl World {
    fn new() -> Self {
        Self {
            engine: Engine::new(),
            running: BTreeMap::new(),
            dying: BTreeSet::new(),
            order: Vec::new(),
            abandoned: Vec::new(),
            logs: Vec::new(),
            now: 0,
        }
    }

    fn event(&mut self, event: Event) {
        self.events(vec![event]);
    }

    fn events(&mut self, events: Vec<Event>) {
        for action in self.engine.handle(events, self.now, &|path| path != Path::new("/missing")) {
            match action {
                Action::Run(fmri, method) => {
                    assert!(!self.dying.contains(&fmri), "{fmri} is being killed");
                    let before = self.running.insert(fmri.clone(), method);
                    assert!(before.is_none(), "two methods of {fmri}");
                    self.order.push((fmri, method));
                }
                Action::BreakOff(fmri) => {
                    assert_eq!(self.running.remove(&fmri), Some(Method::Stop));
                }
                Action::Kill(fmri) => drop(self.dying.insert(fmri)),
                Action::Abandon(fmri) => self.abandoned.push(fmri),
                Action::Log(_, line) | Action::Warn(_, line) => self.logs.push(line),
                _ => {}
            }
        }
    }

    fn add(&mut self, name: &str, config: Config) {
        self.event(Event::Configure(fmri(name), config));
    }

    /// Lets everything that was killed be gone.
    fn bury(&mut self) {
        while let Some(fmri) = self.dying.pop_first() {
            self.event(Event::Gone(fmri));
        }
    }

    /// Ends methods until none runs.
    fn finish_all(&mut self) {
        const LONG: usize = 2000;
        self.bury();
        for _ in 0..LONG {
            let Some((fmri, method)) = self.running.pop_first() else { return };
            self.event(Event::Done(fmri, method, Outcome::Ok));
            self.bury();
        }
        panic!("methods are run for ever");
    }

    /// Has the method that runs now end like this.
    fn finish(&mut self, name: &str, method: Method, outcome: Outcome) {
        assert_eq!(self.running.remove(&fmri(name)), Some(method));
        self.event(Event::Done(fmri(name), method, outcome));
    }

    fn fail_start(&mut self, name: &str, outcome: Outcome) {
        self.finish(name, Method::Start, outcome);
        assert_ne!(self.state(name), State::Maintenance, "it may have processes");
        self.bury();
    }

    fn state(&self, name: &str) -> State {
        self.engine.look(&fmri(name)).unwrap().state
    }

    fn auxiliary(&self, name: &str) -> String {
        self.engine.look(&fmri(name)).unwrap().auxiliary
    }

    fn began(&mut self) -> Vec<String> {
        let word = |(fmri, method): &(Fmri, Method)| format!("{} {}", method.name(), fmri.service);
        self.order.drain(..).map(|each| word(&each)).collect()
    }
}
