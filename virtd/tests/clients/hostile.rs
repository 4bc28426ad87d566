//! Whatever bytes a client sends, others are served, and so is it if it may still be understood.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use proptest::prelude::*;
use virtd::packet::{self, Header, Packet, kind, program, status};
use virtd::procedures::{self, Access};
use virtd::protocol::{Domain, Param};
use virtd::xdr::to_bytes;

use crate::stand_in::{Virtd, defined, guest};

/// `CONNECT_OPEN`, and a call without arguments that asks nobody.
const OPEN: i32 = 1;
const HOSTNAME: i32 = 59;

fn header(procedure: i32, serial: u32) -> Header {
    Header {
        program: program::REMOTE,
        version: program::REMOTE_VERSION,
        procedure,
        kind: kind::CALL,
        serial,
        status: status::OK,
    }
}

struct Client(UnixStream);

impl Client {
    /// A client that has opened the connection.
    fn open(virtd: &Virtd) -> Self {
        Self::open_at(virtd, "libvirt-sock")
    }

    fn open_at(virtd: &Virtd, socket: &str) -> Self {
        let stream = UnixStream::connect(virtd.socket(socket)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut client = Self(stream);
        let opened = client.call(header(OPEN, 1), &to_bytes(&(None::<String>, 0u32)));
        assert_eq!(opened.status, status::OK);
        client
    }

    fn call(&mut self, header: Header, payload: &[u8]) -> Header {
        self.answer(header, payload).header
    }

    /// The answer to a call. Notices may come before it.
    fn answer(&mut self, header: Header, payload: &[u8]) -> Packet {
        let message = packet::message(header, |out| out.extend_from_slice(payload));
        self.0.write_all(&message).unwrap();
        loop {
            let packet = packet::read(&mut self.0).unwrap().expect("it hung up");
            if packet.header.serial == header.serial && packet.header.kind == kind::REPLY {
                return packet;
            }
        }
    }
}

/// Arguments that begin as a call's do, and go on anyhow.
fn any_payload() -> impl Strategy<Value = Vec<u8>> {
    let uuid = prop_oneof![Just(uuid::Uuid::from_u128(1)), Just(uuid::Uuid::from_u128(99))];
    let domain = (uuid, any::<i32>())
        .prop_map(|(uuid, id)| to_bytes(&Domain { name: "rosaline".to_owned(), uuid, id }));
    let text = "[a-z</>='0-9 ]{0,60}".prop_map(|text| to_bytes(&text));
    let number = prop_oneof![0u32..9, Just(u32::MAX), any::<u32>()].prop_map(|it| to_bytes(&it));
    let params = "[a-z]{0,9}".prop_map(|name| to_bytes(&vec![Param::new(name, 5u32)]));
    let noise = prop::collection::vec(any::<u8>(), 0..40);
    let part = prop_oneof![3 => domain, 2 => text, 4 => number, 1 => params, 1 => noise];
    prop::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
}

#[test]
fn every_procedure_bears_any_arguments() {
    let virtd = Virtd::start(vec![guest("rosaline", 1, 5)]);
    virtd.define("juliet", &defined(2));
    let mut client = Client::open(&virtd);
    let mut serial = 1;
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(2000));
    let numbers: Vec<i32> = procedures::ALL.iter().map(|procedure| procedure.number).collect();
    let procedure = prop_oneof![
        8 => prop::sample::select(numbers),
        1 => any::<i32>(),
    ];
    let client = std::cell::RefCell::new((&mut client, &mut serial));
    runner
        .run(&(procedure, any_payload()), |(procedure, payload)| {
            // The connection is closed by a call of its own.
            prop_assume!(procedure != 2);
            let mut client = client.borrow_mut();
            *client.1 += 1;
            let serial = *client.1;
            client.0.call(header(procedure, serial), &payload);
            Ok(())
        })
        .unwrap();
    let (client, serial) = client.into_inner();
    assert_eq!(client.call(header(HOSTNAME, *serial + 1), &[]).status, status::OK);
}

#[test]
fn no_procedure_that_changes_anything_is_had_by_the_read_only_socket() {
    /// `VIR_ERR_OPERATION_DENIED`.
    const DENIED: i32 = 29;
    let virtd = Virtd::start(vec![guest("rosaline", 1, 5)]);
    let mut client = Client::open_at(&virtd, "libvirt-sock-ro");
    for (procedure, serial) in procedures::ALL.iter().zip(2..) {
        if procedure.access == Access::Write {
            let answer = client.answer(header(procedure.number, serial), &[]);
            let code = i32::from_be_bytes(answer.payload[..4].try_into().unwrap());
            assert_eq!((answer.header.status, code), (status::ERROR, DENIED), "{procedure:?}");
        }
    }
}

#[test]
fn bytes_that_are_no_messages_are_hung_up_on() {
    let virtd = Virtd::start(vec![guest("rosaline", 1, 5)]);
    let mut other = Client::open(&virtd);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(100));
    runner
        .run(&prop::collection::vec(any::<u8>(), 0..200), |bytes| {
            let mut rude = UnixStream::connect(virtd.socket("libvirt-sock-ro")).unwrap();
            rude.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let _ = rude.write_all(&bytes);
            let _ = rude.shutdown(std::net::Shutdown::Write);
            let mut rest = Vec::new();
            let _ = rude.read_to_end(&mut rest);
            Ok(())
        })
        .unwrap();
    assert_eq!(other.call(header(HOSTNAME, 2), &[]).status, status::OK);
}

#[test]
fn who_sends_many_calls_and_reads_late_gets_all_answers() {
    let virtd = Virtd::start(vec![guest("rosaline", 1, 5)]);
    let mut client = Client::open(&virtd);
    let calls: Vec<u8> =
        (2..502).flat_map(|serial| packet::message(header(HOSTNAME, serial), |_| ())).collect();
    client.0.write_all(&calls).unwrap();
    let mut serials: Vec<u32> = (2..502)
        .map(|_| packet::read(&mut client.0).unwrap().expect("it hung up").header.serial)
        .collect();
    serials.sort_unstable();
    assert_eq!(serials, (2..502).collect::<Vec<u32>>());
}
