//! Which messages are printed: `loglvl=` and `guest_loglvl=` of Xen's command line, and the rate at
//! which messages that anybody can cause may come.

/// How important a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something doesn't work.
    Error = 0,
    /// What an administrator should know.
    Warning = 1,
    /// What is good to know.
    Info = 2,
    /// For who looks for a mistake.
    Debug = 3,
}

/// Messages up to a level are printed; some of them not too often. The numbers count levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// So many levels are always printed.
    pub always: u8,
    /// So many, at a limited rate.
    pub limited: u8,
}

impl Threshold {
    /// Xen's own for what is printed of the hypervisor itself: warnings and errors.
    pub const HOST: Self = Self { always: 2, limited: 2 };
    /// And of guests: the same, at a limited rate.
    pub const GUEST: Self = Self { always: 0, limited: 2 };
    /// Everything.
    pub const ALL: Self = Self { always: 4, limited: 4 };

    /// Reads `LEVEL[/LIMITED]`: all up to the first are printed, and those up to the second at a
    /// limited rate.
    pub fn parse(text: &str) -> Option<Self> {
        let count = |word: &str| match word {
            "none" => Some(0),
            "error" => Some(1),
            "warning" => Some(2),
            "info" => Some(3),
            "debug" | "all" => Some(4),
            _ => None,
        };
        let (always, limited) = text.split_once('/').unwrap_or((text, text));
        let always = count(always)?;
        Some(Self { always, limited: count(limited)?.max(always) })
    }

    /// Whether a message is printed; `rate` is asked if it may not come too often.
    pub fn allows(self, level: Level, rate: impl FnOnce() -> bool) -> bool {
        let level = level as u8;
        level < self.always || level < self.limited && rate()
    }
}

/// How many messages may come at a time, and how long until one more may, in nanoseconds (Xen has
/// the same).
const BURST: u64 = 10;
const EVERY: u64 = 5_000_000_000;

/// A limit to how often something may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Time that is saved up, in nanoseconds.
    saved: u64,
    last: u64,
    /// How many were refused since one was allowed.
    refused: u32,
}

impl Rate {
    /// As many as may come at a time are allowed.
    pub const fn new() -> Self {
        Self { saved: BURST * EVERY, last: 0, refused: 0 }
    }

    /// Whether one more is allowed at that time, in nanoseconds: then, how many were refused before.
    pub fn allow(&mut self, now: u64) -> Option<u32> {
        let passed = now.saturating_sub(self.last);
        self.last = now;
        self.saved = self.saved.saturating_add(passed).min(BURST * EVERY);
        if self.saved < EVERY {
            self.refused = self.refused.saturating_add(1);
            return None;
        }
        self.saved -= EVERY;
        Some(core::mem::take(&mut self.refused))
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_as_xen_spells_them() {
        let threshold = |always, limited| Some(Threshold { always, limited });
        assert_eq!(Threshold::parse("none"), threshold(0, 0));
        assert_eq!(Threshold::parse("warning"), threshold(2, 2));
        assert_eq!(Threshold::parse("none/warning"), Some(Threshold::GUEST));
        assert_eq!(Threshold::parse("error/all"), threshold(1, 4));
        // The second is the first, if it is less.
        assert_eq!(Threshold::parse("all/none"), Some(Threshold::ALL));
        for bad in ["", "loud", "info/", "/info", "info/loud", "info/info/info"] {
            assert_eq!(Threshold::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn messages_beyond_are_not_printed() {
        let allows = |level| Threshold { always: 1, limited: 3 }.allows(level, || false);
        assert!(allows(Level::Error));
        assert!(!allows(Level::Warning) && !allows(Level::Info));
        let allows = |level| Threshold { always: 1, limited: 3 }.allows(level, || true);
        assert!(allows(Level::Warning) && allows(Level::Info) && !allows(Level::Debug));
    }

    #[test]
    fn so_many_come_at_a_time_and_then_one_at_a_time() {
        let mut rate = Rate::new();
        let allowed = (0..100).filter(|_| rate.allow(7).is_some()).count();
        assert_eq!(allowed, 10);
        assert_eq!(rate.allow(7 + EVERY), Some(90));
        assert_eq!(rate.allow(7 + EVERY + 1), None);
        assert_eq!(rate.allow(7 + 2 * EVERY), Some(1));
        // Time that is long past counts for a burst only.
        let later = 1 << 60;
        assert_eq!((0..100).filter(|_| rate.allow(later).is_some()).count(), 10);
    }
}
