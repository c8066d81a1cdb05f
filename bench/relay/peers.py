# SPDX-License-Identifier: Apache-2.0
"""peers - the relays that are compared: how each is configured, started, asked and ended."""

import json
import os
import re
import shutil
import signal
import string
import subprocess
import time

from keys import DOMAIN, SELECTOR
from processes import CpuGroup, Program, free_port, read_text, wait_greeting, write_text

HERE = os.path.dirname(os.path.abspath(__file__))


def find_number(tree, name):
    """The first number under this key, at any depth of parsed JSON; None: it is not there."""
    if isinstance(tree, dict):
        value = tree.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value
        tree = list(tree.values())
    if isinstance(tree, list):
        for branch in tree:
            found = find_number(branch, name)
            if found is not None:
                return found
    return None


def renew(directory, *names):
    for name in names:
        path = os.path.join(directory, name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)


def ringpost_listener(context, needs):
    """What the listener has beyond the plain one's settings."""
    return ringpost_tls(context, "starttls", "p256") if needs == "tls" else ""


def ringpost_tls(context, mode, kind):
    certificate, key = context.keys.certificate(kind)
    return f'tls = {mode}  certificate = {{"{certificate}"}}  key = {{"{key}"}}'


class Ringpost:
    """One ringpost process with a configuration and a spool of its own.

    needs: "" for the plain one, "tls" for STARTTLS, "handshakes" for further listeners with TLS from
    the first octet, "dkim-rsa" and "dkim-ed25519" for a signature on mail from keys.DOMAIN."""

    def __init__(self, context, name, sink_port, needs="", **options):
        self.context = context
        self.name = name
        self.directory = os.path.join(context.directory, name)
        self.config = os.path.join(self.directory, "ringpost.conf")
        self.port = free_port()
        self.program = None
        self.group = None
        self.empty()
        routes = f'route "dest.test" {{ to = "127.0.0.1:{sink_port}" }}\n'
        if not options.get("resolve"):
            routes += f'route "*" {{ to = "127.0.0.1:{sink_port}" }}\n'
        self.tls_ports = {}
        if needs == "handshakes":
            self.tls_ports = {kind: free_port() for kind in ("p256", "rsa")}
            for kind, port in self.tls_ports.items():
                tls = ringpost_tls(context, "implicit", kind)
                routes += f'listener "127.0.0.1:{port}" {{ {tls} }}\n'
        if needs.startswith("dkim-"):
            key = context.keys.key(needs.removeprefix("dkim-"), "dkim")
            routes += f'dkim "{DOMAIN}" {{ selector = "{SELECTOR}"  key = "{key}" }}\n'
        template = string.Template(read_text(os.path.join(HERE, "ringpost.conf.in")))
        write_text(self.config, template.substitute(
            workers=context.arguments.workers,
            directory=self.directory,
            resolver=options.get("resolver", "127.0.0.1:53"),
            memory=options.get("memory", "512M"),
            port=self.port,
            listener=ringpost_listener(context, needs),
            connections=options.get("connections", 50),
            retry=options.get("retry", '"1m", "5m"'),
            routes=routes))

    def empty(self):
        """Removes all that is queued; only while it does not run."""
        renew(self.directory, "spool", "account")

    def start(self):
        """Seconds from the start of the process to its greeting."""
        self.group = self.group or CpuGroup(self.name)
        self.program = Program([self.context.binary, "serve", "-c", self.config],
                               self.directory, "serve", self.group)
        try:
            return wait_greeting(self.port, 120, self.program)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{read_text(self.program.errors)[-2000:]}") from None

    def command(self, name, seconds=120):
        return subprocess.run([self.context.binary, name, "-c", self.config], timeout=seconds,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=True).stdout.decode()

    def stats(self):
        try:
            return json.loads(self.command("stats"))
        except (subprocess.SubprocessError, ValueError):
            return {}

    def commits(self):
        return find_number(self.stats(), "spool_commits")

    def kill(self):
        """As a crash would."""
        self.program.stop(signal.SIGKILL)

    def stop(self):
        if self.program is not None:
            self.program.stop()
        if self.group is not None:
            self.group.close()
            self.group = None


MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {directory}/spool
data_directory = {directory}/data
myhostname = postfix.test
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
biff = no
relayhost = [127.0.0.1]:{sink_port}
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
default_process_limit = 250
default_destination_concurrency_limit = 100
initial_destination_concurrency = 20
in_flow_delay = 0
max_use = 1000
smtpd_tls_security_level = none
smtp_tls_security_level = none
message_size_limit = 52428800
"""

# What was found to help on loopback; see README.md.
BEST_CF = """\
smtp_connection_cache_on_demand = no
disable_mime_input_processing = yes
disable_mime_output_conversion = yes
local_header_rewrite_clients =
receive_override_options = no_header_body_checks, no_address_mappings, no_unknown_recipient_checks
"""

# Sessions are resumed on both sides. smtp_tls_connection_reuse was found to cost more on loopback.
TLS_CF = """\
smtpd_tls_security_level = may
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtp_tls_security_level = may
smtpd_tls_session_cache_database = btree:{directory}/data/smtpd_scache
smtp_tls_session_cache_database = btree:{directory}/data/smtp_scache
"""

MILTER_CF = """\
smtpd_milters = unix:{directory}/milter
milter_default_action = tempfail
"""

# One instance signs with one algorithm; no daemon, no log, no DNS.
OPENDKIM_CONF = """\
Mode s
Canonicalization relaxed/relaxed
SignatureAlgorithm {algorithm}
Domain {domain}
Selector {selector}
KeyFile {key}
RequireSafeKeys no
InternalHosts 127.0.0.0/8
Socket local:{directory}/milter
UMask 000
Syslog no
OversignHeaders From
"""

MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
showq     unix n - n - - showq
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
tlsmgr    unix - - n 1000? 1 tlsmgr
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """A private Postfix: own configuration, spool and port; the system's one is not touched."""

    def __init__(self, context, name, sink_port, stock=False, needs=""):
        self.context = context
        self.name = name
        self.directory = os.path.join(context.directory, name)
        self.config = os.path.join(self.directory, "etc")
        self.port = free_port()
        self.program = None
        self.milter = None
        self.group = None
        os.makedirs(self.config)
        self.empty()
        main = MAIN_CF.format(directory=self.directory, sink_port=sink_port)
        main += "" if stock else BEST_CF
        if needs == "tls":
            certificate, key = context.keys.certificate("p256")
            main += TLS_CF.format(directory=self.directory, certificate=certificate, key=key)
        self.signs = needs.startswith("dkim-")
        if self.signs:
            main += MILTER_CF.format(directory=self.directory)
            self.configure_milter(needs.removeprefix("dkim-"))
        write_text(os.path.join(self.config, "main.cf"), main)
        write_text(os.path.join(self.config, "master.cf"), MASTER_CF.format(port=self.port))

    def empty(self):
        """Removes all that is queued; only while it does not run."""
        renew(self.directory, "spool", "data")
        shutil.chown(os.path.join(self.directory, "data"), "postfix")

    def configure_milter(self, kind):
        """opendkim with our key, started by us, on a socket of its own."""
        write_text(os.path.join(self.config, "opendkim.conf"), OPENDKIM_CONF.format(
            directory=self.directory, algorithm=f"{kind}-sha256", domain=DOMAIN,
            selector=SELECTOR, key=self.context.keys.key(kind, "dkim")))

    def start(self):
        self.group = CpuGroup(self.name)
        if self.signs:
            self.milter = Program(["opendkim", "-f", "-x",
                                   os.path.join(self.config, "opendkim.conf")],
                                  self.directory, "opendkim", self.group)
        self.program = Program(["postfix", "-c", self.config, "start-fg"],
                               self.directory, "master", self.group)
        try:
            return wait_greeting(self.port, 30, self.program)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{read_text(self.program.errors)[-2000:]}") from None

    def stats(self):
        return {}

    def commits(self):
        return None

    def stop(self):
        if self.program is not None:
            subprocess.run(["postfix", "-c", self.config, "stop"], timeout=60, check=False,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            self.program.stop()
        if self.milter is not None:
            self.milter.stop()
        if self.group is not None:
            self.group.close()
            self.group = None


class Direct:
    """No relay: the source speaks to the sink, which shows what the tools can do at most."""

    group = None

    def __init__(self, sink_port):
        self.name = "none"
        self.port = sink_port

    def empty(self):
        pass

    def start(self):
        return 0.0

    def stats(self):
        return {}

    def commits(self):
        return None

    def stop(self):
        pass


def trace_calls(peer, directory, run):
    """Counts system calls of all the relay's processes while run() runs: {name: calls}."""
    output = os.path.join(directory, "strace.txt")
    arguments = ["strace", "-f", "-q", "-c", "-U", "calls,name", "-o", output]
    for pid in peer.group.pids():
        arguments += ["-p", str(pid)]
    tracer = Program(arguments, directory, "strace")
    time.sleep(1.5)  # attaching to some hundred processes takes a while
    try:
        run()
    finally:
        tracer.stop(signal.SIGINT, 30)
    calls = {}
    for line in read_text(output).splitlines():
        match = re.match(r"\s*(\d+)\s+(\w+)\s*$", line)
        if match and match.group(2) != "total":
            calls[match.group(2)] = int(match.group(1))
    return calls
