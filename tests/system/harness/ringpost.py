# SPDX-License-Identifier: Apache-2.0
"""ringpost - one relay process: start, stop, kill, reload, and what can be read from outside.

A report of a sanitizer or of a failed assertion on stderr or in the log fails the test, whatever
else happened: stop() and check_health() look for them.
"""
import json
import os
import re
import signal
import subprocess
import time

from . import net
from .raw_client import RawClient
from .wait import PATIENCE, until

_ALARMS = re.compile(
    r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|\bBUG at\b|Assertion .* failed")


class Ringpost:
    def __init__(self, binary, directory, config):
        self.binary = str(binary)
        self.directory = str(directory)
        self.config = config
        self.file = os.path.join(self.directory, "ringpost.conf")
        self.process = None
        self.starts = 0

    # ---- the process ----------------------------------------------------------------------------

    def write_config(self, text=None):
        with open(self.file, "w", encoding="utf-8") as out:
            out.write(self.config.text() if text is None else text)

    def start(self, wait=True):
        assert self.process is None, "runs already"
        self.write_config()
        self.starts += 1
        with open(self._stderr_path(), "wb") as stderr:
            self.process = subprocess.Popen(
                [self.binary, "serve", "-c", self.file], cwd=self.directory,
                stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, env=_environment())
        if wait:
            until(self._is_up, 20, lambda: f"the listener; stderr:\n{self.stderr()}", every=0.005)
        return self

    def _is_up(self):
        if self.process.poll() is not None:
            code, self.process = self.process.returncode, None
            raise AssertionError(f"ended at once with {code}; stderr:\n{self.stderr()}\n"
                                 f"log:\n{self.log()[-3000:]}")
        if not all(net.listens(*_host_port(name)) for name in self.config.listeners):
            return False
        # The kernel may still show the sockets of a process killed just before. This asks the one
        # that lives, and only answers when recovery is over.
        return self.run("stats", "-c", self.file, check=False).returncode == 0

    def stop(self, seconds=15, expect=0):
        """SIGTERM, then exit 0 within the deadline."""
        process, self.process = self.process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        self._collect(process, seconds, expect)

    def wait_exit(self, seconds=15, expect=0):
        process, self.process = self.process, None
        self._collect(process, seconds, expect)

    def _collect(self, process, seconds, expect):
        try:
            code = process.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"did not end within {seconds} s of SIGTERM; "
                                 f"log ends:\n{self.log()[-3000:]}") from None
        self.check_health()
        assert code == expect, f"exit {code}, not {expect}; stderr:\n{self.stderr()}"

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """SIGKILL: nothing of the process survives but its files."""
        process, self.process = self.process, None
        process.kill()
        process.wait()
        self.check_health()

    def restart(self, workers=None):
        self.stop()
        if workers:
            self.config.top["workers"] = workers
        return self.start()

    def reload(self, text=None):
        """Writes the configuration (or this text) and asks for it to be read."""
        self.write_config(text)
        self.signal(signal.SIGHUP)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def check_health(self):
        for name, text in (("stderr", self.stderr()), ("log", self.log())):
            found = _ALARMS.search(text)
            assert not found, f"in {name}:\n{text[max(0, found.start() - 500):][:6000]}"

    # ---- what it says ---------------------------------------------------------------------------

    def _stderr_path(self):
        return os.path.join(self.directory, f"stderr.{self.starts}")

    def stderr(self):
        return _read(self._stderr_path())

    def log(self):
        path = self.config.log.get("path")
        return "".join(_read(name) for name in files_of(path)) if path else ""

    def wait_log(self, pattern, seconds=10):
        return until(lambda: re.search(pattern, self.log() + self.stderr()), seconds,
                     lambda: f"{pattern!r} in the log, which ends:\n{self.log()[-2000:]}")

    def account(self, **wanted):
        """Records of the account, oldest first; wanted: fields that must be equal."""
        lines = []
        for name in files_of(self.config.account["path"]):
            lines += _read(name).splitlines(keepends=True)
        records = [json.loads(line) for line in lines if line.endswith("\n")]
        records.sort(key=lambda record: record["timestamp"])
        return [r for r in records if all(r.get(key) == value for key, value in wanted.items())]

    def wait_account(self, count=1, seconds=15, **wanted):
        def enough():
            found = self.account(**wanted)
            return found if len(found) >= count else None
        return until(enough, seconds,
                     lambda: f"{count} records with {wanted}; there are {self.account()[-20:]}",
                     every=0.05)

    # ---- the subcommands ------------------------------------------------------------------------

    def run(self, *arguments, timeout=20, check=True, typed=None):
        done = subprocess.run([self.binary, *arguments], capture_output=True, text=True, input=typed,
                              timeout=timeout * PATIENCE, cwd=self.directory, env=_environment(),
                              errors="surrogateescape", check=False)
        assert not _ALARMS.search(done.stderr), done.stderr
        if check:
            assert done.returncode == 0, f"{arguments}: {done.returncode}: {done.stderr}"
        return done

    def check(self, text):
        """`ringpost check` of this configuration text."""
        path = os.path.join(self.directory, "checked.conf")
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return self.run("check", "-c", path, check=False), path

    def passwd(self, name, password, *options):
        """`ringpost passwd`: the user in the file that the configuration names."""
        self.run("passwd", "-f", self.config.top["users"], *options, name, typed=password + "\n")

    def queue(self, *arguments, check=True):
        return self.run("queue", *arguments, "-c", self.file, check=check).stdout

    def queue_rows(self, *arguments):
        """The rows of a queue command, as the server sends them."""
        return [json.loads(line) for line in self.queue(*arguments, "--json").splitlines()]

    def listed(self, **wanted):
        rows = self.queue_rows("list", "--limit", "10000")
        return [row for row in rows if all(row.get(k) == v for k, v in wanted.items())]

    def stats(self):
        return json.loads(self.run("stats", "-c", self.file).stdout)

    def counter(self, name):
        """A counter or gauge, wherever the JSON has it."""
        return _find(self.stats(), name)

    def queued(self):
        return self.counter("queue_messages")

    def wait_empty(self, seconds=30):
        until(lambda: self.queued() == 0, seconds,
              lambda: f"an empty queue; it holds {self.queue('list')[:2000]}", every=0.05)

    def wait_quiet(self):
        """Nothing was written to the spool for a while: all outcomes are on disk."""
        last = [-1, 0.0]

        def quiet():
            commits = self.counter("spool_commits")
            if commits != last[0]:
                last[:] = commits, time.monotonic()
            return time.monotonic() - last[1] > 0.5
        until(quiet, 15, "a quiet spool", every=0.05)

    # ---- the network ----------------------------------------------------------------------------

    @property
    def port(self):
        return self.config.port

    def client(self, **options):
        return RawClient(self.port, **options)

    def session(self, **options):
        """A client that has said EHLO."""
        client = self.client(**options)
        client.ehlo()
        return client

    def memory_kb(self):
        found = re.search(r"VmRSS:\s+(\d+)", _read(f"/proc/{self.process.pid}/status"))
        return int(found.group(1))


def _host_port(name):
    host, _, port = name.rpartition(":")
    return host, int(port)


def files_of(path):
    """The file at path and what it was rotated to, oldest first; or the files of that folder."""
    if os.path.isdir(path):
        names = [os.path.join(path, name) for name in os.listdir(path)]
    else:
        folder, base = os.path.split(path)
        names = [os.path.join(folder, n) for n in os.listdir(folder) if n.startswith(base)]
    names = [name for name in names if os.path.isfile(name)]
    return sorted(names, key=lambda name: (os.stat(name).st_mtime_ns, name))


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _find(tree, name):
    if isinstance(tree, dict):
        if name in tree:
            return tree[name]
        for value in tree.values():
            found = _find(value, name)
            if found is not None:
                return found
    return None


def _environment():
    environment = dict(os.environ)
    environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    environment.setdefault("ASAN_OPTIONS", "detect_stack_use_after_return=1")
    environment.setdefault("TSAN_OPTIONS", "second_deadlock_stack=1")
    return environment
