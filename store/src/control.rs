//! CONTROL: commands to the daemon itself, as `xenstore-control` sends them.

use std::fmt::Write;

use crate::change::Change;
use crate::connection::ConnId;
use crate::perms::DomId;
use crate::quota::Quota;
use crate::request::number;
use crate::store::Store;
use crate::wire::Errno;

/// The commands, with their parameters.
const HELP: &str = "Supported commands:
check                        verify that tree and accounting agree
help                         this list
print <text>                 write <text> to the log
quota                        the limits of an unprivileged domain
quota <domid>                what a domain uses
quota set <name> <value>     set a limit; 0 is none
";

impl Store {
    /// Carries out a command; answers text.
    pub(crate) fn control(&mut self, words: &[String]) -> Result<Vec<u8>, Errno> {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let answer = match words[..] {
            ["help"] => HELP.to_owned(),
            ["check"] => self.check_tree(),
            ["print", text] => {
                tracing::info!("print: {text}");
                "OK".to_owned()
            }
            ["quota"] => self.limits(),
            ["quota", domid] => self.usage(number(domid.as_bytes())?)?,
            ["quota", "set", name, value] => {
                let quota = Quota::from_name(name).ok_or(Errno::Inval)?;
                self.record(Change::Quota(quota, number(value.as_bytes())?));
                "OK".to_owned()
            }
            _ => return Err(Errno::Inval),
        };
        Ok([answer.as_bytes(), b"\0"].concat())
    }

    fn check_tree(&self) -> String {
        match self.tree.check() {
            Ok(()) => "OK".to_owned(),
            Err(error) => {
                tracing::error!("check: {error}");
                error
            }
        }
    }

    fn limits(&self) -> String {
        let mut answer = String::new();
        for quota in Quota::all() {
            let (name, limit, meaning) = (quota.name(), self.quotas.get(quota), quota.meaning());
            let _ = writeln!(answer, "{name:<17}: {limit:8} {meaning}");
        }
        answer
    }

    fn usage(&self, domid: DomId) -> Result<String, Errno> {
        let conn = ConnId::Domain(domid);
        let connection = self.connections.get(&conn).ok_or(Errno::NoEnt)?;
        let used = [
            (Quota::Nodes, self.tree.owned(domid)),
            (Quota::Watches, self.watches.count(conn)),
            (Quota::Outstanding, connection.outbox.replies()),
            (Quota::Memory, connection.outbox.len()),
            (Quota::Transactions, connection.transactions.len()),
        ];
        let mut answer = format!("Domain {domid}:\n");
        for (quota, used) in used {
            let _ = writeln!(answer, "{:<17}: {used:8}", quota.name());
        }
        Ok(answer)
    }
}
