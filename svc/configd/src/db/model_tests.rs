//! The repository against a model that fits in the head: random commits, kept or refused alike.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use svc::value::{PropType, Property};
use tempfile::tempdir;

use super::*;
use crate::files::Files;

/// Two services with two instances each, three groups, two properties: small enough to collide.
fn any_fmri() -> impl Strategy<Value = Fmri> {
    prop::sample::select(vec!["svc:/a", "svc:/a:x", "svc:/a:y", "svc:/b", "svc:/b:x", "svc:/b:y"])
        .prop_map(|text| Fmri::parse(text).unwrap())
}

fn any_change() -> impl Strategy<Value = Change> {
    let pg = || prop::sample::select(vec!["p", "q", "r"]).prop_map(str::to_owned);
    let prop = || prop::sample::select(vec!["m", "n"]).prop_map(str::to_owned);
    let ty = prop::sample::select(vec!["application", "framework"]).prop_map(str::to_owned);
    let value = prop::sample::select(vec!["1", "2", "bad"]).prop_map(str::to_owned);
    prop_oneof![
        1 => any_fmri().prop_map(Change::AddService),
        4 => any_fmri().prop_map(Change::AddInstance),
        1 => any_fmri().prop_map(Change::Delete),
        6 => (any_fmri(), pg(), ty, any::<bool>())
            .prop_map(|(fmri, pg, ty, persistent)| Change::AddPg { fmri, pg, ty, persistent }),
        1 => (any_fmri(), pg()).prop_map(|(fmri, pg)| Change::DelPg { fmri, pg }),
        8 => (any_fmri(), pg(), prop(), value).prop_map(|(fmri, pg, prop, value)| {
            Change::SetProp { fmri, pg, prop, ty: PropType::Count, values: vec![value] }
        }),
        1 => (any_fmri(), pg(), prop())
            .prop_map(|(fmri, pg, prop)| Change::DelProp { fmri, pg, prop }),
    ]
}

type Model = BTreeMap<Fmri, Groups>;

/// What a change makes of the model; `None` if it must be refused.
fn apply(model: &mut Model, change: &Change) -> Option<()> {
    match change {
        Change::AddService(fmri) if fmri.is_instance() => return None,
        Change::AddInstance(fmri) if !fmri.is_instance() => return None,
        Change::AddService(fmri) | Change::AddInstance(fmri) => {
            model.entry(fmri.service()).or_default();
            model.entry(fmri.clone()).or_default();
        }
        Change::Delete(doomed) => {
            model.retain(|fmri, _| fmri != doomed && fmri.service() != *doomed);
        }
        Change::AddPg { fmri, pg, ty, persistent } => {
            let new = PropertyGroup { persistent: *persistent, ..PropertyGroup::new(ty) };
            let group = model.get_mut(fmri)?.entry(pg.clone()).or_insert(new);
            (group.ty == *ty && group.persistent == *persistent).then_some(())?;
        }
        Change::DelPg { fmri, pg } => {
            model.get_mut(fmri).and_then(|groups| groups.remove(pg));
        }
        Change::SetProp { fmri, pg, prop, ty, values } => {
            let group = model.get_mut(fmri)?.get_mut(pg)?;
            group.props.insert(prop.clone(), Property::new(*ty, values).ok()?);
        }
        Change::DelProp { fmri, pg, prop } => {
            let group = model.get_mut(fmri).and_then(|groups| groups.get_mut(pg));
            group.and_then(|group| group.props.remove(prop));
        }
        other => panic!("not generated: {other:?}"),
    }
    Some(())
}

fn contents(db: &Db) -> Model {
    let all = [db.entities(false).unwrap(), db.entities(true).unwrap()].concat();
    let groups = |fmri: Fmri| {
        let groups = db.groups(&fmri, &View::Direct, &Rights::All).unwrap();
        (fmri, groups)
    };
    all.into_iter().map(groups).collect()
}

/// Entities and groups that are in one and not, or not the same, in the other.
fn differences(before: &Model, after: &Model) -> BTreeSet<(Fmri, Option<String>)> {
    let mut found = BTreeSet::new();
    for fmri in before.keys().chain(after.keys()) {
        match (before.get(fmri), after.get(fmri)) {
            (Some(before), Some(after)) => {
                let names = before.keys().chain(after.keys());
                let changed = names.filter(|pg| before.get(*pg) != after.get(*pg));
                found.extend(changed.map(|pg| (fmri.clone(), Some(pg.clone()))));
            }
            _ => {
                found.insert((fmri.clone(), None));
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn commits_do_what_the_model_does(commits in prop::collection::vec(prop::collection::vec(any_change(), 1..5), 1..25)) {
        let folder = tempdir().unwrap();
        let files = Files::in_folder(folder.path());
        let mut db = Db::open(&files).unwrap();
        let mut model = Model::new();
        for changes in commits {
            let (before, generation) = (model.clone(), db.generation());
            let mut after = model.clone();
            let allowed = changes.iter().try_for_each(|change| apply(&mut after, change));
            let done = db.commit(&changes, &Rights::All);
            prop_assert_eq!(done.is_ok(), allowed.is_some(), "{:?}: {:?}", changes, done);
            if allowed.is_some() {
                model = after;
            }
            prop_assert_eq!(&contents(&db), &model);
            let told: BTreeSet<_> = db
                .changes_since(generation)
                .unwrap()
                .into_iter()
                .map(|changed| (changed.fmri, changed.pg))
                .collect();
            for (fmri, pg) in differences(&before, &model) {
                let whole = (fmri.clone(), None);
                prop_assert!(told.contains(&(fmri, pg)) || told.contains(&whole));
            }
        }
        drop(db);
        prop_assert_eq!(&contents(&Db::open(&files).unwrap()), &model);
    }
}
