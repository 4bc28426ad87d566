//! Commands run in dom0 from outside the emulator, over one virtio-serial port.
//!
//! `execd` is the dom0 side; [`host::Agent`] is the side that asks. Both speak frames:
//!
//! | bytes | meaning |
//! | --- | --- |
//! | 4 | the magic `EscX` |
//! | 1 | kind |
//! | 4 | length of the payload, little-endian, at most [`frame::MAX_PAYLOAD`] |
//! | n | payload |
//!
//! | kind | sender | payload |
//! | --- | --- | --- |
//! | `h` hello | both | 8 bytes chosen by the asker; dom0 sends them back |
//! | `r` run | asker | a command for `/bin/sh -c` |
//! | `c` cancel | asker | empty: kill the running command's process group |
//! | `o` / `e` | dom0 | a piece of standard output / standard error |
//! | `x` exit | dom0 | exit status, 4 bytes, little-endian (128 + n for signal n) |
//! | `f` failed | dom0 | why the command could not be started, UTF-8 |
//!
//! One command runs at a time. The port keeps no message boundaries and either side may go away in
//! the middle of a frame, so a reader skips bytes until the next magic, and a new asker begins
//! with a hello: dom0 kills what still runs and answers, and the asker ignores everything that
//! came before the answer to its own hello.

pub mod frame;
pub mod host;

/// The name of the virtio-serial port, as in `/sys/class/virtio-ports/*/name`.
pub const PORT_NAME: &str = "escalus.exec";
