//! How far the repository's changes are dealt with, kept over a restart of the restarter.

use std::collections::BTreeMap;
use std::fs;

use crate::fmri::Fmri;
use crate::restarter::log;
use crate::value::PropertyGroup;

/// The generation of the repository up to which the restarter has read what is asked of it, and
/// shown in the repository what comes of that; `None` if there was no restarter since boot.
pub fn obeyed() -> Option<u64> {
    Progress::load().map(|progress| progress.generation)
}

/// How far the repository's changes are dealt with; kept over a restart of the restarter, so that
/// no request is lost and none is obeyed twice.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) generation: u64,
    /// The newest request that was obeyed before this process began, in ns since 1970.
    before: i64,
    /// The newest of each instance's requests since, by action.
    obeyed: BTreeMap<(Fmri, String), i64>,
}

impl Progress {
    pub(super) fn begin(generation: u64) -> Self {
        Self { generation, before: 0, obeyed: BTreeMap::new() }
    }

    pub(super) fn load() -> Option<Self> {
        let text = fs::read_to_string(crate::root("/run/svc/startd.progress")).ok()?;
        let (generation, before) = text.trim().split_once(' ')?;
        let before = before.parse().ok()?;
        Some(Self { before, ..Self::begin(generation.parse().ok()?) })
    }

    pub(super) fn save(&self) {
        let newest = self.obeyed.values().copied().max().unwrap_or(0).max(self.before);
        let path = crate::root("/run/svc/startd.progress");
        let new = path.with_extension("new");
        let written = fs::write(&new, format!("{} {newest}\n", self.generation));
        if let Err(error) = written.and_then(|()| fs::rename(&new, &path)) {
            log::global(&format!("{}: {error}", path.display()));
        }
    }

    /// The requests in the group that are new, with their times.
    pub(super) fn news(
        &mut self,
        fmri: &Fmri,
        group: Option<&PropertyGroup>,
    ) -> Vec<(String, i64)> {
        let mut news = Vec::new();
        for (action, property) in group.iter().flat_map(|group| &group.props) {
            let Some(time) = property.as_integer() else { continue };
            let key = (fmri.clone(), action.clone());
            let known = self.obeyed.get(&key).copied().unwrap_or(self.before);
            if time > known {
                self.obeyed.insert(key, time);
                news.push((action.clone(), time));
            }
        }
        news
    }
}
