//! What the operands of svcprop(1) mean.

use svc::fmri::{self, Fmri, PropFmri};
use svc::glob;
use svc::repo::Repo;

use crate::Error;
use crate::options::{Misuse, Wanted};

/// An entity, and what of it is wanted; everything if nothing is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) entity: Fmri,
    pub(crate) selections: Vec<Selection>,
}

/// A property group, or one of its properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) pg: String,
    pub(crate) prop: Option<String>,
}

/// What `operand` means, with what `-p` selects of it.
pub(crate) fn resolve(repo: &Repo, operand: &str, wanted: &[Wanted]) -> Result<Vec<Target>, Error> {
    if let Ok(named) = PropFmri::parse(operand) {
        let selections = of_named(&named, wanted)?;
        return Ok(vec![Target { entity: named.entity, selections }]);
    }
    let select =
        |wanted: &Wanted| Selection { pg: wanted.first.clone(), prop: wanted.second.clone() };
    let target = |entity| Target { entity, selections: wanted.iter().map(select).collect() };
    let services = repo.services()?;
    // The full name of a service means the service; short for it, its instances.
    if let Ok(fmri) = Fmri::parse(operand)
        && services.contains(&fmri)
    {
        return Ok(vec![target(fmri)]);
    }
    let mut found = fmri::matches(operand, &repo.instances()?);
    if found.is_empty() && !glob::is_pattern(operand) {
        found = fmri::matches(operand, &services);
    }
    if found.is_empty() {
        return Err(Error::Failed(format!("Pattern '{operand}' doesn't match any entities")));
    }
    Ok(found.into_iter().map(target).collect())
}

/// What is selected of a property group or a property that an operand names.
fn of_named(named: &PropFmri, wanted: &[Wanted]) -> Result<Vec<Selection>, Misuse> {
    let pg = &named.pg;
    if wanted.is_empty() {
        return Ok(vec![Selection { pg: pg.clone(), prop: named.prop.clone() }]);
    }
    if named.prop.is_some() {
        let line = "The -p option cannot be used with property operands.";
        return Err(Misuse::Wrong(line.to_owned()));
    }
    let select = |wanted: &Wanted| match &wanted.second {
        None => Ok(Selection { pg: pg.clone(), prop: Some(wanted.first.clone()) }),
        Some(_) => Err(Misuse::Argument(format!(
            "-p argument `{wanted}' has too many components for property group `{named}'."
        ))),
    };
    wanted.iter().map(select).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_group_only_properties_can_be_selected() {
        let named = |text: &str| PropFmri::parse(text).unwrap();
        let wanted = |first: &str, second: Option<&str>| {
            [Wanted { first: first.to_owned(), second: second.map(str::to_owned) }]
        };
        let group = named("svc:/a:b/:properties/config");
        let one = of_named(&group, &wanted("port", None)).unwrap();
        let (pg, prop) = ("config".to_owned(), Some("port".to_owned()));
        assert_eq!(one, [Selection { pg, prop }]);
        assert!(of_named(&group, &wanted("config", Some("port"))).is_err());
        let property = named("svc:/a:b/:properties/config/port");
        assert!(of_named(&property, &wanted("port", None)).is_err());
        assert_eq!(of_named(&property, &[]).unwrap(), one);
    }
}
