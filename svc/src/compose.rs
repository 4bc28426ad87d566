//! What an instance inherits: its own properties over those of its service, one by one (smf(7)).

use crate::value::{Groups, PropertyGroup};

/// `instance` over `service`.
pub fn groups(instance: Groups, service: Groups) -> Groups {
    let mut composed = service;
    for (name, group) in instance {
        let inherited = composed.remove(&name);
        composed.extend(self::group(Some(group), inherited).map(|group| (name, group)));
    }
    composed
}

/// One group of an instance over the group of the same name of its service.
pub fn group(
    instance: Option<PropertyGroup>,
    service: Option<PropertyGroup>,
) -> Option<PropertyGroup> {
    match (instance, service) {
        (Some(mut instance), Some(service)) => {
            for (name, property) in service.props {
                instance.props.entry(name).or_insert(property);
            }
            Some(instance)
        }
        (instance, service) => instance.or(service),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{PropType, Property};

    fn group_of(props: &[(&str, &str)]) -> PropertyGroup {
        let mut group = PropertyGroup::new("application");
        for (name, value) in props {
            group.props.insert((*name).into(), Property::new(PropType::Astring, &[value]).unwrap());
        }
        group
    }

    #[test]
    fn the_instance_hides_its_service_property_by_property() {
        let service = Groups::from([
            ("config".into(), group_of(&[("a", "service"), ("b", "service")])),
            ("start".into(), group_of(&[("exec", "x")])),
        ]);
        let instance = Groups::from([("config".into(), group_of(&[("b", "instance")]))]);
        let composed = groups(instance, service);
        assert_eq!(composed["config"], group_of(&[("a", "service"), ("b", "instance")]));
        assert_eq!(composed["start"], group_of(&[("exec", "x")]));
    }
}
