//! What enabling and disabling writes (smf(7)).

use svc::fmri::Fmri;
use svc::repo::Change;
use svc::value::PropType;

/// The changes that enable or disable `fmri`, for good or until the next boot.
pub fn switch(fmri: &Fmri, enabled: bool, temporary: bool) -> Vec<Change> {
    let pg = if temporary { "general_ovr" } else { "general" };
    let mut changes = vec![
        Change::AddPg {
            fmri: fmri.clone(),
            pg: pg.to_owned(),
            ty: "framework".to_owned(),
            persistent: !temporary,
        },
        Change::SetProp {
            fmri: fmri.clone(),
            pg: pg.to_owned(),
            prop: "enabled".to_owned(),
            ty: PropType::Boolean,
            values: vec![enabled.to_string()],
        },
    ];
    changes.push(if temporary {
        // A reason that was given for an earlier setting isn't the reason for this one.
        let (pg, prop) = (pg.to_owned(), "comment".to_owned());
        Change::DelProp { fmri: fmri.clone(), pg, prop }
    } else {
        Change::DelPg { fmri: fmri.clone(), pg: "general_ovr".to_owned() }
    });
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_for_good_is_kept() {
        let fmri = Fmri::parse("svc:/a:default").unwrap();
        for (temporary, group) in [(false, "general"), (true, "general_ovr")] {
            let changes = switch(&fmri, true, temporary);
            let [Change::AddPg { pg, persistent, .. }, Change::SetProp { values, .. }, last] =
                changes.as_slice()
            else {
                panic!("{changes:?}");
            };
            assert_eq!((pg.as_str(), *persistent), (group, !temporary));
            assert_eq!(values, &["true"]);
            assert_eq!(matches!(last, Change::DelPg { .. }), !temporary);
        }
    }
}
