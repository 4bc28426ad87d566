//! The structures that many calls share, and the numbers of the notices that are sent unasked.
//!
//! Facts: libvirt's `remote_protocol.x`. What only one call has is a tuple where it is called.

use uuid::Uuid;

use crate::xdr::{Decoder, Xdr, XdrError};
use crate::xdr_struct;

xdr_struct! {
    /// A domain as clients name it (`remote_nonnull_domain`).
    #[derive(Eq)]
    Domain {
        name: String,
        uuid: Uuid,
        /// -1 if it isn't running.
        id: i32,
    }

    /// A network (`remote_nonnull_network`).
    Network {
        name: String,
        uuid: Uuid,
    }

    /// A storage pool (`remote_nonnull_storage_pool`).
    Pool {
        name: String,
        uuid: Uuid,
    }

    /// A volume of a storage pool (`remote_nonnull_storage_vol`).
    Volume {
        pool: String,
        name: String,
        key: String,
    }

    /// A value by name (`remote_typed_param`).
    Param {
        field: String,
        value: ParamValue,
    }
}

/// The value of a [`Param`] (`remote_typed_param_value`).
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum ParamValue {
    Int(i32),
    Uint(u32),
    Llong(i64),
    Ullong(u64),
    Double(f64),
    Boolean(bool),
    String(String),
}

impl Xdr for ParamValue {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(value) => (1, *value).encode(out),
            Self::Uint(value) => (2, *value).encode(out),
            Self::Llong(value) => (3, *value).encode(out),
            Self::Ullong(value) => (4, *value).encode(out),
            Self::Double(value) => (5, *value).encode(out),
            Self::Boolean(value) => (6, i32::from(*value)).encode(out),
            Self::String(value) => {
                7i32.encode(out);
                value.encode(out);
            }
        }
    }

    fn decode(from: &mut Decoder) -> Result<Self, XdrError> {
        Ok(match i32::decode(from)? {
            1 => Self::Int(Xdr::decode(from)?),
            2 => Self::Uint(Xdr::decode(from)?),
            3 => Self::Llong(Xdr::decode(from)?),
            4 => Self::Ullong(Xdr::decode(from)?),
            5 => Self::Double(Xdr::decode(from)?),
            6 => Self::Boolean(i32::decode(from)? != 0),
            7 => Self::String(Xdr::decode(from)?),
            other => return Err(XdrError::Discriminant(other)),
        })
    }
}

macro_rules! values {
    ($($from:ty => $variant:ident),*) => {$(
        impl From<$from> for ParamValue {
            fn from(value: $from) -> Self {
                Self::$variant(value)
            }
        }
    )*};
}

values!(i32 => Int, u32 => Uint, i64 => Llong, u64 => Ullong, bool => Boolean, String => String);

impl From<&str> for ParamValue {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl Param {
    /// A value by name.
    pub fn new(field: impl Into<String>, value: impl Into<ParamValue>) -> Self {
        Self { field: field.into(), value: value.into() }
    }
}

/// Notices: their numbers among the procedures.
pub mod notice {
    /// A domain's life went on, as those hear who registered without a callback's number.
    pub const LIFECYCLE: i32 = 107;
    /// A guest asked to be made anew, as they hear.
    pub const REBOOT: i32 = 169;
    /// A guest has another amount of memory, as they hear.
    pub const BALLOON_CHANGE: i32 = 276;
    /// A device has gone from a guest, as they hear.
    pub const DEVICE_REMOVED: i32 = 311;
    /// A domain's life went on.
    pub const CALLBACK_LIFECYCLE: i32 = 318;
    /// A guest asked to be made anew.
    pub const CALLBACK_REBOOT: i32 = 319;
    /// A guest has another amount of memory.
    pub const CALLBACK_BALLOON_CHANGE: i32 = 331;
    /// A device has gone from a guest.
    pub const CALLBACK_DEVICE_REMOVED: i32 = 333;
    /// A device has come to a guest.
    pub const CALLBACK_DEVICE_ADDED: i32 = 354;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xdr::{from_bytes, to_bytes};
    use proptest::prelude::*;

    fn any_value() -> impl Strategy<Value = ParamValue> {
        prop_oneof![
            any::<i32>().prop_map(ParamValue::Int),
            any::<u32>().prop_map(ParamValue::Uint),
            any::<i64>().prop_map(ParamValue::Llong),
            any::<u64>().prop_map(ParamValue::Ullong),
            (-1e9..1e9).prop_map(ParamValue::Double),
            any::<bool>().prop_map(ParamValue::Boolean),
            "[a-z]{0,9}".prop_map(ParamValue::String),
        ]
    }

    proptest! {
        #[test]
        fn typed_values_come_through(values in prop::collection::vec(any_value(), 0..9)) {
            let params: Vec<Param> =
                values.into_iter().map(|value| Param::new("x", value)).collect();
            prop_assert_eq!(from_bytes::<Vec<Param>>(&to_bytes(&params)).unwrap(), params);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = from_bytes::<(Domain, Vec<Param>, u32)>(&bytes);
        }
    }
}
