//! Storage: one pool, the folder where guests' images are. Its files are its volumes; clients see
//! them, and what makes and removes them is the administrator.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use uuid::Uuid;

use crate::domain_xml::Builder;
use crate::error::{Code, Error, Result};
use crate::files;
use crate::protocol::{Pool, Volume};
use crate::session::Call;

/// The folder.
const FOLDER: &str = "/var/lib/xen/images";
/// What clients call it.
const NAME: &str = "default";

/// Which pools to list (`virConnectListAllStoragePoolsFlags`): those that hold for ours.
const OURS: u32 = ACTIVE | PERSISTENT | AUTOSTART | DIR;
const ACTIVE: u32 = 1 << 1;
const PERSISTENT: u32 = 1 << 2;
const AUTOSTART: u32 = 1 << 4;
const DIR: u32 = 1 << 6;
/// Each flag beside its alternatives.
const GROUPS: [u32; 4] = [1 << 0 | ACTIVE, PERSISTENT | 1 << 3, AUTOSTART | 1 << 5, u32::MAX << 6];

/// The pools there are: ours, if there is the folder.
fn pools() -> Vec<Pool> {
    let pool = Pool { name: NAME.to_owned(), uuid: crate::identity("pool", NAME) };
    Vec::from_iter(Path::new(FOLDER).is_dir().then_some(pool))
}

fn find(matches: impl Fn(&Pool) -> bool, what: &str) -> Result<Pool> {
    let missing =
        || Error::new(Code::NoStoragePool, format!("no storage pool with matching {what}"));
    pools().into_iter().find(matches).ok_or_else(missing)
}

fn known(wanted: &Pool) -> Result<Pool> {
    find(|it| it.uuid == wanted.uuid, &format!("uuid '{}' ({})", wanted.uuid, wanted.name))
}

/// The pools that `flags` select, and how many there are.
pub fn list_all(_: &Call, (results, flags): (i32, u32)) -> Result<(Vec<Pool>, u32)> {
    let wanted = GROUPS.iter().all(|group| flags & group == 0 || flags & group & OURS != 0);
    let pools = if wanted { pools() } else { Vec::new() };
    let count = pools.len() as u32;
    Ok((if results != 0 { pools } else { Vec::new() }, count))
}

/// How many there are.
pub fn count(_: &Call, (): ()) -> Result<i32> {
    Ok(pools().len() as i32)
}

/// Their names.
pub fn names(_: &Call, most: i32) -> Result<Vec<String>> {
    let most = usize::try_from(most).unwrap_or(0);
    Ok(pools().into_iter().map(|pool| pool.name).take(most).collect())
}

/// How many are defined and not there.
pub fn count_defined(_: &Call, (): ()) -> Result<i32> {
    Ok(0)
}

/// The names of those.
pub fn names_defined(_: &Call, _most: i32) -> Result<Vec<String>> {
    Ok(Vec::new())
}

/// The pool of that name.
pub fn lookup_by_name(_: &Call, name: String) -> Result<Pool> {
    find(|it| it.name == name, &format!("name '{name}'"))
}

/// The pool with that identity.
pub fn lookup_by_uuid(_: &Call, uuid: Uuid) -> Result<Pool> {
    find(|it| it.uuid == uuid, &format!("uuid '{uuid}'"))
}

/// The pool that has a volume.
pub fn lookup_by_volume(_: &Call, volume: Volume) -> Result<Pool> {
    find(|it| it.name == volume.pool, &format!("name '{}'", volume.pool))
}

/// The pool that is the folder at `path`.
pub fn lookup_by_target_path(_: &Call, path: String) -> Result<Pool> {
    find(|_| Path::new(&path) == Path::new(FOLDER), &format!("target path '{path}'"))
}

/// State, and capacity, allocation and what is left of the file system, in bytes.
pub fn info(_: &Call, wanted: Pool) -> Result<(u32, u64, u64, u64)> {
    /// `VIR_STORAGE_POOL_RUNNING`.
    const RUNNING: u32 = 2;
    known(&wanted)?;
    let stat = statvfs(FOLDER).map_err(|errno| Error::internal(format!("{FOLDER}: {errno}")))?;
    let unit = stat.fragment_size();
    let (capacity, free) = (stat.blocks() * unit, stat.blocks_free() * unit);
    Ok((RUNNING, capacity, capacity - free, free))
}

/// The pool as XML.
pub fn describe(call: &Call, (wanted, _flags): (Pool, u32)) -> Result<String> {
    let pool = known(&wanted)?;
    let (_, capacity, allocation, available) = info(call, wanted)?;
    let mut xml = Builder::default();
    xml.element("pool", &[("type", "dir")], |xml| {
        xml.text("name", &[], &pool.name);
        xml.text("uuid", &[], &pool.uuid.to_string());
        let sizes = [("capacity", capacity), ("allocation", allocation), ("available", available)];
        for (name, bytes) in sizes {
            xml.text(name, &[("unit", "bytes")], &bytes.to_string());
        }
        xml.empty("source", &[]);
        xml.element("target", &[], |xml| {
            xml.text("path", &[], FOLDER);
        });
    });
    Ok(xml.finish())
}

/// It is there, it stays, and it is there after the next boot.
pub fn yes(_: &Call, wanted: Pool) -> Result<bool> {
    known(&wanted).map(|_| true)
}

/// What is in the folder is looked at each time.
pub fn refresh(_: &Call, (wanted, _flags): (Pool, u32)) -> Result<()> {
    known(&wanted).map(drop)
}

fn volumes() -> Vec<Volume> {
    let entries = fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let files = entries.filter(|entry| {
        let kind = fs::metadata(entry.path()).map(|metadata| metadata.file_type());
        kind.is_ok_and(|kind| kind.is_file() || kind.is_block_device())
    });
    let mut names: Vec<String> = files.filter_map(|it| it.file_name().into_string().ok()).collect();
    names.sort();
    names.into_iter().map(volume).collect()
}

fn volume(name: String) -> Volume {
    let key = Path::new(FOLDER).join(&name).display().to_string();
    Volume { pool: NAME.to_owned(), name, key }
}

fn find_volume(matches: impl Fn(&Volume) -> bool, what: &str) -> Result<Volume> {
    let missing = || Error::new(Code::NoStorageVol, format!("no storage vol with matching {what}"));
    volumes().into_iter().find(matches).ok_or_else(missing)
}

fn known_volume(wanted: &Volume) -> Result<PathBuf> {
    let volume = find_volume(|it| it == wanted, &format!("name '{}'", wanted.name))?;
    Ok(volume.key.into())
}

/// How many volumes a pool has.
pub fn volume_count(_: &Call, wanted: Pool) -> Result<i32> {
    known(&wanted).map(|_| volumes().len() as i32)
}

/// The names of a pool's volumes.
pub fn volume_names(_: &Call, (wanted, most): (Pool, i32)) -> Result<Vec<String>> {
    known(&wanted)?;
    let most = usize::try_from(most).unwrap_or(0);
    Ok(volumes().into_iter().map(|volume| volume.name).take(most).collect())
}

/// The volumes of a pool, and how many there are.
pub fn list_volumes(
    _: &Call,
    (wanted, results, _flags): (Pool, i32, u32),
) -> Result<(Vec<Volume>, u32)> {
    known(&wanted)?;
    let volumes = volumes();
    let count = volumes.len() as u32;
    Ok((if results != 0 { volumes } else { Vec::new() }, count))
}

/// The volume of that name.
pub fn volume_by_name(_: &Call, (wanted, name): (Pool, String)) -> Result<Volume> {
    known(&wanted)?;
    find_volume(|it| it.name == name, &format!("name '{name}'"))
}

/// The volume at that path, which is its key as well.
pub fn volume_by_path(_: &Call, path: String) -> Result<Volume> {
    find_volume(|it| it.key == path, &format!("path '{path}'"))
}

/// Kind, capacity and allocation in bytes.
pub fn volume_info(_: &Call, wanted: Volume) -> Result<(i32, u64, u64)> {
    /// `VIR_STORAGE_VOL_FILE`.
    const FILE: i32 = 0;
    let path = known_volume(&wanted)?;
    let size = files::size(&path).map_err(|error| Error::internal(format!("{path:?}: {error}")))?;
    Ok((FILE, size.capacity, size.allocation))
}

/// Kind, capacity and allocation in bytes.
pub fn volume_info_flags(call: &Call, (wanted, _flags): (Volume, u32)) -> Result<(i32, u64, u64)> {
    volume_info(call, wanted)
}

/// Where it is.
pub fn volume_path(_: &Call, wanted: Volume) -> Result<String> {
    Ok(known_volume(&wanted)?.display().to_string())
}

/// The volume as XML.
pub fn describe_volume(call: &Call, (wanted, _flags): (Volume, u32)) -> Result<String> {
    let (_, capacity, allocation) = volume_info(call, wanted.clone())?;
    let mut xml = Builder::default();
    xml.element("volume", &[("type", "file")], |xml| {
        xml.text("name", &[], &wanted.name);
        xml.text("key", &[], &wanted.key);
        xml.text("capacity", &[("unit", "bytes")], &capacity.to_string());
        xml.text("allocation", &[("unit", "bytes")], &allocation.to_string());
        xml.element("target", &[], |xml| {
            xml.text("path", &[], &wanted.key);
            xml.empty("format", &[("type", "raw")]);
        });
    });
    Ok(xml.finish())
}
