//! Finding and opening the virtio-serial port by its name.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

const CLASS: &str = "/sys/class/virtio-ports";
/// How often is looked for one.
const AGAIN: Duration = Duration::from_millis(500);

/// Opens the port that is named [`agent::PORT_NAME`], as soon as there is one: most machines have none,
/// and one may be plugged in.
pub fn wait() -> io::Result<File> {
    let mut is_told = false;
    loop {
        match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !is_told {
                    eprintln!("execd: waiting: {error}");
                }
                is_told = true;
                thread::sleep(AGAIN);
            }
            opened => return opened,
        }
    }
}

fn open() -> io::Result<File> {
    let ports = fs::read_dir(CLASS).map_err(|error| at(Path::new(CLASS), error))?;
    for port in ports {
        let port = port?;
        let name = fs::read_to_string(port.path().join("name")).unwrap_or_default();
        if name.trim_end() == agent::PORT_NAME {
            let device = Path::new("/dev").join(port.file_name());
            let opened = OpenOptions::new().read(true).write(true).open(&device);
            return opened.map_err(|error| at(&device, error));
        }
    }
    let message = format!("no virtio-serial port is named {}", agent::PORT_NAME);
    Err(io::Error::new(io::ErrorKind::NotFound, message))
}

fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
