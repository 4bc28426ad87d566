//! Fields of what is written to the journal: little-endian numbers, lengths before bytes.

use std::sync::Arc;

use crate::connection::{ConnId, Kind};
use crate::path::Path;
use crate::perms::{Access, DomId, Perm, Perms};
use crate::quota::Quota;
use crate::request::WatchKey;

/// Can be written.
pub(crate) trait Put {
    /// Appends the field to `bytes`.
    fn put(&self, bytes: &mut Vec<u8>);
}

/// Can be read.
pub(crate) trait Take: Sized {
    /// Takes the field off `bytes`; `None` if there is none that makes sense.
    fn take(bytes: &mut &[u8]) -> Option<Self>;
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Put for $number {
            fn put(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
        }

        impl Take for $number {
            fn take(bytes: &mut &[u8]) -> Option<Self> {
                let (number, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                Some(Self::from_le_bytes(*number))
            }
        }
    )*};
}

numbers!(u8 u16 u32 u64);

macro_rules! tuples {
    ($($name:ident)*) => {
        impl<$($name: Put),*> Put for ($($name,)*) {
            fn put(&self, bytes: &mut Vec<u8>) {
                #[allow(non_snake_case)]
                let ($($name,)*) = self;
                $($name.put(bytes);)*
            }
        }

        impl<$($name: Take),*> Take for ($($name,)*) {
            fn take(bytes: &mut &[u8]) -> Option<Self> {
                Some(($($name::take(bytes)?,)*))
            }
        }
    };
}

tuples!(A B);
tuples!(A B C);
tuples!(A B C D);

impl<T: Put> Put for &T {
    fn put(&self, bytes: &mut Vec<u8>) {
        (*self).put(bytes);
    }
}

impl Put for bool {
    fn put(&self, bytes: &mut Vec<u8>) {
        u8::from(*self).put(bytes);
    }
}

impl Take for bool {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some(u8::take(bytes)? != 0)
    }
}

impl Put for Arc<[u8]> {
    fn put(&self, bytes: &mut Vec<u8>) {
        (self.len() as u32).put(bytes);
        bytes.extend_from_slice(self);
    }
}

impl Take for Arc<[u8]> {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let len = u32::take(bytes)? as usize;
        let (field, rest) = bytes.split_at_checked(len)?;
        *bytes = rest;
        Some(field.into())
    }
}

impl Put for Path {
    fn put(&self, bytes: &mut Vec<u8>) {
        (self.as_str().len() as u32).put(bytes);
        bytes.extend_from_slice(self.as_str().as_bytes());
    }
}

impl Take for Path {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let text = <Arc<[u8]>>::take(bytes)?;
        Path::new(str::from_utf8(&text).ok()?)
    }
}

impl Put for Arc<Perms> {
    fn put(&self, bytes: &mut Vec<u8>) {
        (self.len() as u32).put(bytes);
        self.entries().iter().for_each(|perm| (perm.domid, perm.access as u8).put(bytes));
    }
}

impl Take for Arc<Perms> {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let count = u32::take(bytes)?;
        let mut entries = Vec::new();
        for _ in 0..count {
            let (domid, access) = <(DomId, u8)>::take(bytes)?;
            entries.push(Perm::new(domid, Access::from_number(access)?));
        }
        Perms::new(entries).map(Arc::new)
    }
}

impl Put for Quota {
    fn put(&self, bytes: &mut Vec<u8>) {
        (*self as u8).put(bytes);
    }
}

impl Take for Quota {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Quota::all().nth(usize::from(u8::take(bytes)?))
    }
}

impl Put for ConnId {
    fn put(&self, bytes: &mut Vec<u8>) {
        match self {
            ConnId::Socket(number) => (0u8, number).put(bytes),
            ConnId::Domain(domid) => (1u8, domid).put(bytes),
        }
    }
}

impl Take for ConnId {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        match u8::take(bytes)? {
            0 => Take::take(bytes).map(ConnId::Socket),
            1 => Take::take(bytes).map(ConnId::Domain),
            _ => None,
        }
    }
}

impl Put for WatchKey {
    fn put(&self, bytes: &mut Vec<u8>) {
        (&self.path, &self.token, self.relative).put(bytes);
    }
}

impl Take for WatchKey {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let (path, token, relative) = Take::take(bytes)?;
        Some(Self { path, token, relative })
    }
}

impl Put for Kind {
    fn put(&self, bytes: &mut Vec<u8>) {
        (*self as u8).put(bytes);
    }
}

impl Take for Kind {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let kinds = [Kind::Reply, Kind::Event, Kind::Rest];
        kinds.get(usize::from(u8::take(bytes)?)).copied()
    }
}
