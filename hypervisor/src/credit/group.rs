//! What the vcpus of one domain have together: a weight, and a cap.

/// Caps are kept over so long, in nanoseconds: what was not used in that time is lost.
const PERIOD: u64 = 30_000_000;

/// How much a domain may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Each of its vcpus gets so much in proportion to others; 1 to 65535.
    pub weight: u16,
    /// All of them get at most so many hundredths of a processor; 0 is any.
    pub cap: u16,
}

impl Settings {
    /// As every domain begins: Xen's usual weight, no cap.
    pub const USUAL: Self = Self { weight: 256, cap: 0 };
}

pub(super) struct Group {
    pub(super) members: usize,
    pub(super) settings: Settings,
    /// Hundredths of nanoseconds that are left under the cap; fewer than none were spent ahead.
    budget: i64,
    refilled: u64,
    parked: bool,
}

impl Group {
    pub(super) const fn new() -> Self {
        Self { members: 0, settings: Settings::USUAL, budget: 0, refilled: 0, parked: false }
    }

    pub(super) fn set(&mut self, settings: Settings, now: u64) {
        self.settings = settings;
        (self.budget, self.refilled, self.parked) = (0, now, false);
    }

    /// How much virtual time passes.
    pub(super) fn virtually(&self, passed: u64) -> u64 {
        passed * u64::from(Settings::USUAL.weight) / u64::from(self.settings.weight)
    }

    /// What a time brings, in hundredths of nanoseconds.
    fn share(&self, time: u64) -> i64 {
        (time * u64::from(self.settings.cap)) as i64
    }

    pub(super) fn spend(&mut self, passed: u64) {
        if self.settings.cap != 0 {
            self.budget -= 100 * passed as i64;
        }
    }

    /// Adds what the time brought. A group without any is parked until it has a third of a period's.
    pub(super) fn refill(&mut self, now: u64) {
        if self.settings.cap == 0 {
            return;
        }
        let most = self.share(PERIOD);
        let passed = now.saturating_sub(self.refilled).min(10 * PERIOD);
        self.budget = (self.budget + self.share(passed)).min(most);
        self.refilled = now.max(self.refilled);
        self.parked = self.budget <= 0 || self.parked && self.budget < most / 3;
    }

    pub(super) fn is_parked(&self) -> bool {
        self.settings.cap != 0 && self.parked
    }

    /// When it goes on, if it is parked.
    pub(super) fn parked_until(&self, now: u64) -> Option<u64> {
        let missing = (self.share(PERIOD) / 3 - self.budget).max(0) as u64;
        let time = now + missing / u64::from(self.settings.cap).max(1) + 1;
        self.is_parked().then_some(time)
    }

    /// What is left under the cap, if there is one.
    pub(super) fn rest(&self) -> Option<u64> {
        (self.settings.cap != 0).then_some(self.budget.max(0) as u64 / 100)
    }
}
