//! `cargo xtask manifests`: the xVM services' manifests in the form that illumos imports, made from
//! the ones in TOML, with the paths and neighbours that there are on illumos.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use svc::manifest::{Bundle, Level, Manifest, load, to_xml};

use crate::project;

/// The services that illumos knows, too.
const NAMES: [&str; 7] =
    ["console", "domains", "milestone-xvm", "store", "virtd", "xenbackendd", "xend"];

/// What is called otherwise on illumos: daemons of a service are in /usr/lib, a bridge has an
/// instance for itself, and guests get VNICs.
const TERMS: [(&str, &str); 5] = [
    ("/usr/sbin/", "/usr/lib/"),
    ("/run/libvirt", "/var/run/libvirt"),
    ("/run/xend/", "/var/run/xend/"),
    ("svc:/network/bridge", "svc:/network/physical"),
    ("vif-bridge", "vif-vnic"),
];

/// Writes all of them.
pub fn write() -> Result<ExitCode> {
    for name in NAMES {
        let path = path(name, "xml");
        fs::write(&path, render(name)?).with_context(|| path.display().to_string())?;
        println!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn path(name: &str, extension: &str) -> PathBuf {
    project::root().join("manifests").join(name).with_extension(extension)
}

fn render(name: &str) -> Result<String> {
    let mut bundle = load(&path(name, "toml"))?;
    bundle.services.iter_mut().for_each(translate);
    let text = to_xml(&Bundle { name: format!("escalus-{name}"), ..bundle })?;
    let origin = format!("<!-- Made from {name}.toml by cargo xtask manifests. -->\n");
    Ok(text.replacen("<service_bundle ", &format!("{origin}<service_bundle "), 1))
}

fn translate(manifest: &mut Manifest) {
    let instances = manifest.instances.iter_mut().map(|instance| &mut instance.level);
    let values = |level: &mut Level| {
        let properties = level.groups.values_mut().flat_map(|group| group.props.values_mut());
        for value in properties.flat_map(|property| property.values.iter_mut()) {
            *value =
                TERMS.iter().fold(value.clone(), |text, (here, there)| text.replace(here, there));
        }
    };
    instances.chain([&mut manifest.level]).for_each(values);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_xml_manifests_are_up_to_date() {
        for name in NAMES {
            let written = fs::read_to_string(path(name, "xml")).unwrap_or_default();
            assert!(written == render(name).unwrap(), "{name}.xml: cargo xtask manifests makes it");
        }
    }
}
