//! Loop devices (loop(4)).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::libc;

const CTL_GET_FREE: u64 = 0x4c82;
const CONFIGURE: u64 = 0x4c0a;
const CLR_FD: u64 = 0x4c01;
const GET_STATUS64: u64 = 0x4c05;
const READ_ONLY: u32 = 1;

/// `struct loop_info64` (linux/loop.h).
#[repr(C)]
#[derive(Clone, Copy)]
struct Info64 {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` (linux/loop.h).
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info64,
    reserved: [u64; 8],
}

/// The device's path.
pub fn path(number: u32) -> PathBuf {
    PathBuf::from(format!("/dev/loop{number}"))
}

/// An ioctl of the loop driver whose argument is a structure or nothing.
fn ioctl<T>(file: &File, request: u64, argument: Option<&mut T>) -> io::Result<i32> {
    let argument = argument.map_or(std::ptr::null_mut(), std::ptr::from_mut);
    // SAFETY: each request above takes the structure that its caller passes, or nothing.
    match unsafe { libc::ioctl(file.as_raw_fd(), request, argument) } {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

/// The number of a loop device that is free right now.
pub fn free() -> io::Result<u32> {
    let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
    ioctl::<u8>(&control, CTL_GET_FREE, None).map(|number| number as u32)
}

/// Puts a file behind a loop device. `ResourceBusy` means that somebody was faster.
pub fn attach(number: u32, file: &Path, writable: bool) -> io::Result<()> {
    let backing = OpenOptions::new().read(true).write(writable).open(file)?;
    let device = OpenOptions::new().read(true).write(writable).open(path(number))?;
    // SAFETY: an all-zero configuration is valid: it is made of integers.
    let mut config: Config = unsafe { std::mem::zeroed() };
    config.fd = backing.as_raw_fd() as u32;
    config.info.flags = if writable { 0 } else { READ_ONLY };
    let name = file.as_os_str().as_encoded_bytes();
    let length = name.len().min(config.info.file_name.len() - 1);
    config.info.file_name[..length].copy_from_slice(&name[..length]);
    ioctl(&device, CONFIGURE, Some(&mut config)).map(drop)
}

/// Whether the loop device serves that very file.
pub fn serves(number: u32, file: &Path) -> bool {
    let Ok(device) = File::open(path(number)) else { return false };
    // SAFETY: an all-zero structure is valid: it is made of integers.
    let mut info: Info64 = unsafe { std::mem::zeroed() };
    let status = ioctl(&device, GET_STATUS64, Some(&mut info));
    let metadata = std::fs::metadata(file);
    status.is_ok() && metadata.is_ok_and(|m| info.device == m.dev() && info.inode == m.ino())
}

/// Takes the file away from a loop device. If somebody has it open, that happens at the last close.
pub fn detach(number: u32) -> io::Result<()> {
    ioctl::<u8>(&File::open(path(number))?, CLR_FD, None).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_file_becomes_a_disk_and_a_file_again() {
        if !Path::new("/dev/loop-control").exists() {
            panic!("this test needs loop devices: modprobe loop, as root");
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; 8192]).unwrap();
        let number = loop {
            let number = free().unwrap();
            match attach(number, file.path(), false) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => continue,
                other => break other.map(|()| number).unwrap(),
            }
        };
        assert!(serves(number, file.path()));
        assert!(!serves(number, Path::new("/etc/passwd")));
        let mut bytes = [0; 8192];
        File::open(path(number)).unwrap().read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, [7; 8192]);
        detach(number).unwrap();
        assert!(!serves(number, file.path()));
    }
}
