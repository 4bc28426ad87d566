//! The procedures that clients can call: number, who may call it, what carries it out.
//!
//! `names.txt` has the name of every procedure of libvirt's remote protocol, line by line in the
//! order of their numbers; those that are not in the table are refused as libvirt refuses what a
//! driver does not have, and every client knows what to make of that.

use std::sync::LazyLock;

use crate::calls::{connect, domain};
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
      7 Read   connect::capabilities;
     16 Read   domain::info;
     22 Read   domain::lookup_by_id;
     23 Read   domain::lookup_by_name;
     24 Read   domain::lookup_by_uuid;
     59 Read   connect::hostname;
     60 Anyone connect::supports_feature;
     66 Anyone connect::auth_list;
    110 Read   connect::uri;
    149 Read   connect::is_secure;
    150 Read   domain::is_active;
    151 Read   domain::is_persistent;
    157 Read   connect::library_version;
    202 Read   domain::is_updated;
    212 Read   domain::state;
    273 Read   domain::list_all;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn procedures_stand_in_order_and_have_libvirts_names() {
        assert!(ALL.is_sorted_by_key(|procedure| procedure.number));
        assert_eq!(find(273).unwrap().name(), "CONNECT_LIST_ALL_DOMAINS");
        assert_eq!(NAMES.get(1), Some("CONNECT_OPEN"));
        assert_eq!(NAMES.get(443), Some("DOMAIN_FD_ASSOCIATE"));
        assert!(NAMES.get(0).is_none() && NAMES.get(-1).is_none() && NAMES.get(444).is_none());
        assert_eq!(function(14), "virDomainGetXMLDesc");
        assert_eq!(function(135), "virConnectDomainXMLFromNative");
    }
}
