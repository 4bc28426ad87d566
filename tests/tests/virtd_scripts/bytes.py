# Bytes that no stock client sends: what virtd answers, and that others do not notice.
import socket
import struct

PATH = "/run/libvirt/libvirt-sock-ro"


def connect():
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(PATH)
    return client


def message(procedure, serial, payload=b"", program=0x20008086, kind=0):
    body = struct.pack(">IIiIII", program, 1, procedure, kind, serial, 0) + payload
    return struct.pack(">I", len(body) + 4) + body


def read(client, length):
    data = b""
    while len(data) < length:
        more = client.recv(length - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def answer(client):
    (length,) = struct.unpack(">I", read(client, 4))
    body = read(client, length - 4)
    fields = struct.unpack(">IIiIII", body[:24])
    return fields[4], fields[5], body[24:]


def error(payload):
    code, domain = struct.unpack(">ii", payload[:8])
    (length,) = struct.unpack(">I", payload[12:16])
    return code, payload[16:16 + length].decode()


client = connect()
client.sendall(message(59, 1))
serial, status, payload = answer(client)
assert (serial, status) == (1, 1) and "not open" in error(payload)[1], payload
client.sendall(message(1, 2, struct.pack(">II", 0, 1)))
assert answer(client)[:2] == (2, 0)
# One that libvirt has and we have not, one that nobody has, and arguments that are none.
client.sendall(message(185, 3) + message(9999, 4) + message(23, 5, b"\xff\xff\xff\xff"))
answers = {serial: (status, error(payload)) for serial, status, payload in
           [answer(client) for _ in range(3)]}
assert answers[3][1] == (3, "this function is not supported by the connection driver: "
                         "virDomainSnapshotCreateXML"), answers
assert answers[4][1] == (39, "unknown procedure: 9999"), answers
assert answers[5][0] == 1 and answers[5][1][0] == 39, answers
# Another program, and a ping.
client.sendall(message(1, 6, program=7))
assert answer(client)[1] == 1
client.sendall(message(1, 0, program=0x6b656570, kind=2))
assert answer(client)[:2] == (0, 0)
# Nothing is changed by this socket, whatever else is wrong with the call.
client.sendall(message(12, 7))
code, text = error(answer(client)[2])
assert code == 29 and "read only access prevents virDomainDestroy" in text, text

for nonsense in [b"\xff" * 64, struct.pack(">I", 3), struct.pack(">I", 64 << 20), b"GET / HTTP/1.1\r\n\r\n"]:
    rude = connect()
    rude.sendall(nonsense)
    rude.shutdown(socket.SHUT_WR)
    assert rude.recv(100) == b"", nonsense

# One that asks and never reads: it is hung up on, and nobody else waits for it.
deaf = connect()
deaf.sendall(message(1, 1, struct.pack(">II", 0, 1)))
deaf.settimeout(2)
sent = 0
try:
    while sent < 400:
        deaf.sendall(message(7, 2 + sent))
        sent += 1
except OSError:
    pass
client.sendall(message(59, 8))
assert answer(client)[:2] == (8, 0)
print("all is well")
