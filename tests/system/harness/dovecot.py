# SPDX-License-Identifier: Apache-2.0
"""dovecot - Dovecot's authentication service in a folder, for Postfix's smtpd to ask.

Needs root. No IMAP, no POP: one loopback port with Dovecot's own authentication protocol.
"""
import os
import subprocess

from . import net
from .wait import until

DOVECOT = "/usr/sbin/dovecot"

_CONF = """base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols =
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
default_login_user = nobody
default_internal_user = nobody
default_internal_group = nogroup
auth_verbose = yes
service auth {{
  inet_listener {{
    address = 127.0.0.1
    port = {port}
  }}
}}
service stats {{
  chroot =
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}}
"""


class Dovecot:
    def __init__(self, folder, users):
        """users: name -> password."""
        self.folder, self.port = str(folder), net.free_port()
        self._write("dovecot.conf", _CONF.format(folder=self.folder, port=self.port))
        self._write("users", "".join(f"{name}:{{PLAIN}}{word}\n" for name, word in users.items()))
        self.process = subprocess.Popen(
            [DOVECOT, "-F", "-c", f"{self.folder}/dovecot.conf"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: net.listens("127.0.0.1", self.port), 20, lambda: "Dovecot; " + self.log())

    def _write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as out:
            out.write(text)

    @property
    def where(self):
        return f"127.0.0.1:{self.port}"

    def log(self):
        try:
            with open(f"{self.folder}/log", encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def stop(self):
        """The master process takes its children along."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
