//! Users and groups, from passwd(5) and group(5). The C library is not asked: a static program
//! can't load its modules.

use std::fs;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    home: String,
}

impl User {
    /// By name or number. The error is a line for the log.
    pub(super) fn find(name: &str) -> Result<Self, String> {
        let users = read("/etc/passwd");
        find_user(&users, name).ok_or_else(|| format!("There is no user \"{name}\"."))
    }

    pub(super) fn by_number(uid: u32) -> Result<Self, String> {
        Self::find(&uid.to_string())
    }

    /// The user's home.
    pub(super) fn home(&self) -> Result<String, String> {
        match self.home.as_str() {
            "" => Err(format!("User \"{}\" has no home directory.", self.name)),
            home => Ok(home.to_owned()),
        }
    }
}

/// A group's number, by name or number. The error is a line for the log.
pub(super) fn group_number(name: &str) -> Result<u32, String> {
    find_group(&read("/etc/group"), name).ok_or_else(|| format!("There is no group \"{name}\"."))
}

/// All groups of a user whose first one is `gid`, as initgroups(3) finds them.
pub(super) fn groups_of(uid: u32, gid: u32) -> Vec<u32> {
    let name = User::by_number(uid).map(|user| user.name).unwrap_or_default();
    memberships(&read("/etc/group"), &name, gid)
}

fn read(path: &str) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// The line about `name`, or else about the number that it is.
fn line<'a>(table: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let number = name.parse::<u32>().ok();
    let lines = || table.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let by_number = |fields: &Vec<&str>| number.is_some() && numbered(fields, 2) == number;
    lines()
        .find(|fields| fields.first() == Some(&name))
        .or_else(|| lines().find(|fields| by_number(fields)))
}

fn numbered(fields: &[&str], at: usize) -> Option<u32> {
    fields.get(at)?.parse().ok()
}

fn find_user(table: &str, name: &str) -> Option<User> {
    let Some(fields) = line(table, name) else {
        // A number needs no line; its group has the same one.
        let uid = name.parse().ok()?;
        return Some(User { name: name.to_owned(), uid, gid: uid, home: String::new() });
    };
    Some(User {
        name: fields.first()?.to_string(),
        uid: numbered(&fields, 2)?,
        gid: numbered(&fields, 3)?,
        home: fields.get(5).copied().unwrap_or_default().to_owned(),
    })
}

fn find_group(table: &str, name: &str) -> Option<u32> {
    line(table, name).map_or_else(|| name.parse().ok(), |fields| numbered(&fields, 2))
}

fn memberships(table: &str, user: &str, gid: u32) -> Vec<u32> {
    let has_user = |fields: &Vec<&str>| {
        fields.get(3).is_some_and(|members| members.split(',').any(|member| member == user))
    };
    let lines = table.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let others = lines.filter(has_user).filter_map(|fields| numbered(&fields, 2));
    let mut groups: Vec<u32> = [gid].into_iter().chain(others).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0::/root:/bin/sh\nxend:x:81:82:Xen:/var/xend:/bin/false\n\
                         77:x:5:5::/odd:\nbad:x:a:b\n";
    const GROUPS: &str = "root:x:0:\nxend:x:82:\ndisk:x:6:other,xend\naudio:x:29:xend\n";

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let xend = find_user(USERS, "xend").unwrap();
        assert_eq!((xend.uid, xend.gid, xend.home()), (81, 82, Ok("/var/xend".to_owned())));
        assert_eq!(find_user(USERS, "81"), Some(xend));
        // A name comes before a number.
        assert_eq!(find_user(USERS, "77").unwrap().uid, 5);
        let unknown = find_user(USERS, "4711").unwrap();
        assert_eq!((unknown.uid, unknown.gid), (4711, 4711));
        assert!(unknown.home().is_err());
        assert_eq!(find_user(USERS, "nobody"), None);
        assert_eq!(find_user(USERS, "bad"), None);
    }

    #[test]
    fn groups_are_those_of_the_user() {
        assert_eq!(find_group(GROUPS, "disk"), Some(6));
        assert_eq!(find_group(GROUPS, "4711"), Some(4711));
        assert_eq!(find_group(GROUPS, "none"), None);
        assert_eq!(memberships(GROUPS, "xend", 82), [6, 29, 82]);
        assert_eq!(memberships(GROUPS, "root", 0), [0]);
    }
}
