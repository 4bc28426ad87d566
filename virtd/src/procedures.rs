//! The procedures that clients can call: number, who may call it, what carries it out.
//!
//! `names.txt` has the name of every procedure of libvirt's remote protocol, line by line in the
//! order of their numbers; those that are not in the table are refused as libvirt refuses what a
//! driver does not have, and every client knows what to make of that.

use std::sync::LazyLock;

use crate::calls::{
    connect, control, devices, domain, event, network, node, notes, stats, storage, tune, xml,
};
use crate::error::Result;
use crate::session::Call;
use crate::xdr::{Xdr, from_bytes, to_bytes};

/// Who may call a procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Who has not opened the hypervisor's connection, too.
    Anyone,
    /// Who may change nothing, too.
    Read,
    /// Who may change things.
    Write,
}

/// A procedure.
#[derive(Debug)]
pub struct Procedure {
    /// Its number.
    pub number: i32,
    /// Who may call it.
    pub access: Access,
    /// Carries it out: arguments in, results out.
    pub run: fn(&Call, &[u8]) -> Result<Vec<u8>>,
}

impl Procedure {
    /// Its name.
    pub fn name(&self) -> &'static str {
        NAMES.get(self.number).unwrap_or("?")
    }
}

/// Names by number.
#[derive(Debug)]
pub struct Names(LazyLock<Vec<&'static str>>);

/// The names of all procedures of libvirt's remote protocol.
pub static NAMES: Names = Names(LazyLock::new(|| include_str!("names.txt").lines().collect()));

impl Names {
    /// The name of a procedure, if libvirt has it.
    pub fn get(&self, number: i32) -> Option<&'static str> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.0.get(index).copied()
    }

    /// How many there are.
    pub fn count(&self) -> i32 {
        self.0.len() as i32
    }
}

/// The function of libvirt that a procedure stands for: `DOMAIN_GET_XML_DESC` is
/// `virDomainGetXMLDesc`.
pub fn function(number: i32) -> String {
    const WHOLE: [&str; 12] =
        ["CPU", "DHCP", "FS", "ID", "MAC", "NMI", "OS", "PM", "SEV", "URI", "UUID", "XML"];
    let word = |word: &str| {
        if WHOLE.contains(&word) {
            return word.to_owned();
        }
        let (first, rest) = word.split_at(1);
        first.to_owned() + &rest.to_ascii_lowercase()
    };
    let name = NAMES.get(number).unwrap_or("?");
    format!("vir{}", name.split('_').map(word).collect::<String>())
}

fn run<A: Xdr, R: Xdr>(
    procedure: impl Fn(&Call, A) -> Result<R>,
    call: &Call,
    arguments: &[u8],
) -> Result<Vec<u8>> {
    Ok(to_bytes(&procedure(call, from_bytes(arguments)?)?))
}

/// The procedure with that number, if it is one that there is here.
pub fn find(number: i32) -> Option<&'static Procedure> {
    let place = ALL.binary_search_by_key(&number, |procedure| procedure.number);
    place.ok().map(|place| &ALL[place])
}

/// The procedures there are, as a page of documentation.
pub fn page() -> String {
    let mut page = format!(
        "# Procedures of libvirt's remote protocol\n\n\
         Made by `cargo xtask docs`. virtd has {} of the {} that libvirt 9.0 has; all others are \
         refused as\nlibvirt refuses what a driver does not have. *anyone*: even before the \
         connection is opened; *read*:\non the read-only socket, too; *write*: not there.\n\n\
         | number | procedure | function | who |\n| --- | --- | --- | --- |\n",
        ALL.len(),
        NAMES.count()
    );
    for procedure in ALL {
        let who = match procedure.access {
            Access::Anyone => "anyone",
            Access::Read => "read",
            Access::Write => "write",
        };
        let (number, name) = (procedure.number, procedure.name());
        page.push_str(&format!("| {number} | `{name}` | `{}` | {who} |\n", function(number)));
    }
    page
}

/// Procedures that go by the list of all guests alone, or by nothing at all: as long as that list
/// is fresh they wait for nobody.
const BY_LIST: [i32; 18] =
    [3, 15, 22, 23, 24, 59, 60, 66, 110, 149, 150, 151, 157, 183, 187, 190, 202, 212];

/// Whether a procedure waits for nobody while the list of all guests is fresh.
pub fn goes_by_list(number: i32) -> bool {
    BY_LIST.binary_search(&number).is_ok()
}

macro_rules! procedures {
    ($($number:literal $access:ident $procedure:path;)*) => {
        /// All that there are here, in the order of their numbers.
        pub static ALL: &[Procedure] = &[$(Procedure {
            number: $number,
            access: Access::$access,
            run: |call, arguments| run($procedure, call, arguments),
        },)*];
    };
}

procedures! {
      1 Anyone connect::open;
      2 Anyone connect::close;
      3 Read   connect::kind;
      4 Read   connect::version;
      5 Read   node::max_vcpus;
      6 Read   node::info;
      7 Read   node::capabilities;
      8 Write  devices::attach;
      9 Write  control::create;
     10 Write  control::create_xml;
     11 Write  control::define_xml;
     12 Write  control::destroy;
     13 Write  devices::detach;
     14 Read   xml::describe;
     15 Read   control::autostart;
     16 Read   domain::info;
     17 Read   tune::max_memory;
     18 Read   tune::max_vcpus;
     19 Read   xml::os_type;
     20 Read   tune::vcpu_info;
     21 Read   domain::names_defined;
     22 Read   domain::lookup_by_id;
     23 Read   domain::lookup_by_name;
     24 Read   domain::lookup_by_uuid;
     25 Read   domain::count_defined;
     26 Write  tune::pin_vcpu;
     27 Write  control::reboot;
     28 Write  control::resume;
     29 Write  control::set_autostart;
     30 Write  tune::set_max_memory;
     31 Write  tune::set_memory;
     32 Write  tune::set_vcpus;
     33 Write  control::shutdown;
     34 Write  control::suspend;
     35 Write  control::undefine;
     36 Read   network::names_defined;
     37 Read   domain::ids;
     38 Read   network::names;
     43 Read   network::describe;
     44 Read   network::yes;
     45 Read   network::bridge;
     46 Read   network::lookup_by_name;
     47 Read   network::lookup_by_uuid;
     50 Read   network::count_defined;
     51 Read   domain::count;
     52 Read   network::count;
     56 Read   tune::scheduler_type;
     57 Read   tune::scheduler;
     58 Write  tune::set_scheduler;
     59 Read   connect::hostname;
     60 Anyone connect::supports_feature;
     64 Read   devices::block_stats;
     65 Read   devices::interface_stats;
     66 Anyone connect::auth_list;
     71 Read   storage::count;
     72 Read   storage::names;
     73 Read   storage::count_defined;
     74 Read   storage::names_defined;
     83 Write  storage::refresh;
     84 Read   storage::lookup_by_name;
     85 Read   storage::lookup_by_uuid;
     86 Read   storage::lookup_by_volume;
     87 Read   storage::info;
     88 Read   storage::describe;
     89 Read   storage::yes;
     91 Read   storage::volume_count;
     92 Read   storage::volume_names;
     95 Read   storage::volume_by_name;
     96 Read   storage::volume_by_path;
     97 Read   storage::volume_by_path;
     98 Read   storage::volume_info;
     99 Read   storage::describe_volume;
    100 Read   storage::volume_path;
    101 Read   node::cells_free_memory;
    102 Read   node::free_memory;
    105 Read   event::register_lifecycle;
    106 Read   event::deregister_lifecycle;
    110 Read   connect::uri;
    135 Write  xml::from_native;
    136 Write  xml::to_native;
    149 Read   connect::is_secure;
    150 Read   domain::is_active;
    151 Read   domain::is_persistent;
    152 Read   network::yes;
    153 Read   network::yes;
    154 Read   storage::yes;
    155 Read   storage::yes;
    157 Read   connect::library_version;
    159 Read   tune::memory_stats;
    160 Write  devices::attach_flags;
    161 Write  devices::detach_flags;
    167 Read   event::register_plainly;
    168 Read   event::deregister_plainly;
    183 Read   domain::has_none;
    187 Read   domain::has_none;
    190 Read   domain::has_none;
    194 Read   devices::block_info;
    196 Write  control::create_with_flags;
    199 Write  tune::set_vcpus_flags;
    200 Read   tune::vcpus_flags;
    201 Write  devices::open_console;
    202 Read   domain::is_updated;
    204 Write  tune::set_memory_flags;
    212 Read   domain::state;
    219 Write  tune::set_scheduler_flags;
    223 Read   tune::scheduler_flags;
    225 Write  tune::pin_vcpu_flags;
    228 Read   node::memory_stats;
    230 Read   tune::vcpu_pins;
    231 Write  control::undefine_flags;
    234 Write  control::destroy_flags;
    243 Read   devices::block_stats_flags;
    245 Write  control::reset;
    258 Write  control::shutdown_flags;
    262 Read   tune::cpu_stats;
    264 Write  notes::set;
    265 Read   notes::get;
    273 Read   domain::list_all;
    281 Read   storage::list_all;
    282 Read   storage::list_volumes;
    283 Read   network::list_all;
    293 Read   node::cpu_map;
    313 Read   event::register_network;
    314 Read   event::deregister_unheard;
    316 Read   event::register;
    317 Read   event::deregister;
    342 Write  node::domain_capabilities;
    344 Read   stats::all;
    350 Write  control::define_xml_flags;
    360 Read   event::close_callback;
    361 Read   event::close_callback;
    368 Read   event::register_pool;
    369 Read   event::deregister_unheard;
    378 Read   storage::volume_info_flags;
    391 Read   storage::lookup_by_target_path;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn procedures_stand_in_order_and_have_libvirts_names() {
        assert!(ALL.is_sorted_by_key(|procedure| procedure.number) && BY_LIST.is_sorted());
        assert_eq!(find(273).unwrap().name(), "CONNECT_LIST_ALL_DOMAINS");
        assert_eq!(NAMES.get(1), Some("CONNECT_OPEN"));
        assert_eq!(NAMES.get(443), Some("DOMAIN_FD_ASSOCIATE"));
        assert!(NAMES.get(0).is_none() && NAMES.get(-1).is_none() && NAMES.get(444).is_none());
        assert_eq!(function(14), "virDomainGetXMLDesc");
        assert_eq!(function(135), "virConnectDomainXMLFromNative");
    }
}
