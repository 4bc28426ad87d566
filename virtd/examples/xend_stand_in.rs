//! A stand-in for xend with as many guests as wanted, for measurements where there is no
//! hypervisor: `xend_stand_in SOCKET FOLDER DEFINED RUNNING`. Definitions are real files, in
//! FOLDER, of which the first RUNNING run; they are looked at for each list, as xend does.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use xend::config::{Source, parse};
use xend::definitions::{Definition, Definitions};
use xend::rpc::server::{Handler, Server};
use xend::rpc::{Call, Fault, Value, code};
use xend::sxp::{list, pair, text};

struct StandIn {
    definitions: Definitions,
    running: i64,
}

impl StandIn {
    fn domains(&self) -> Vec<Value> {
        let defined = self.definitions.all();
        (0..self.running).filter_map(|it| Some(domain(it, defined.get(&name(it))?))).collect()
    }
}

fn name(number: i64) -> String {
    format!("guest{number}")
}

fn domain(domid: i64, definition: &Definition) -> Value {
    let members = [
        pair("name", definition.config.name.as_str()),
        pair("uuid", definition.config.uuid.unwrap_or_default().to_string()),
        pair("domid", domid),
        pair("status", "running"),
        pair("memory", 64),
        pair("maxmem", 64),
        pair("vcpus", 1),
        pair("state", "-b----"),
        pair("cpu_time", 1.5),
        pair("persistent", 1),
        pair("on_xend_start", "ignore"),
    ];
    list("domain", members)
}

impl Handler for StandIn {
    fn handle(&self, call: &Call) -> Result<Value, Fault> {
        match call.method.as_str() {
            "xend.domains_with_state" => Ok(self.domains().into_iter().collect()),
            "xend.domain" => {
                let wanted = call.params.first().and_then(Value::as_str).unwrap_or_default();
                let is = |it: &Value| text(it, "uuid").as_deref() == Some(wanted);
                let found = self.domains().into_iter().find(is);
                found.ok_or_else(|| Fault::new(code::INVALID_DOMAIN, wanted))
            }
            "xend.events" => {
                // Nothing ever happens.
                std::thread::sleep(Duration::from_secs(30));
                Ok(list("events", [pair("life", "x"), pair("last", 0), pair("lost", 0)]))
            }
            other => Err(Fault::new(code::GENERIC, format!("method \"{other}\" is not supported"))),
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, folder, defined, running] = arguments.as_slice() else {
        eprintln!("usage: xend_stand_in SOCKET FOLDER DEFINED RUNNING");
        std::process::exit(2);
    };
    let number = |text: &String| text.parse::<i64>().expect("a number");
    let definitions = Definitions::new(folder);
    for guest in 0..number(defined) {
        let file = "kernel='/boot/k'; memory=64; disk=['file:/x.img,xvda,w']; vif=['']";
        let name = name(guest);
        let guest = parse(file, Source::CommandLine, &[], &name, Path::new("/"));
        let text = guest.expect("a guest").0.to_file();
        std::fs::write(Path::new(folder).join(name), text).expect("a folder to write to");
    }
    let server = Server::bind(Path::new(socket)).expect("a socket");
    let stand_in = Arc::new(StandIn { definitions, running: number(running) });
    loop {
        server.accept(&stand_in);
        std::thread::sleep(Duration::from_millis(1));
    }
}
