# A person at `virsh console` on a terminal, while the guest comes up: sees it boot, logs in, gets an
# answer, and leaves with Ctrl-].
import os
import pty
import select
import sys
import time

PATIENCE = 150

person, terminal = pty.fork()
if person == 0:
    os.execvp("virsh", ["virsh", "-c", "xen:///system", "console", "rosaline"])
seen = b""


def wait_for(text, typed=b""):
    """Reads until text is seen after all that was waited for before; types until it is, if told."""
    global seen
    end = time.monotonic() + PATIENCE
    while text not in seen:
        if time.monotonic() > end:
            sys.exit(f"no {text} in {seen}")
        if select.select([terminal], [], [], 10)[0]:
            seen += os.read(terminal, 4096)
        elif typed:
            os.write(terminal, typed)
    seen = seen[seen.index(text) + len(text):]


wait_for(b"Escape character is ^]")
# Who attaches late sees nothing until he types.
wait_for(b"login: ", typed=b"\r")
os.write(terminal, b"root\r")
wait_for(b"Password: ")
os.write(terminal, b"escalus\r")
wait_for(b"# ")
# Spelled so that the echo of the line is not the answer.
os.write(terminal, b"echo $((6 * 7))nd; hostname\r")
wait_for(b"42nd\r\nrosaline")
wait_for(b"# ")
os.write(terminal, b"exit\r")
wait_for(b"login: ")
os.write(terminal, b"\x1d")
while True:
    try:
        if not os.read(terminal, 4096):
            break
    except OSError:
        break
_, status = os.waitpid(person, 0)
assert status == 0, status
print("all is well")
