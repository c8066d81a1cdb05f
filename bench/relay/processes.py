# SPDX-License-Identifier: Apache-2.0
"""processes - starts programs, accounts for their CPU and memory, and ends exactly those.

A relay's processes get a control group of their own where that is possible (v1 cpuacct or v2):
only there is the CPU of children that have already ended counted exactly. Without it, the figures
are sums over /proc.
"""

import os
import random
import signal
import socket
import subprocess
import time

CLOCK_TICK = os.sysconf("SC_CLK_TCK")


def wall():
    """CLOCK_MONOTONIC, the clock of the tools' first_ns and last_ns."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def free_port():
    """A free TCP and UDP port below the range that outgoing connections are numbered from."""
    for _ in range(1000):
        port = random.randrange(20000, 32000)
        try:
            with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
                return port
        except OSError:
            continue
    raise RuntimeError("no free port on 127.0.0.1")


def read_text(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def write_text(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def wait_greeting(port, seconds, program=None):
    """Seconds until a 220 comes from 127.0.0.1:port; raises when none does in time."""
    start = wall()
    while wall() - start < seconds:
        if program is not None and program.poll():
            raise RuntimeError(f"{program.name} ended with status {program.process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=seconds) as peer:
                if peer.recv(4).startswith(b"220"):
                    return wall() - start
        except OSError:
            pass
        time.sleep(0.002)
    raise RuntimeError(f"no greeting on port {port} within {seconds} s")


class CpuGroup:
    """A control group for one relay; falls back to /proc where none can be made."""

    def __init__(self, name):
        self.path = None
        self.version = 0
        self.roots = []
        for version, base in ((2, "/sys/fs/cgroup"), (1, "/sys/fs/cgroup/cpuacct")):
            marker = "cgroup.controllers" if version == 2 else "cpuacct.usage"
            if not os.path.exists(f"{base}/{marker}"):
                continue
            path = f"{base}/ringpost-bench-{os.getpid()}-{name}"
            try:
                os.mkdir(path)
            except OSError:
                continue
            self.path, self.version = path, version
            break

    def enter(self):
        """Called in the child before it becomes the relay."""
        if self.path is not None:
            write_text(f"{self.path}/cgroup.procs", str(os.getpid()))

    def adopt(self, pid):
        self.roots.append(pid)

    def describe(self):
        return f"cgroup v{self.version}" if self.path else "/proc sums"

    def pids(self):
        if self.path is not None:
            return [int(pid) for pid in read_text(f"{self.path}/cgroup.procs").split()]
        return descendants(self.roots)

    def cpu(self):
        """(user, system) seconds used so far by all processes, ended ones included."""
        if self.version == 2:
            stat = dict(line.split() for line in read_text(f"{self.path}/cpu.stat").splitlines())
            return int(stat["user_usec"]) / 1e6, int(stat["system_usec"]) / 1e6
        if self.version == 1:
            # The total is exact; the kernel splits it by what its ticks hit.
            total = int(read_text(f"{self.path}/cpuacct.usage")) / 1e9
            user = int(read_text(f"{self.path}/cpuacct.usage_user")) / 1e9
            system = int(read_text(f"{self.path}/cpuacct.usage_sys")) / 1e9
            share = user / (user + system) if user + system > 0 else 0
            return total * share, total * (1 - share)
        user = system = 0.0
        for pid in self.pids():
            fields = stat_fields(pid)
            if fields:
                user += (int(fields[11]) + int(fields[13])) / CLOCK_TICK
                system += (int(fields[12]) + int(fields[14])) / CLOCK_TICK
        return user, system

    def anonymous(self):
        """Bytes of anonymous memory of all processes together; a page shared by forked processes
        counts once, as each has its share of it."""
        total = 0
        for pid in self.pids():
            try:
                for line in read_text(f"/proc/{pid}/smaps_rollup").splitlines():
                    if line.startswith("Pss_Anon:"):
                        total += int(line.split()[1]) * 1024
            except OSError:
                continue
        return total

    def close(self):
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.pids():
                try:
                    os.kill(pid, sign)
                except ProcessLookupError:
                    pass
            deadline = wall() + 5
            while self.pids() and wall() < deadline:
                time.sleep(0.02)
        if self.path is not None:
            try:
                os.rmdir(self.path)
            except OSError:
                pass


def stat_fields(pid):
    """The fields of /proc/PID/stat from the third on (the second may hold blanks)."""
    try:
        return read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    except OSError:
        return None


def descendants(roots):
    parents = {}
    for entry in os.listdir("/proc"):
        fields = stat_fields(entry) if entry.isdigit() else None
        if fields and fields[0] != "Z":
            parents[int(entry)] = int(fields[1])
    known = {pid for pid in roots if pid in parents}
    while True:
        more = {pid for pid, parent in parents.items() if parent in known} - known
        if not more:
            return sorted(known)
        known |= more


class Program:
    """A program of ours: its output in files, its CPU known when it has ended."""

    started_all = []  # so that nothing outlives the bench, whatever goes wrong

    @classmethod
    def stop_all(cls):
        for program in reversed(cls.started_all):
            program.stop(seconds=5)

    def __init__(self, arguments, directory, name, group=None):
        self.name = name
        self.output = os.path.join(directory, f"{name}.out")
        self.errors = os.path.join(directory, f"{name}.err")
        self.usage = None
        self.ended = None
        with open(self.output, "wb") as out, open(self.errors, "wb") as err:
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=directory,
                preexec_fn=group.enter if group else None)
        self.started = wall()
        Program.started_all.append(self)
        if group:
            group.adopt(self.process.pid)

    def poll(self):
        """True when it has ended; keeps the resource usage that wait4 gives only once."""
        if self.process.returncode is not None:
            return True
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if pid == 0:
            return False
        self.ended = wall()
        self.usage = usage
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return True

    def wait(self, seconds):
        deadline = wall() + seconds
        while not self.poll():
            if wall() > deadline:
                return False
            time.sleep(0.002)
        return True

    def stop(self, sign=signal.SIGTERM, seconds=10):
        if not self.poll():
            self.process.send_signal(sign)
            if not self.wait(seconds):
                self.process.kill()
                self.wait(seconds)

    def text(self):
        return read_text(self.output)

    def cpu(self):
        return self.usage.ru_utime + self.usage.ru_stime if self.usage else None
