# SPDX-License-Identifier: Apache-2.0
"""tools - smtp-source, smtp-sink, posttls-finger (all Debian's postfix), swaks, gsasl and openssl's
s_client as children of a test.
"""
import os
import re
import select
import subprocess
import time

from . import net
from .certificates import OPENSSL
from .wait import PATIENCE, until

SOURCE = "/usr/sbin/smtp-source"
SINK = "/usr/sbin/smtp-sink"
SWAKS = "/usr/bin/swaks"
FINGER = "/usr/sbin/posttls-finger"
GSASL = "/usr/bin/gsasl"


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


def posttls_finger(folder, port, ca, level="secure", match=("relay.test",), more=()):
    """Postfix's TLS client as a prober: what it tells. level: as in Postfix."""
    with open(os.path.join(str(folder), "main.cf"), "w", encoding="ascii") as out:
        out.write("compatibility_level = 3.6\ninet_protocols = ipv4\nmyhostname = finger.test\n")
    done = subprocess.run(
        [FINGER, "-c", "-l", level, "-F", ca.pem, "-L", "summary,verbose", *more,
         f"[127.0.0.1]:{port}", *match], capture_output=True, text=True, timeout=30 * PATIENCE,
        check=False, stdin=subprocess.DEVNULL, env={**os.environ, "MAIL_CONFIG": str(folder)})
    return done.stdout + done.stderr


def gsasl(port, mechanism, user, password, ca=None, more=()):
    """GNU SASL logs in by SMTP, with STARTTLS when there is a CA; (exit code, transcript)."""
    tls = ["--starttls", "--x509-ca-file", ca.pem] if ca else ["--no-starttls"]
    done = subprocess.run(
        [GSASL, "--smtp", "--mechanism", mechanism, "-a", user, "-p", password, "--connect",
         f"127.0.0.1:{port}", "--hostname", "relay.test", "--verbose", *tls, *more],
        capture_output=True, text=True, timeout=30 * PATIENCE, check=False,
        stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


class SClient:
    """openssl s_client, typed at like a terminal."""

    def __init__(self, port, *options, starttls=True):
        smtp = ["-starttls", "smtp", "-name", "client.test"] if starttls else []
        self.process = subprocess.Popen(
            [OPENSSL, "s_client", "-connect", f"127.0.0.1:{port}", *smtp, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
        self.text = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def type(self, text):
        self.process.stdin.write(text.encode())

    def wait(self, pattern, seconds=15):
        """Until it has printed that; returns the match."""
        deadline = time.monotonic() + seconds * PATIENCE
        while not (found := re.search(pattern, self.text)):
            assert self._read(deadline), f"it ended without {pattern!r}:\n{self.text}"
        return found

    def _read(self, deadline):
        """What it prints next; nothing at its end."""
        left = max(0.0, deadline - time.monotonic())
        ready = select.select([self.process.stdout], [], [], left)[0]
        assert ready, f"it went on without a word; it had printed:\n{self.text}"
        piece = self.process.stdout.read(65536)
        self.text += piece.decode("utf-8", "replace")
        return piece

    def rest(self, seconds=15):
        """Waits for its end; returns (exit code, all that it printed)."""
        deadline = time.monotonic() + seconds * PATIENCE
        while self._read(deadline):
            pass
        return self.process.wait(seconds * PATIENCE), self.text

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
