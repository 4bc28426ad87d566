//! Error numbers that hypercalls answer with, negated (errno.h).

/// An error number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

macro_rules! numbers {
    ($($name:ident = $number:literal: $text:literal),+ $(,)?) => {
        $(#[doc = $text] pub const $name: Errno = Errno($number);)+
        /// All of them with their names.
        pub const ALL: &[(&str, Errno)] = &[$((stringify!($name), $name)),+];
    };
}

numbers! {
    EPERM = 1: "Not permitted.",
    ENOENT = 2: "No such thing.",
    ESRCH = 3: "No such domain.",
    EIO = 5: "Input or output failed.",
    ENXIO = 6: "No such device or address.",
    E2BIG = 7: "A list is too long.",
    EBADF = 9: "Not a port that can be used so.",
    EAGAIN = 11: "Try again.",
    ENOMEM = 12: "No memory.",
    EACCES = 13: "No access.",
    EFAULT = 14: "A bad address.",
    EBUSY = 16: "In use.",
    EEXIST = 17: "It is there already.",
    EXDEV = 18: "Another domain's.",
    ENODEV = 19: "No such device.",
    EINVAL = 22: "A bad argument.",
    ENOSPC = 28: "No room is left.",
    ERANGE = 34: "Out of range.",
    EDEADLK = 35: "It would wait for itself.",
    ENOSYS = 38: "No such operation.",
    ENODATA = 61: "Nothing there.",
    EOVERFLOW = 75: "Too large.",
    EOPNOTSUPP = 95: "Not supported.",
    ENOBUFS = 105: "A list is too short.",
    ETIMEDOUT = 110: "Time is up.",
}
