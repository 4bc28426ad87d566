//! What becomes of a domain: pure decisions, without the doing.
//!
//! ```text
//!   create ─► Creating ─► Running ─► stopped ─┬─ destroy ──────► Destroying ─► forgotten
//!                 │          ▲                ├─ restart ──────► Restarting ─┐
//!              failed        └────────────────┼──────────────────────────────┘
//!                 ▼                           ├─ preserve ─────► Preserved
//!            Destroying ─► forgotten          └─ rename-restart: Preserved, and Restarting
//! ```
//!
//! Every phase can be interrupted by the death of xend; [`reconcile`] says how it is taken up.

use super::record::Phase;
use crate::config::{Action, GuestConfig};
use crate::host::Stop;

/// A life shorter than this, in seconds, counts as short.
pub const SHORT_LIFE: f64 = 10.0;
/// So many short lives in a row, and a guest isn't made anew any more.
pub const MAX_SHORT_LIVES: u32 = 3;

/// What to do with a domain that stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// What its settings say.
    Act(Action),
    /// Destroy it, although it should be made anew: it would go on like that for ever.
    GiveUp,
    /// Nothing: somebody suspended it and will go on with it.
    Leave,
}

/// Decides about a domain that stopped with `stop` after `lifetime` seconds, the last of
/// `short_lives` short ones.
pub fn on_stop(config: &GuestConfig, stop: Stop, lifetime: f64, short_lives: u32) -> Verdict {
    let action = match stop {
        Stop::Poweroff => config.on_poweroff,
        Stop::Reboot => config.on_reboot,
        Stop::Suspend => return Verdict::Leave,
        Stop::Crash | Stop::Watchdog | Stop::Other(_) => config.on_crash,
    };
    let again = matches!(action, Action::Restart | Action::RenameRestart);
    if again && lifetime < SHORT_LIFE && short_lives >= MAX_SHORT_LIVES {
        return Verdict::GiveUp;
    }
    Verdict::Act(action)
}

/// What the hypervisor knows of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Nothing.
    Absent,
    /// It is there: running, paused, or stopped.
    Present,
    /// It is being destroyed.
    Dying,
}

/// How xend takes up a domain that it finds in its records when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeUp {
    /// It lives, or stopped meanwhile, which is then dealt with as always.
    Adopt,
    /// It is cleaned away.
    CleanUp,
    /// It is cleaned away and made anew.
    MakeAnew,
    /// There is nothing left of it.
    Forget,
}

/// Decides how to take up a domain. `same_boot` says whether its record is from this boot of the
/// host; nothing outlives a boot.
pub fn reconcile(phase: Phase, presence: Presence, same_boot: bool) -> TakeUp {
    if !same_boot {
        return TakeUp::Forget;
    }
    match (phase, presence) {
        (Phase::Running | Phase::Preserved, Presence::Present) => TakeUp::Adopt,
        (Phase::Restarting, _) => TakeUp::MakeAnew,
        // Even of a domain that is absent, paths and devices may be left.
        (Phase::Creating | Phase::Destroying, _) => TakeUp::CleanUp,
        (Phase::Running | Phase::Preserved, Presence::Absent | Presence::Dying) => TakeUp::CleanUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, parse};

    fn config(text: &str) -> GuestConfig {
        let text = format!("kernel='/k'; {text}");
        parse(&text, Source::CommandLine, &[], "juliet", std::path::Path::new("/")).unwrap().0
    }

    #[test]
    fn each_end_has_its_own_setting() {
        let config =
            config("on_poweroff='preserve'; on_reboot='restart'; on_crash='rename-restart'");
        let verdict = |stop| on_stop(&config, stop, 100.0, 0);
        assert_eq!(verdict(Stop::Poweroff), Verdict::Act(Action::Preserve));
        assert_eq!(verdict(Stop::Reboot), Verdict::Act(Action::Restart));
        assert_eq!(verdict(Stop::Crash), Verdict::Act(Action::RenameRestart));
        assert_eq!(verdict(Stop::Watchdog), Verdict::Act(Action::RenameRestart));
        assert_eq!(verdict(Stop::Suspend), Verdict::Leave);
    }

    #[test]
    fn a_guest_that_never_lives_long_is_given_up() {
        let config = config("on_poweroff='destroy'");
        assert_eq!(on_stop(&config, Stop::Crash, 1.0, 2), Verdict::Act(Action::Restart));
        assert_eq!(on_stop(&config, Stop::Crash, 1.0, 3), Verdict::GiveUp);
        assert_eq!(on_stop(&config, Stop::Crash, 60.0, 3), Verdict::Act(Action::Restart));
        assert_eq!(on_stop(&config, Stop::Poweroff, 1.0, 9), Verdict::Act(Action::Destroy));
    }

    #[test]
    fn nothing_half_made_is_ever_adopted() {
        use Phase::{Creating, Destroying, Preserved, Restarting, Running};
        use Presence::{Absent, Dying, Present};
        for phase in [Creating, Running, Restarting, Preserved, Destroying] {
            for presence in [Absent, Present, Dying] {
                let taken = reconcile(phase, presence, true);
                let whole = matches!(phase, Running | Preserved) && presence == Present;
                assert_eq!(taken == TakeUp::Adopt, whole, "{phase:?} {presence:?}");
                assert_eq!(reconcile(phase, presence, false), TakeUp::Forget);
            }
        }
        assert_eq!(reconcile(Restarting, Absent, true), TakeUp::MakeAnew);
    }
}
