//! Calls about the connection itself.

use xend::sxp;

use crate::error::{Code, Error, Result};
use crate::session::Call;

/// `VIR_CONNECT_RO`.
const READ_ONLY: u32 = 1;
/// The version of libvirt whose protocol this is, as libvirt counts: 9.0.0.
const LIBRARY_VERSION: u64 = 9_000_000;
/// What clients call the hypervisor here.
const URI: &str = "xen:///system";

/// Features that clients ask for (`VIR_DRV_FEATURE_*`).
mod feature {
    pub const PROGRAM_KEEPALIVE: i32 = 10;
    pub const TYPED_PARAM_STRING: i32 = 9;
    pub const REMOTE_EVENT_CALLBACK: i32 = 14;
    pub const REMOTE_CLOSE_CALLBACK: i32 = 15;
}

/// Ways to prove who one is: none (`REMOTE_AUTH_NONE`). Who can reach the socket, or has a
/// certificate, is let in.
pub fn auth_list(_: &Call, (): ()) -> Result<Vec<i32>> {
    Ok(vec![0])
}

/// Opens the connection to the hypervisor that a URI names.
pub fn open(call: &Call, (name, flags): (Option<String>, u32)) -> Result<()> {
    let name = name.unwrap_or_default();
    // What a driver of ours answers to: any host part has brought the client here already.
    let path = name.strip_prefix("xen:").map(|rest| rest.split('?').next().unwrap_or_default());
    let known = match path {
        None => name.is_empty(),
        Some(path) => matches!(path.rsplit_once('/').map_or(path, |(_, last)| last), "" | "system"),
    };
    if !known {
        return Err(Error::new(
            Code::OperationFailed,
            format!("no connection driver available for {name}: this is {URI}"),
        ));
    }
    call.open(flags & READ_ONLY != 0);
    Ok(())
}

/// Closes it again.
pub fn close(call: &Call, (): ()) -> Result<()> {
    call.session.close();
    Ok(())
}

/// The hypervisor's name, which decides how a client talks of it.
pub fn kind(_: &Call, (): ()) -> Result<String> {
    Ok("Xen".to_owned())
}

/// The hypervisor's version, as libvirt counts.
pub fn version(call: &Call, (): ()) -> Result<u64> {
    let node = call.xend().ask("xend.node.info", vec![])?;
    let part = |name| sxp::int(&node, name).and_then(|part| u64::try_from(part).ok()).unwrap_or(0);
    // xen_extra is ".3" or ".3-pre".
    let extra = sxp::text(&node, "xen_extra").unwrap_or_default();
    let digits = extra.trim_start_matches('.').chars().take_while(char::is_ascii_digit);
    let extra = digits.collect::<String>().parse::<u64>().unwrap_or(0);
    Ok(part("xen_major") * 1_000_000 + part("xen_minor") * 1000 + extra)
}

/// The version of libvirt.
pub fn library_version(_: &Call, (): ()) -> Result<u64> {
    Ok(LIBRARY_VERSION)
}

/// The host's name.
pub fn hostname(_: &Call, (): ()) -> Result<String> {
    let name = nix::unistd::gethostname().map_err(Error::internal)?;
    Ok(name.to_string_lossy().into_owned())
}

/// What to open to come here again.
pub fn uri(_: &Call, (): ()) -> Result<String> {
    Ok(URI.to_owned())
}

/// Whether nobody can listen in.
pub fn is_secure(call: &Call, (): ()) -> Result<bool> {
    Ok(call.secure)
}

/// Whether we have what a client asks for.
pub fn supports_feature(call: &Call, feature: i32) -> Result<bool> {
    if feature == feature::PROGRAM_KEEPALIVE {
        call.knows_keepalive();
    }
    Ok(matches!(
        feature,
        feature::PROGRAM_KEEPALIVE
            | feature::TYPED_PARAM_STRING
            | feature::REMOTE_EVENT_CALLBACK
            | feature::REMOTE_CLOSE_CALLBACK
    ))
}
