//! What this host can do, and what its guests can have, in libvirt's XML.

use xend::rpc::Value;
use xend::sxp;

use crate::domain_xml::Builder;

/// The most vcpus a guest can have.
pub const MAX_VCPUS: i32 = 512;
/// The machine that paravirtualized guests run on.
pub const MACHINE: &str = "xenpv";

/// `<capabilities>` of the host that xend tells of.
pub fn host(node: &Value) -> String {
    let count = |name| sxp::int(node, name).unwrap_or(1).max(1);
    let cpus = count("nr_cpus");
    let kib = (sxp::int(node, "total_memory").unwrap_or(0) * 1024).to_string();
    let [cpus_text, cores, threads] =
        [cpus, count("cores_per_socket"), count("threads_per_core")].map(|it| it.to_string());
    let sockets = (cpus / (count("cores_per_socket") * count("threads_per_core"))).max(1);
    let mut xml = Builder::default();
    xml.element("capabilities", &[], |xml| {
        xml.element("host", &[], |xml| {
            xml.element("cpu", &[], |xml| {
                xml.text("arch", &[], "x86_64");
                let sockets = sockets.to_string();
                xml.empty(
                    "topology",
                    &[
                        ("sockets", &sockets),
                        ("dies", "1"),
                        ("cores", &cores),
                        ("threads", &threads),
                    ],
                );
            });
            xml.empty("power_management", &[]);
            xml.element("topology", &[], |xml| {
                xml.element("cells", &[("num", "1")], |xml| {
                    xml.element("cell", &[("id", "0")], |xml| {
                        xml.text("memory", &[("unit", "KiB")], &kib);
                        xml.element("cpus", &[("num", &cpus_text)], |xml| {
                            (0..cpus).for_each(|cpu| {
                                xml.empty("cpu", &[("id", &cpu.to_string())]);
                            });
                        });
                    });
                });
            });
        });
        xml.element("guest", &[], |xml| {
            // As clients ask for paravirtualized guests; in a domain's XML it is `linux`.
            xml.text("os_type", &[], "xen");
            xml.element("arch", &[("name", "x86_64")], |xml| {
                xml.text("wordsize", &[], "64");
                xml.text("machine", &[], MACHINE);
                xml.empty("domain", &[("type", "xen")]);
            });
        });
    });
    xml.finish()
}

/// `<domainCapabilities>` of paravirtualized guests.
pub fn domain() -> String {
    let mut xml = Builder::default();
    let no = &[("supported", "no")];
    let yes = &[("supported", "yes")];
    let values = |xml: &mut Builder, name: &str, values: &[&str]| {
        xml.element("enum", &[("name", name)], |xml| {
            values.iter().for_each(|value| {
                xml.text("value", &[], value);
            });
        });
    };
    xml.element("domainCapabilities", &[], |xml| {
        xml.text("domain", &[], "xen");
        xml.text("machine", &[], MACHINE);
        xml.text("arch", &[], "x86_64");
        xml.empty("vcpu", &[("max", &MAX_VCPUS.to_string())]);
        xml.empty("iothreads", no);
        xml.element("os", yes, |xml| {
            xml.empty("loader", no);
        });
        xml.element("devices", &[], |xml| {
            xml.element("disk", yes, |xml| {
                values(xml, "diskDevice", &["disk", "cdrom"]);
                values(xml, "bus", &["ide", "scsi", "xen"]);
            });
            xml.empty("graphics", no);
            xml.empty("video", no);
            xml.empty("hostdev", no);
        });
        xml.element("features", &[], |xml| {
            ["gic", "vmcoreinfo", "genid", "sev"].iter().for_each(|name| {
                xml.empty(name, no);
            });
        });
    });
    xml.finish()
}
