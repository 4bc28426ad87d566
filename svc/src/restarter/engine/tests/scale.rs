//! How much is looked at: it grows with the graph, and not with its square.

use std::cell::Cell;

use super::*;

/// How many instances are looked at, until `size` in a tree, and one that needs all of them, have
/// been started and stopped again. Each names a file, which is looked for together with it.
fn looks(size: usize) -> usize {
    let count = Cell::new(0);
    let exists = |_: &Path| {
        count.set(count.get() + 1);
        true
    };
    let name = |number: usize| format!("s{number:05}");
    let with_file = |on: &[&str]| {
        let file = Entity::File("/there".into());
        let mut group = needs(on, Grouping::RequireAll, RestartOn::Restart);
        group.entities.push(file);
        config(vec![group])
    };
    let mut engine = Engine::new();
    let all: Vec<String> = (0..size).map(name).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let mut events = vec![Event::Configure(fmri("top"), with_file(&all))];
    for number in 0..size {
        let parent = number.checked_sub(1).map(|before| all[before / 8]);
        events.push(Event::Configure(fmri(all[number]), with_file(parent.as_slice())));
    }
    let finish = |engine: &mut Engine, events: Vec<Event>| {
        let mut todo: Vec<Event> = events;
        while let Some(event) = todo.pop() {
            for action in engine.handle([event], 0, &exists) {
                if let Action::Run(fmri, method) = action {
                    todo.push(Event::Done(fmri, method, Outcome::Ok));
                }
            }
        }
    };
    finish(&mut engine, events);
    assert_eq!(engine.look(&fmri("top")).unwrap().state, State::Online);
    finish(&mut engine, vec![Event::Shutdown]);
    assert!(engine.is_quiet());
    count.get()
}

#[test]
fn twenty_times_as_many_are_started_and_stopped_with_twenty_times_the_work() {
    let (few, many) = (looks(100), looks(2000));
    assert!(many <= 22 * few, "{few} looks for 100, {many} for 2000");
}
