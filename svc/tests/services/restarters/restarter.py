"""A restarter after docs/restarter-protocol.md: every instance of it is a process that sleeps.

Events go to the file `heard` of the private root, one a line. Instances in the file `broken` fail.
"""
import json
import os
import select
import signal
import socket
import subprocess
import time

ROOT = os.environ["SVC_ROOT"]
OWN = os.environ["SMF_FMRI"]
instances = {}


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def is_broken(name):
    try:
        with open(os.path.join(ROOT, "broken")) as broken:
            return name in broken.read().split()
    except OSError:
        return False


def stop(instance):
    for pid in instance["pids"]:
        if lives(pid):
            os.kill(pid, signal.SIGKILL)
        while lives(pid):
            collect()
            time.sleep(0.01)
    instance["pids"] = []


def collect():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


class Connection:
    def __init__(self):
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(os.path.join(ROOT, "run/svc/restarter.sock"))
                break
            except OSError:
                self.socket.close()
                time.sleep(0.05)
        self.buffer = b""
        self.say({"request": "bind", "restarter": OWN, "version": 1})

    def say(self, message):
        try:
            self.socket.sendall(json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            pass

    def report(self, name, **more):
        instance = instances[name]
        self.say({"request": "report", "instance": name, "state": instance["state"], **more})

    def handle(self, event):
        with open(os.path.join(ROOT, "heard"), "a") as heard:
            heard.write(event["event"] + " " + event.get("instance", "-") + event.get("message", "") + "\n")
        what, name, number = event["event"], event.get("instance"), event.get("id")
        if what in ("BOUND", "SYNCED", "ERROR"):
            return
        if what == "REMOVE_INSTANCE":
            instances.pop(name, None)
            return
        more = {}
        if what == "ADD_INSTANCE":
            pids = [pid for pid in event["processes"] if lives(pid)]
            state = event["state"]
            if state in ("online", "degraded") and not pids:
                more["error"] = True
            if state != "maintenance":
                state = "online" if pids else "offline" if event["enabled"] else "disabled"
            instances[name] = {"state": state, "pids": pids}
        instance = instances[name]
        if what == "ENABLE" and instance["state"] == "disabled":
            instance["state"] = "offline"
        elif what == "DISABLE":
            stop(instance)
            instance["state"] = "disabled"
        elif what == "START" and instance["state"] == "offline":
            if is_broken(name):
                instance["state"] = "maintenance"
                more["auxiliary_state"] = "fault_threshold_reached"
            else:
                self.report(name, next_state="online")
                child = subprocess.Popen(["sleep", "1000"])
                instance.update(state="online", pids=[child.pid])
                more["message"] = "Started by hand."
        elif what in ("STOP", "STOP_RESET", "ADMIN_RESTART"):
            stop(instance)
            if instance["state"] != "disabled":
                instance["state"] = "offline"
        elif what in ("ADMIN_MAINT_ON", "DEPENDENCY_CYCLE", "INVALID_DEPENDENCY"):
            stop(instance)
            instance["state"] = "maintenance"
        elif what == "ADMIN_MAINT_ON_IMMEDIATE":
            instance.update(state="maintenance", pids=[])
        elif what == "ADMIN_MAINT_OFF" and instance["state"] == "maintenance":
            instance["state"] = "offline"
        elif what in ("ADMIN_DEGRADED", "ADMIN_RESTORE"):
            instance["state"] = "degraded" if what == "ADMIN_DEGRADED" else "online"
        self.report(name, id=number, processes=instance["pids"], **more)

    def serve(self):
        while True:
            if select.select([self.socket], [], [], 0.1)[0]:
                try:
                    data = self.socket.recv(65536)
                except ConnectionResetError:
                    return
                if not data:
                    return
                self.buffer += data
                *lines, self.buffer = self.buffer.split(b"\n")
                for line in lines:
                    self.handle(json.loads(line))
            collect()
            for name, instance in instances.items():
                if instance["pids"] and not any(map(lives, instance["pids"])):
                    instance.update(state="offline", pids=[])
                    self.report(name, error=True, processes=[])


while True:
    Connection().serve()
