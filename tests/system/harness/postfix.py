# SPDX-License-Identifier: Apache-2.0
"""postfix - an instance of Postfix in a folder: a real, strict receiver, and a relay to compare with.

Needs root (Postfix insists). It listens on one loopback port and relays everything to next_hop, or
throws it away (`discard`). settings: what else main.cf says (see tls_server, tls_client, sasl_*).
"""
import os
import subprocess

from . import net
from .wait import until

_MAIN = """compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
mail_owner = postfix
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = postfix.test
mydestination =
mynetworks = 127.0.0.0/8
maillog_file = {folder}/log/mail.log
maillog_file_prefixes = {folder}
{route}
local_recipient_maps =
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtputf8_enable = yes
multi_instance_enable = no
{settings}
"""

_MASTER = """{port} inet n - n - 100 smtpd
{tls_port} inet n - n - 100 smtpd -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""


def tls_server(certificate, level="may", **more):
    """Settings of an smtpd with this certificate; level: may or encrypt."""
    return {"smtpd_tls_security_level": level, "smtpd_tls_loglevel": 1,
            "smtpd_tls_chain_files": f"{certificate.key}, {certificate.chain}",
            "smtpd_tls_received_header": "yes", **more}


def tls_client(ca, level="encrypt", **more):
    """Settings of an smtp client; level: none, may, encrypt, verify, secure, ..."""
    return {"smtp_tls_security_level": level, "smtp_tls_loglevel": 1, "smtp_tls_CAfile": ca.pem,
            **more}


def sasl_server(dovecot, **more):
    """Who has authenticated may relay, nobody else (not even mynetworks)."""
    return {"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot",
            "smtpd_sasl_path": f"inet:{dovecot.where}", "smtpd_tls_auth_only": "yes",
            "smtpd_recipient_restrictions": "permit_sasl_authenticated, reject", **more}


def sasl_client(user, password, **more):
    return {"smtp_sasl_auth_enable": "yes", "smtp_sasl_security_options": "noanonymous",
            "smtp_sasl_password_maps": f"static:{{{user}:{password}}}", **more}


class Postfix:
    def __init__(self, folder, next_hop=None, settings=None):
        self.folder = str(folder)
        self.conf = os.path.join(self.folder, "conf")
        self.port, self.tls_port = net.free_port(), net.free_port()
        for name in ("conf", "queue", "data", "log"):
            os.makedirs(os.path.join(self.folder, name))
        os.chmod(self.folder, 0o755)
        _own(os.path.join(self.folder, "data"))
        route = "relayhost = [%s]:%s" % tuple(next_hop.split(":")) if next_hop else \
            "relay_transport = discard:\ndefault_transport = discard:"
        with open(f"{self.conf}/main.cf", "w", encoding="ascii") as out:
            more = "".join(f"{name} = {value}\n" for name, value in (settings or {}).items())
            out.write(_MAIN.format(folder=self.folder, route=route, settings=more))
        with open(f"{self.conf}/master.cf", "w", encoding="ascii") as out:
            out.write(_MASTER.format(port=self.port, tls_port=self.tls_port))
        self._postfix("start")
        until(lambda: net.listens("127.0.0.1", self.port), 20, lambda: "Postfix; " + self.log())

    @property
    def where(self):
        return f"127.0.0.1:{self.port}"

    def _postfix(self, word):
        done = subprocess.run(["/usr/sbin/postfix", "-c", self.conf, word], capture_output=True,
                              text=True, timeout=60, check=False)
        assert done.returncode == 0, f"postfix {word}: {done.stdout}{done.stderr}{self.log()}"

    def log(self):
        try:
            with open(f"{self.folder}/log/mail.log", encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def stop(self):
        self._postfix("stop")
        until(lambda: not net.listens("127.0.0.1", self.port), 20, "Postfix to end")


def _own(path):
    import pwd
    entry = pwd.getpwnam("postfix")
    os.chown(path, entry.pw_uid, entry.pw_gid)
