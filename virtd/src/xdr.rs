//! XDR (RFC 4506), as far as libvirt's protocol uses it: what is sent, byte for byte.
//!
//! A type that can be sent is [`Xdr`]. A structure is its members one after the other, so a tuple
//! is one as well; those with a name come from [`xdr_struct!`]. What is decoded comes from anybody
//! who can reach a socket: every length is held against the bytes that are there before anything
//! is allocated for it, and nothing recurses deeper than its type does.

/// A string of the protocol may be this long (`VIR_NET_MESSAGE_STRING_MAX`).
pub const MAX_STRING: usize = 4 << 20;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XdrError {
    /// They end too early.
    #[error("the message ends too early")]
    Short,
    /// There are more than the type has.
    #[error("the message goes on for {0} bytes after its end")]
    Long(usize),
    /// A length that can't be meant.
    #[error("a length of {0} in the message is too large")]
    Length(u32),
    /// Text that is no text.
    #[error("a string in the message is not UTF-8 text, or holds a NUL")]
    Text,
    /// A discriminant that no union or bool has.
    #[error("a discriminant of {0} in the message is unknown")]
    Discriminant(i32),
    /// What fills up to four bytes is not zero.
    #[error("the padding of a string in the message is not zero")]
    Padding,
}

/// Bytes that are read.
#[derive(Debug, Clone)]
pub struct Decoder<'b>(&'b [u8]);

impl<'b> Decoder<'b> {
    /// Reads from the beginning of `bytes`.
    pub fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// What is left.
    pub fn rest(&self) -> &'b [u8] {
        self.0
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], XdrError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(XdrError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], XdrError> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| XdrError::Short)
    }

    /// Bytes of a known number, and what fills them up to a multiple of four.
    fn opaque(&mut self, length: usize) -> Result<&'b [u8], XdrError> {
        let bytes = self.take(length)?;
        if self.take(length.next_multiple_of(4) - length)?.iter().any(|byte| *byte != 0) {
            return Err(XdrError::Padding);
        }
        Ok(bytes)
    }

    /// A length, of things that take at least `unit` bytes each.
    fn length(&mut self, unit: usize, most: usize) -> Result<usize, XdrError> {
        let length = u32::decode(self)?;
        let fits = (length as usize) <= most && length as usize <= self.0.len() / unit;
        if fits { Ok(length as usize) } else { Err(XdrError::Length(length)) }
    }
}

/// What can be sent.
pub trait Xdr: Sized {
    /// Appends it.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads one.
    fn decode(from: &mut Decoder) -> Result<Self, XdrError>;
}

/// The bytes of a value.
pub fn to_bytes(value: &impl Xdr) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.encode(&mut bytes);
    bytes
}

/// The value that `bytes` are, all of them.
pub fn from_bytes<T: Xdr>(bytes: &[u8]) -> Result<T, XdrError> {
    let mut decoder = Decoder::new(bytes);
    let value = T::decode(&mut decoder)?;
    match decoder.rest().len() {
        0 => Ok(value),
        more => Err(XdrError::Long(more)),
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Xdr for $number {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn decode(from: &mut Decoder) -> Result<Self, XdrError> {
                Ok(Self::from_be_bytes(from.array()?))
            }
        }
    )*};
}

numbers!(i32, u32, i64, u64, f64);

/// `bool`: 0 or 1 in four bytes.
impl Xdr for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        i32::from(*self).encode(out);
    }

    fn decode(from: &mut Decoder) -> Result<Self, XdrError> {
        match i32::decode(from)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(XdrError::Discriminant(other)),
        }
    }
}

fn encode_opaque(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// `string<>`. The messages before it are whole, so padding counts from the message's start.
impl Xdr for String {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.len() as u32).encode(out);
        encode_opaque(self.as_bytes(), out);
    }

    fn decode(from: &mut Decoder) -> Result<Self, XdrError> {
        let length = from.length(1, MAX_STRING)?;
        let text = std::str::from_utf8(from.opaque(length)?).map_err(|_| XdrError::Text)?;
        // C's strings end there, and what is checked must be what is used.
        if text.contains('\0') { Err(XdrError::Text) } else { Ok(text.to_owned()) }
    }
}

/// `opaque<>`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opaque(pub Vec<u8>);

impl Xdr for Opaque {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.0.len() as u32).encode(out);
        encode_opaque(&self.0, out);
    }

    fn decode(from: &mut Decoder) -> Result<Self, XdrError> {
        let length = from.length(1, MAX_STRING)?;
        Ok(Self(from.opaque(length)?.to_vec()))
    }
}

/// `opaque[16]`.
impl Xdr for uuid::Uuid {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn decode(from: &mut Decoder) -> Result<Self, XdrError> {
        Ok(Self::from_bytes(from.array()?))
    }
}

/// `char name[N]`, which XDR knows as N integers.
impl<const N: usize> Xdr for [i8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        self.iter().for_each(|char| i32::from(*char).encode(out));
    }

    fn decode(from: &mut Decoder) -> Result<Self, XdrError> {
        let mut chars = [0; N];
        for char in &mut chars {
            let wide = i32::decode(from)?;
            *char = wide.try_into().map_err(|_| XdrError::Discriminant(wide))?;
        }
        Ok(chars)
    }
}

/// `type *`: there or not.
impl<T: Xdr> Xdr for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.is_some().encode(out);
        if let Some(value) = self {
            value.encode(out);
        }
    }

    fn decode(from: &mut Decoder) -> Result<Self, XdrError> {
        if bool::decode(from)? { T::decode(from).map(Some) } else { Ok(None) }
    }
}

/// `type<>`. Nothing takes less than four bytes, which bounds how many there can be.
impl<T: Xdr> Xdr for Vec<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.len() as u32).encode(out);
        self.iter().for_each(|member| member.encode(out));
    }

    fn decode(from: &mut Decoder) -> Result<Self, XdrError> {
        let length = from.length(4, usize::MAX)?;
        // Not allocated ahead: members may be larger here than they are on the wire.
        let mut members = Vec::new();
        for _ in 0..length {
            members.push(T::decode(from)?);
        }
        Ok(members)
    }
}

macro_rules! tuples {
    ($($(($member:ident, $index:tt)),*;)*) => {$(
        impl<$($member: Xdr),*> Xdr for ($($member,)*) {
            fn encode(&self, _out: &mut Vec<u8>) {
                $(self.$index.encode(_out);)*
            }

            fn decode(_from: &mut Decoder) -> Result<Self, XdrError> {
                Ok(($($member::decode(_from)?,)*))
            }
        }
    )*};
}

tuples! {
    ;
    (A, 0);
    (A, 0), (B, 1);
    (A, 0), (B, 1), (C, 2);
    (A, 0), (B, 1), (C, 2), (D, 3);
    (A, 0), (B, 1), (C, 2), (D, 3), (E, 4);
    (A, 0), (B, 1), (C, 2), (D, 3), (E, 4), (F, 5);
    (A, 0), (B, 1), (C, 2), (D, 3), (E, 4), (F, 5), (G, 6);
    (A, 0), (B, 1), (C, 2), (D, 3), (E, 4), (F, 5), (G, 6), (H, 7);
}

/// Declares structures of the protocol; members are sent in the order in which they stand.
#[macro_export]
macro_rules! xdr_struct {
    ($($(#[$note:meta])* $name:ident { $($(#[$about:meta])* $member:ident: $type:ty,)* })*) => {$(
        $(#[$note])*
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs)]
        pub struct $name { $($(#[$about])* pub $member: $type,)* }

        impl $crate::xdr::Xdr for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                $($crate::xdr::Xdr::encode(&self.$member, out);)*
            }

            fn decode(from: &mut $crate::xdr::Decoder) -> Result<Self, $crate::xdr::XdrError> {
                Ok(Self { $($member: $crate::xdr::Xdr::decode(from)?,)* })
            }
        }
    )*};
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Nested = (String, Option<Vec<(u32, String)>>, Opaque, Vec<Option<i64>>);

    #[test]
    fn it_is_what_the_rfc_says() {
        assert_eq!(to_bytes(&-2i32), [0xff, 0xff, 0xff, 0xfe]);
        assert_eq!(to_bytes(&"sillyprog".to_owned()), b"\0\0\0\x09sillyprog\0\0\0");
        assert_eq!(to_bytes(&Some(true)), [0, 0, 0, 1, 0, 0, 0, 1]);
        assert_eq!(to_bytes(&Vec::from([1u64])), [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn lengths_are_held_against_what_is_there() {
        let huge = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert_eq!(from_bytes::<String>(&huge), Err(XdrError::Length(u32::MAX)));
        assert_eq!(from_bytes::<Vec<()>>(&huge), Err(XdrError::Length(u32::MAX)));
        assert_eq!(from_bytes::<Opaque>(&[0, 0, 0, 5, 1, 2, 3, 4]), Err(XdrError::Length(5)));
        assert_eq!(from_bytes::<u32>(&[0, 0, 0]), Err(XdrError::Short));
        assert_eq!(from_bytes::<u32>(&[0; 5]), Err(XdrError::Long(1)));
        assert_eq!(from_bytes::<bool>(&[0, 0, 0, 2]), Err(XdrError::Discriminant(2)));
        assert_eq!(from_bytes::<String>(b"\0\0\0\x01a\0\0\x01"), Err(XdrError::Padding));
        assert_eq!(from_bytes::<String>(b"\0\0\0\x02a\0\0\0"), Err(XdrError::Text));
        assert_eq!(from_bytes::<String>(b"\0\0\0\x01\xff\0\0\0"), Err(XdrError::Text));
    }

    proptest! {
        #[test]
        fn what_is_sent_comes_through(
            text: String,
            pairs: Option<Vec<(u32, String)>>,
            bytes: Vec<u8>,
            numbers: Vec<Option<i64>>,
        ) {
            let clean = |text: String| text.replace('\0', "");
            let pairs = pairs.map(|pairs| pairs.into_iter().map(|(n, t)| (n, clean(t))).collect());
            let value: Nested = (clean(text), pairs, Opaque(bytes), numbers);
            let sent = to_bytes(&value);
            prop_assert_eq!(sent.len() % 4, 0);
            prop_assert_eq!(from_bytes::<Nested>(&sent).unwrap(), value);
        }

        #[test]
        fn no_bytes_make_it_panic_and_each_has_one_meaning(bytes: Vec<u8>) {
            if let Ok(value) = from_bytes::<Nested>(&bytes) {
                prop_assert_eq!(to_bytes(&value), bytes);
            }
        }
    }
}
