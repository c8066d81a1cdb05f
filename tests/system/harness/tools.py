# SPDX-License-Identifier: Apache-2.0
"""tools - smtp-source, smtp-sink (Debian's postfix) and swaks as children of a test."""
import os
import re
import subprocess

from . import net
from .wait import PATIENCE, until

SOURCE = "/usr/sbin/smtp-source"
SINK = "/usr/sbin/smtp-sink"
SWAKS = "/usr/bin/swaks"


def smtp_source(port, count, sessions=10, length=4096, per_connection=True, recipients=1,
                sender="source@source.test", to="sink@dest.test", timeout=120, more=()):
    """per_connection: -d, the connection stays open for the next message."""
    command = [SOURCE, "-s", str(sessions), "-l", str(length), "-m", str(count),
               "-f", sender, "-t", to, *(["-d"] if per_connection else []), *more]
    if recipients > 1:
        command += ["-r", str(recipients)]
    done = subprocess.run(command + [f"127.0.0.1:{port}"], capture_output=True, text=True,
                          timeout=timeout * PATIENCE, check=False)
    assert done.returncode == 0, f"smtp-source: {done.stderr}"


class SmtpSink:
    """smtp-sink that appends what it takes to one file."""

    def __init__(self, folder, name="sink", options=(), address="127.0.0.1", port=None,
                 dump=True):
        self.folder = os.path.join(str(folder), name)
        os.makedirs(self.folder, exist_ok=True)
        self.address, self.port = address, port or net.free_port((address,))
        self.file = os.path.join(self.folder, "mail")
        self.options = list(options)
        if dump:
            self.options += ["-D", "mail"]
        user = ["-u", "root"] if os.getuid() == 0 else []
        self.process = subprocess.Popen(
            [SINK, *user, "-c", *self.options, f"{address}:{self.port}", "512"],
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE)
        until(lambda: net.listens(address, self.port) or self.process.poll() is not None, 10,
              "smtp-sink to listen", every=0.005)
        assert self.process.poll() is None, self.process.stderr.read()

    @property
    def where(self):
        return f"{self.address}:{self.port}"

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
        self.process.stderr.close()

    def dump(self):
        """Everything taken so far, octets. (What is under way lies in files of other names.)"""
        try:
            with open(self.file, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""

    def values(self, field):
        """Values of a header field in all messages (lines of the form "Field: value")."""
        found = re.findall(rb"(?m)^%s: (.*?)\r?$" % re.escape(field.encode()), self.dump())
        return [value.decode("utf-8", "replace") for value in found]

    def rcpts(self):
        return self.values("X-Rcpt-Args")

    def mails(self):
        return len(self.values("X-Mail-Args"))

    def wait_mails(self, count, seconds=60):
        until(lambda: self.mails() >= count, seconds,
              lambda: f"{count} messages in smtp-sink; it has {self.mails()}", every=0.1)


def swaks(port, *arguments, timeout=30):
    """Returns (exit code, transcript)."""
    done = subprocess.run(
        [SWAKS, "--server", f"127.0.0.1:{port}", *arguments], capture_output=True, text=True,
        timeout=timeout * PATIENCE, check=False, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr
