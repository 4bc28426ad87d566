//! What this host can do, in libvirt's XML.

use xend::rpc::Value;
use xend::sxp;

/// `<capabilities>` of the host that xend tells of.
pub fn host(node: &Value) -> String {
    let count = |name| sxp::int(node, name).unwrap_or(1).max(1);
    let (cpus, cores, threads) =
        (count("nr_cpus"), count("cores_per_socket"), count("threads_per_core"));
    let sockets = (cpus / (cores * threads)).max(1);
    let kib = sxp::int(node, "total_memory").unwrap_or(0) * 1024;
    let cpu: String = (0..cpus).map(|cpu| format!("          <cpu id='{cpu}'/>\n")).collect();
    format!(
        "<capabilities>

  <host>
    <cpu>
      <arch>x86_64</arch>
      <topology sockets='{sockets}' dies='1' cores='{cores}' threads='{threads}'/>
    </cpu>
    <power_management/>
    <migration_features/>
    <topology>
      <cells num='1'>
        <cell id='0'>
          <memory unit='KiB'>{kib}</memory>
          <cpus num='{cpus}'>
{cpu}          </cpus>
        </cell>
      </cells>
    </topology>
  </host>

  <guest>
    <os_type>xen</os_type>
    <arch name='x86_64'>
      <wordsize>64</wordsize>
      <machine>xenpv</machine>
      <domain type='xen'/>
    </arch>
  </guest>

</capabilities>
"
    )
}
