//! Times as the framework prints them, in local time (svcs(1), svc.startd(8)).

use std::mem::MaybeUninit;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::libc;

/// A moment as a property of type `time`: seconds and nanoseconds since 1970.
pub fn to_property(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
}

/// The moment in a property of type `time`; `None` if it is none, or before 1970.
pub fn from_property(text: &str) -> Option<SystemTime> {
    let (seconds, nanos) = text.split_once('.').unwrap_or((text, "0"));
    let nanos: u32 = format!("{nanos:0<9}").get(..9)?.parse().ok()?;
    UNIX_EPOCH.checked_add(Duration::new(seconds.parse().ok()?, nanos))
}

/// Formats a moment as strftime(3) does.
fn format(time: SystemTime, template: &str) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as libc::time_t;
    let template = format!("{template}\0");
    let mut broken_down = MaybeUninit::<libc::tm>::zeroed();
    let mut text = [0_u8; 128];
    // SAFETY: localtime_r fills in the structure it is given; an all-zero one is valid, too,
    // should it fail. strftime writes at most as many bytes as it is told.
    let length = unsafe {
        libc::localtime_r(&seconds, broken_down.as_mut_ptr());
        let template = template.as_ptr().cast();
        libc::strftime(text.as_mut_ptr().cast(), text.len(), template, broken_down.as_ptr())
    };
    String::from_utf8_lossy(&text[..length]).into_owned()
}

/// As in a log: `Nov  3 09:04:31`.
pub fn log_stamp(time: SystemTime) -> String {
    format(time, "%b %e %H:%M:%S")
}

/// As in the name of a file: `20261123_120431`.
pub fn file_stamp(time: SystemTime) -> String {
    format(time, "%Y%m%d_%H%M%S")
}

/// As after `since`: `Mon Nov 23 12:04:31 2026`.
pub fn long(time: SystemTime) -> String {
    format(time, "%a %b %e %H:%M:%S %Y")
}

/// As in column STIME: the time within a day, the date within 360, the year beyond.
pub fn stime(time: SystemTime, now: SystemTime) -> String {
    let age = now.duration_since(time).unwrap_or_default();
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    match age {
        age if age < DAY => format(time, "%k:%M:%S"),
        age if age < DAY * 360 => format(time, "%b_%d  "),
        _ => format(time, "%Y    "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_hold_times_exactly() {
        let time = UNIX_EPOCH + Duration::new(1_700_000_000, 1_002_003);
        assert_eq!(to_property(time), "1700000000.001002003");
        assert_eq!(from_property("1700000000.001002003"), Some(time));
        assert_eq!(from_property("5"), Some(UNIX_EPOCH + Duration::from_secs(5)));
        assert_eq!(from_property("5.5"), Some(UNIX_EPOCH + Duration::from_millis(5500)));
        assert_eq!(from_property("soon"), None);
    }

    #[test]
    fn times_get_coarser_with_age() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let ago = |days: u64| stime(now - Duration::from_secs(days * 86_400 + 1), now);
        assert_eq!(stime(now, now).len(), 8);
        assert!(stime(now, now).contains(':'));
        assert!(ago(1).contains('_') && ago(1).len() == 8);
        assert_eq!(ago(400).trim_end().len(), 4);
        assert_eq!(log_stamp(now).len(), 15);
        assert!(long(now).ends_with(" 2023"));
    }
}
