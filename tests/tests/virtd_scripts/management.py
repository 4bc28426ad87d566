# What a management tool does by libvirt's Python binding, on a guest of its own.
import re
import sys
import threading
import time

import libvirt

libvirt.virEventRegisterDefaultImpl()
threading.Thread(target=lambda: [libvirt.virEventRunDefaultImpl() for _ in iter(int, 1)],
                 daemon=True).start()

connection = libvirt.open("xen:///system")
connection.setKeepAlive(2, 3)
told = []
connection.domainEventRegisterAny(
    None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
    lambda _connection, domain, event, detail, _opaque: told.append((domain.name(), event, detail)),
    None)

assert connection.getType() == "Xen" and connection.isAlive() and connection.isSecure()
assert connection.getInfo()[2] >= 1
assert "<os_type>xen</os_type>" in connection.getCapabilities()

xml = connection.domainXMLFromNative("xen-xl", open("/etc/xen/escalus").read(), 0)
xml = xml.replace("<name>escalus</name>", "<name>tybalt</name>").replace("escalus.img", "tybalt.img")
xml = re.sub("<uuid>.*</uuid>", "", xml)
xml = xml.replace("<target dev='escalus'/>", "").replace("59:a7:89", "59:a7:90")
domain = connection.defineXML(xml)
assert domain.isPersistent() and not domain.isActive()
assert domain.state()[0] == libvirt.VIR_DOMAIN_SHUTOFF
domain.create()
assert domain.isActive() and domain.ID() > 0
assert connection.lookupByID(domain.ID()).UUID() == domain.UUID()
assert domain.info()[1] == 128 * 1024, domain.info()
domain.suspend()
assert domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED
domain.resume()
stats = connection.getAllDomainStats()
mine = [record for guest, record in stats if guest.name() == "tybalt"][0]
assert mine["state.state"] == libvirt.VIR_DOMAIN_RUNNING and mine["block.count"] == 1, mine

# The console: what the guest prints, and what is typed is taken.
stream = connection.newStream(0)
domain.openConsole(None, stream, 0)
try:
    domain.openConsole(None, connection.newStream(0), 0)
    sys.exit("two were attached to one console")
except libvirt.libvirtError as error:
    assert "Active console session" in str(error), error
output = b""
while output.count(b"\n") < 5:
    output += stream.recv(1024)
assert stream.send(b"nobody\n") == 7
stream.abort()

domain.destroy()
assert not domain.isActive()
domain.undefine()
try:
    connection.lookupByName("tybalt")
    sys.exit("it is still there")
except libvirt.libvirtError as error:
    assert error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN, error
try:
    connection.numOfSecrets()
    sys.exit("there are no secrets here")
except libvirt.libvirtError as error:
    assert error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT, error

time.sleep(1)
kinds = [event for name, event, _ in told if name == "tybalt"]
wanted = [libvirt.VIR_DOMAIN_EVENT_DEFINED, libvirt.VIR_DOMAIN_EVENT_STARTED,
          libvirt.VIR_DOMAIN_EVENT_SUSPENDED, libvirt.VIR_DOMAIN_EVENT_RESUMED,
          libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_UNDEFINED]
assert kinds == wanted, told
print("all is well")
