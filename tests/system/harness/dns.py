# SPDX-License-Identifier: Apache-2.0
"""dns - nsd, a real authoritative name server, with the zones of a test; and one that misbehaves.

NameServer answers for every zone it was given, SERVFAIL for zones in `broken` (configured, but
without data) and REFUSED for the rest. BadNameServer is a function from query to answer octets.
"""
import os
import shutil
import socket
import subprocess
import threading
import time

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.resolver

from . import net
from .wait import until

NSD = "/usr/sbin/nsd"

_CONF = """server:
    ip-address: 127.0.0.1@{port}
    server-count: 1
    do-ip6: no
    username: ""
    chroot: ""
    zonesdir: "{folder}"
    database: ""
    logfile: "{folder}/nsd.log"
    pidfile: "{folder}/nsd.pid"
    xfrdfile: ""
    zonelistfile: "{folder}/zone.list"
    xfrdir: "{folder}"
    verbosity: 1
remote-control:
    control-enable: no
"""

_ZONE = """$ORIGIN {name}.
$TTL {ttl}
@ SOA ns.{name}. hostmaster.{name}. 1 3600 600 86400 {ttl}
@ NS ns.{name}.
ns A 127.0.0.1
"""


class NameServer:
    def __init__(self, folder, zones, broken=(), ttl=60):
        """zones: name -> text of records, relative to the zone."""
        self.folder = str(folder)
        self.port = net.free_port()
        self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        conf = _CONF.format(port=self.port, folder=self.folder)
        for name, records in zones.items():
            with open(f"{self.folder}/{name}.zone", "w", encoding="ascii") as out:
                out.write(_ZONE.format(name=name, ttl=ttl) + records + "\n")
            conf += f'zone:\n    name: "{name}"\n    zonefile: "{name}.zone"\n'
        for name in broken:
            conf += f'zone:\n    name: "{name}"\n    zonefile: "{name}.missing"\n'
        with open(f"{self.folder}/nsd.conf", "w", encoding="ascii") as out:
            out.write(conf)
        self.probe = next(iter(zones))
        self.start()

    @property
    def where(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen(
            [NSD, "-d", "-c", f"{self.folder}/nsd.conf"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._answers, 15, lambda: "nsd; its log:\n" + self.log())

    def _answers(self):
        assert self.process.poll() is None, "nsd ended:\n" + self.log()
        try:
            return self.ask(self.probe, "SOA").answer
        except (dns.exception.Timeout, OSError):
            return False

    def ask(self, name, kind):
        query = dns.message.make_query(name, kind)
        return dns.query.udp(query, "127.0.0.1", timeout=0.3, port=self.port)

    def log(self):
        try:
            with open(f"{self.folder}/nsd.log", encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def stop(self):
        """nsd's main process takes its children along."""
        process, self.process = self.process, None
        if process:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class BadNameServer:
    """UDP and TCP on one port; answer(query, tcp) gives octets, or None for silence."""

    def __init__(self, answer):
        self.answer = answer
        self.port = net.free_port()
        self.queries = []  # (time, name, type)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind(("127.0.0.1", self.port))
        self.tcp.listen(16)
        for loop in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=loop, daemon=True).start()

    @property
    def where(self):
        return f"127.0.0.1:{self.port}"

    def stop(self):
        for one in (self.udp, self.tcp):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    def _respond(self, octets, tcp):
        query = dns.message.from_wire(octets)
        question = query.question[0]
        self.queries.append((time.time(), question.name.to_text().rstrip(".").lower(),
                             dns.rdatatype.to_text(question.rdtype)))
        return self.answer(query, tcp)

    def _serve_udp(self):
        while True:
            try:
                octets, peer = self.udp.recvfrom(4096)
                answer = self._respond(octets, False)
                if answer is not None:
                    self.udp.sendto(answer, peer)
            except (OSError, dns.exception.DNSException):
                if self.udp.fileno() < 0:
                    return

    def _serve_tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_connection, args=(connection,),
                             daemon=True).start()

    def _serve_connection(self, connection):
        """Any number of queries (RFC 7766)."""
        with connection, connection.makefile("rb") as file:
            connection.settimeout(10)
            try:
                while len(length := file.read(2)) == 2:
                    answer = self._respond(file.read(int.from_bytes(length, "big")), True)
                    if answer is not None:
                        connection.sendall(len(answer).to_bytes(2, "big") + answer)
            except (OSError, dns.exception.DNSException):
                pass


def answer_with(query, *records, rcode=dns.rcode.NOERROR, section="answer"):
    """A response; records: "name. ttl IN type data" texts."""
    response = dns.message.make_response(query)
    response.flags |= dns.flags.RA
    response.set_rcode(rcode)
    for text in records:
        name, ttl, _, kind, data = text.split(None, 4)
        getattr(response, section).append(dns.rrset.from_text(name, int(ttl), "IN", kind, data))
    return response.to_wire()
