# Calls a second by libvirt's Python binding: URI CLIENTS CALLS; prints calls a second of one
# client, then of all at once.
import sys
import threading
import time

import libvirt

uri, clients, calls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def ask(connection, domain, calls):
    for _ in range(calls):
        domain.state()


def measure(count):
    connections = [libvirt.open(uri) for _ in range(count)]
    domains = [connection.listAllDomains()[0] for connection in connections]
    each = calls // count
    threads = [threading.Thread(target=ask, args=(connection, domain, each))
               for connection, domain in zip(connections, domains)]
    start = time.perf_counter()
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    took = time.perf_counter() - start
    [connection.close() for connection in connections]
    return each * count / took


print(f"{measure(1):.0f} {measure(clients):.0f}")
