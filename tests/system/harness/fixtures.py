# SPDX-License-Identifier: Apache-2.0
"""fixtures - what the conftest files of tests/system and tests/crash give to every test."""
import itertools
import os
import pathlib
import subprocess
import zlib

import pytest

from . import certificates, net
from .config import Config
from .disks import Ext4Disk, FaultyDevice, FaultyDisk, TmpfsDisk
from .dns import BadNameServer, NameServer
from .dovecot import Dovecot
from .next_hop import NextHop
from .postfix import Postfix
from .ringpost import Ringpost
from .tools import SmtpSink

TOP = pathlib.Path(__file__).resolve().parents[3]


def add_options(parser):
    try:
        parser.addoption("--quick", action="store_true", help="leave the heavy loads out")
        parser.addoption("--shard", metavar="I/N", help="the I-th of N parts, to run side by side")
    except ValueError:
        pass  # the other conftest was first


def configure(config):
    config.addinivalue_line("markers", "heavy: thousands of messages; --quick leaves it out")


def choose(config, items):
    leave_heavy_out(config, items)
    if config.getoption("--shard"):
        number, count = map(int, config.getoption("--shard").split("/"))
        net.use_part(number - 1, count)
        mine = [item for item in items if _shard_of(item.nodeid, count) == number - 1]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(mine)])
        items[:] = mine


def _shard_of(nodeid, count):
    return zlib.crc32(nodeid.encode()) % count


def leave_heavy_out(config, items):
    if config.getoption("--quick"):
        skip = pytest.mark.skip(reason="--quick")
        for item in items:
            if "heavy" in item.keywords:
                item.add_marker(skip)


def find_binary():
    named = os.environ.get("RINGPOST_BINARY")
    if named:
        return pathlib.Path(named).resolve()
    for build in ("release", "debug"):
        path = TOP / "build" / build / "src" / "ringpost" / "ringpost"
        if path.is_file():
            return path
    return None


@pytest.fixture(scope="session")
def binary():
    path = find_binary()
    if path is None or not path.is_file():
        pytest.skip("no ringpost binary: build it, or name it in RINGPOST_BINARY")
    return path


@pytest.fixture(scope="session")
def version(binary):
    done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10,
                          check=True)
    return done.stdout


@pytest.fixture(scope="session")
def ca(tmp_path_factory):
    """The certification authority of all tests (see certificates.py)."""
    return certificates.Authority(_temporary(tmp_path_factory, "ca"))


@pytest.fixture(scope="session")
def certificate(ca):
    """A good one for the relay."""
    return ca.issue("relay.test")


class Neighbours:
    """Starts what a test asks for and ends it all, in the opposite order."""

    def __init__(self, folder, binary_of=lambda: None):
        self.folder = pathlib.Path(folder)
        self.binary_of = binary_of
        self.count = itertools.count()
        self.running = []

    def _folder(self, name):
        path = self.folder / f"{name}{next(self.count)}"
        path.mkdir(mode=0o755, parents=True)
        return path

    def config(self, workers=2):
        return Config(str(self._folder("ringpost")), net.free_port(), workers)

    def ringpost(self, config, start=True):
        relay = Ringpost(self.binary_of(), os.path.dirname(config.top["control"]), config)
        self.running.append(relay.stop)
        if start:
            relay.start()
        return relay

    def _add(self, thing, end):
        self.running.append(end)
        return thing

    def hop(self, **options):
        hop = NextHop(**options)
        return self._add(hop, hop.close)

    def sink(self, **options):
        sink = SmtpSink(self._folder("sink"), **options)
        return self._add(sink, sink.stop)

    def nsd(self, zones, **options):
        server = NameServer(self._folder("nsd"), zones, **options)
        return self._add(server, server.stop)

    def bad_dns(self, answer):
        server = BadNameServer(answer)
        return self._add(server, server.stop)

    def postfix(self, next_hop=None, **settings):
        if os.getuid() != 0:
            pytest.skip("Postfix starts only as root")
        server = Postfix(self._folder("postfix"), next_hop, settings)
        return self._add(server, server.stop)

    def dovecot(self, users):
        if os.getuid() != 0:
            pytest.skip("Dovecot starts only as root")
        server = Dovecot(self._folder("dovecot"), users)
        return self._add(server, server.stop)

    def end(self):
        failures = []
        while self.running:
            try:
                self.running.pop()()
            except AssertionError as failure:
                failures.append(str(failure))
        assert not failures, "\n".join(failures)


def _temporary(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp(name, numbered=True)
    for path in (folder, folder.parent, folder.parent.parent):
        # Servers that give up root must still get at their files.
        if path.stat().st_uid == os.getuid() and path != pathlib.Path("/tmp"):
            path.chmod(0o755)
    return folder


@pytest.fixture
def run(tmp_path_factory, request):
    """Neighbours of one test."""
    folder = _temporary(tmp_path_factory, "t")
    neighbours = Neighbours(folder, lambda: request.getfixturevalue("binary"))
    request.node.neighbours = neighbours
    yield neighbours
    neighbours.end()


@pytest.fixture(scope="module")
def run_module(tmp_path_factory, request):
    """Neighbours shared by the tests of a file."""
    neighbours = Neighbours(_temporary(tmp_path_factory, "m"),
                            lambda: request.getfixturevalue("binary"))
    yield neighbours
    neighbours.end()


@pytest.fixture(params=[1, 2, 4], ids=lambda count: f"workers{count}")
def workers(request):
    return request.param


@pytest.fixture
def hop(run):
    """A next hop that behaves, until told otherwise."""
    return run.hop()


@pytest.fixture
def relay_to(run):
    """relay_to(hop, site={...}, listener={...}) -> a running relay that sends all mail there."""
    def start(hop, workers=2, site=None, listener=None, started=True, **sections):
        config = run.config(workers).route("*", hop.where)
        config.site(**(site or {})).listener(**(listener or {}))
        for name, changes in sections.items():
            config.change(name, **changes)
        return run.ringpost(config, started)
    return start


@pytest.fixture
def secure_relay(run, certificate):
    """Like relay_to, with TLS for clients: secure_relay(hop, certificates=(...), tls="implicit")."""
    def start(hop, workers=2, certificates=(certificate,), tls="starttls", started=True,
              **listener):
        config = run.config(workers).route("*", hop.where)
        return run.ringpost(config.secure(*certificates, tls=tls, **listener), started)
    return start


def _disk_of(run, kind):
    """The disk outlives what the test has started, and goes whatever happened."""
    disk = kind(run.folder)
    try:
        yield disk
        disk.heal()  # else a process that waits for it could not even be killed
        run.end()
    finally:
        disk.close()


@pytest.fixture(params=[TmpfsDisk, Ext4Disk], ids=["tmpfs", "ext4"])
def small_disk(run, request):
    yield from _disk_of(run, request.param)


@pytest.fixture
def faulty_disk(run):
    yield from _disk_of(run, FaultyDisk)


@pytest.fixture
def faulty_device(run):
    yield from _disk_of(run, FaultyDevice)
