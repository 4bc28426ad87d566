//! Who has which authorizations: user_attr(5), prof_attr(5) and policy.conf(5), as rbac(7) has it.

use std::collections::BTreeSet;
use std::fs;

use nix::unistd::{Uid, geteuid};

/// The profile after which no other counts.
const STOP: &str = "Stop";

/// What a client may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rights {
    /// Everything.
    All,
    /// What these authorizations allow; one may end in `*`.
    Of(BTreeSet<String>),
}

impl Rights {
    /// Root may do everything, and so may the user that runs the repository; what others may do
    /// is looked up.
    pub fn of(uid: Uid) -> Self {
        if uid.is_root() || uid == geteuid() {
            return Self::All;
        }
        let name = user_name(&read("/etc/passwd".into()), uid);
        let tables = Tables {
            users: read(svc::root("/etc/user_attr")),
            profiles: read(svc::root("/etc/security/prof_attr")),
            policy: read(svc::root("/etc/security/policy.conf")),
        };
        Self::Of(tables.authorizations(&name))
    }

    /// Whether nothing is allowed but to read.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Of(held) if held.is_empty())
    }

    /// Whether `authorization` is held.
    pub fn has(&self, authorization: &str) -> bool {
        let fits = |held: &String| match held.strip_suffix('*') {
            Some(start) => authorization.starts_with(start),
            None => held == authorization,
        };
        match self {
            Self::All => true,
            Self::Of(held) => held.iter().any(fits),
        }
    }
}

/// A file that isn't there says nothing.
fn read(path: std::path::PathBuf) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// The name of user `uid`, which is the number for one that has none.
fn user_name(passwd: &str, uid: Uid) -> String {
    let number = uid.to_string();
    let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let line = lines.find(|fields| fields.get(2) == Some(&number.as_str()));
    line.map_or(number, |fields| fields[0].to_owned())
}

/// What the files hold.
struct Tables {
    users: String,
    profiles: String,
    policy: String,
}

impl Tables {
    fn authorizations(&self, user: &str) -> BTreeSet<String> {
        let attributes = attributes(&self.users, user);
        let mut found: BTreeSet<String> = words(attribute(attributes, "auths")).collect();
        let mut seen = BTreeSet::new();
        if self.expand(attribute(attributes, "profiles"), &mut found, &mut seen) {
            found.extend(words(self.policy("AUTHS_GRANTED")));
            self.expand(self.policy("PROFS_GRANTED"), &mut found, &mut seen);
        }
        found
    }

    /// Adds what `profiles` and those in them grant. Returns false once there was a stop.
    fn expand(
        &self,
        profiles: &str,
        found: &mut BTreeSet<String>,
        seen: &mut BTreeSet<String>,
    ) -> bool {
        for profile in words(profiles) {
            if profile == STOP {
                return false;
            }
            let attributes = attributes(&self.profiles, &profile);
            if !seen.insert(profile) {
                continue;
            }
            found.extend(words(attribute(attributes, "auths")));
            if !self.expand(attribute(attributes, "profiles"), found, seen) {
                return false;
            }
        }
        true
    }

    fn policy(&self, name: &str) -> &str {
        let value = |line| str::strip_prefix(line, name)?.strip_prefix('=');
        self.policy.lines().find_map(value).unwrap_or_default()
    }
}

/// The last of the five fields of the line about `name`.
fn attributes<'a>(table: &'a str, name: &str) -> &'a str {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    let mut lines = lines.map(|line| line.splitn(5, ':').collect::<Vec<_>>());
    let line = lines.find(|fields| fields[0] == name);
    line.and_then(|fields| fields.get(4).copied()).unwrap_or_default()
}

/// The value of KEY in `KEY=VALUE;KEY=VALUE`.
fn attribute<'a>(attributes: &'a str, key: &str) -> &'a str {
    let mut pairs = attributes.split(';').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.trim() == key).map_or("", |(_, value)| value)
}

fn words(list: &str) -> impl Iterator<Item = String> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights_of(user: &str) -> Rights {
        let tables = Tables {
            users: "# users\n\
                    ann::::type=normal;auths=solaris.smf.manage.ssh, solaris.x;profiles=Operator\n\
                    bob::::profiles=Loop,Stop,Operator\n\
                    carl::::auths=solaris.smf.*\n\
                    broken:::\n"
                .into(),
            profiles: "Operator:::Runs services:auths=solaris.smf.manage;profiles=Reader;help=x\n\
                       Reader:::Reads:auths=solaris.smf.read\n\
                       Loop:::Is in itself:auths=solaris.loop;profiles=Loop\n\
                       Basic:::Everybody:auths=solaris.basic\n"
                .into(),
            policy: "#AUTHS_GRANTED=no\nAUTHS_GRANTED=solaris.device.cdrw\nPROFS_GRANTED=Basic\n"
                .into(),
        };
        Rights::Of(tables.authorizations(user))
    }

    #[test]
    fn users_have_their_own_authorizations_and_those_of_their_profiles() {
        let ann = rights_of("ann");
        for held in ["solaris.smf.manage.ssh", "solaris.x", "solaris.smf.manage", "solaris.basic"] {
            assert!(ann.has(held), "{held}");
        }
        assert!(ann.has("solaris.smf.read"), "of a profile in a profile");
        assert!(!ann.has("solaris.smf.modify") && !ann.has("solaris.smf.manage.other"));
    }

    #[test]
    fn a_star_stands_for_whatever_follows() {
        let carl = rights_of("carl");
        assert!(carl.has("solaris.smf.modify.method") && !carl.has("solaris.system"));
    }

    #[test]
    fn nothing_counts_after_a_stop() {
        assert_eq!(rights_of("bob"), Rights::Of(["solaris.loop".to_owned()].into()));
    }

    #[test]
    fn whoever_is_unknown_has_what_all_have() {
        for user in ["dora", "broken", ""] {
            let all = ["solaris.basic".to_owned(), "solaris.device.cdrw".to_owned()];
            assert_eq!(rights_of(user), Rights::Of(all.into()), "{user}");
        }
        assert!(Rights::Of(BTreeSet::new()).is_none());
    }

    #[test]
    fn users_are_known_by_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/:/bin/sh\nbroken\n";
        assert_eq!(user_name(passwd, Uid::from_raw(1000)), "ann");
        assert_eq!(user_name(passwd, Uid::from_raw(7)), "7");
    }
}
