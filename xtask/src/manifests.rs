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
    use crate::programs;
    use std::path::Path;

    #[test]
    fn the_xml_manifests_are_up_to_date() {
        for name in NAMES {
            let written = fs::read_to_string(path(name, "xml")).unwrap_or_default();
            assert!(written == render(name).unwrap(), "{name}.xml: cargo xtask manifests makes it");
        }
    }

    /// Scripts are delivered beside the manifests, daemons by the other crates.
    #[test]
    fn the_methods_that_they_name_are_there() {
        for name in NAMES {
            let bundle = load(&path(name, "xml")).unwrap();
            let levels = bundle.services.iter().map(|service| &service.level);
            for group in levels.flat_map(|level| level.groups.values()) {
                let Some(exec) = group.get("exec").map(|exec| exec.values.concat()) else {
                    continue;
                };
                for word in exec.split(' ').filter(|word| word.starts_with('/')) {
                    let file = word.rsplit('/').next().unwrap();
                    let script = project::root().join("manifests/method").join(file);
                    let is_script = word.starts_with("/lib/svc/method/") && script.is_file();
                    assert!(
                        is_script || programs::place(Path::new(file)).is_ok(),
                        "{name}: {exec}"
                    );
                }
            }
        }
    }

    /// `SERVICE_BUNDLE_DTD` is the path of illumos's service_bundle.dtd.1, which is not part of
    /// this project; xmllint is in Debian's libxml2-utils.
    #[test]
    #[ignore = "needs illumos's service_bundle.dtd.1, at $SERVICE_BUNDLE_DTD"]
    fn they_are_valid_against_the_document_type_of_illumos() {
        let dtd = std::env::var("SERVICE_BUNDLE_DTD").expect("SERVICE_BUNDLE_DTD is its path");
        let files = NAMES.map(|name| path(name, "xml"));
        let mut xmllint = std::process::Command::new("xmllint");
        xmllint.args(["--noout", "--nonet", "--nowarning", "--dtdvalid", &dtd]).args(files);
        assert!(xmllint.status().unwrap().success());
    }
}
