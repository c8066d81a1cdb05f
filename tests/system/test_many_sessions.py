# SPDX-License-Identifier: Apache-2.0
"""Very many sessions on the real ring: what each one costs, and that nothing of it stays behind."""
import os
import re
import resource
import select
import socket
import time

import pytest
from harness import mail
from harness.tools import smtp_source
from harness.wait import PATIENCE, until

IDLE_BYTES = 8 << 10       # of a session that waits for a command; the guide says 5 KiB
CONTENT_BYTES = 40 << 10   # in its content: envelope, and the page where a dribble is gathered
LEFT_KB = 4096             # what 80,000 sessions may leave behind: 52 octets each
FIXED_KB = 4096            # of the process, however many there are: shared buffers, a first stats
SPARE_FILES = 200          # of this process, beside its connections


@pytest.fixture
def is_quick(request):
    return request.config.getoption("--quick")


@pytest.fixture
def files():
    """As many open files as the system lets this process have; the relay asks for itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Crowd:
    """Many connections in one thread."""

    def __init__(self, port, count):
        self.poll = select.epoll()
        self.clients = {}  # by file descriptor
        self.sent_away = 0
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port), 30 * PATIENCE)
            self.clients[client.fileno()] = client
            self.poll.register(client, select.EPOLLIN)

    def __len__(self):
        return len(self.clients)

    def send(self, octets):
        for number, client in list(self.clients.items()):
            try:
                client.sendall(octets)
            except OSError:
                self._drop(number)

    def replies(self, code, lines=1):
        """Everybody's next reply, of so many lines; who gets another one, or the end, leaves."""
        unread = dict.fromkeys(self.clients, b"")
        deadline = time.monotonic() + 60 * PATIENCE
        while unread and time.monotonic() < deadline:
            for number, _ in self.poll.poll(1):
                piece = self._receive(number)
                unread[number] += piece
                if not piece or not unread[number].startswith(code):
                    self._drop(number)
                    del unread[number]
                elif unread[number].count(b"\r\n") == lines:
                    del unread[number]
        assert not unread, f"{len(unread)} of {len(self)} without a reply {code}"

    def drop_closed(self):
        """Waits a little, and forgets those that the server has sent away, whatever it said."""
        for number, _ in self.poll.poll(0.25):
            if not self._receive(number):
                self._drop(number)

    def close(self):
        for number in list(self.clients):
            self._drop(number)
        self.poll.close()

    def _receive(self, number):
        try:
            return self.clients[number].recv(4096)
        except ConnectionResetError:
            return b""

    def _drop(self, number):
        self.clients.pop(number).close()
        self.sent_away += 1


class Hall:
    """A relay full of clients that have said EHLO."""

    def __init__(self, relay, wanted, files):
        self.relay = relay
        self.session = relay.session()
        self.session.mail(mail.message())
        self.before_kb = relay.memory_kb()
        self.crowd = Crowd(relay.port, min(wanted, files - SPARE_FILES))
        self.crowd.replies(b"220")
        self.crowd.send(b"EHLO client.test\r\n")
        self.crowd.replies(b"250", lines=len(self.session.ehlo().lines))
        assert len(self.crowd) >= 1000, f"only {len(self.crowd)} connections; {files} open files"
        assert relay.counter("sessions_in") == len(self.crowd) + 1

    def grown_kb(self):
        return self.relay.memory_kb() - self.before_kb

    def is_served(self, hop):
        before = len(hop.accepted)
        self.session.mail(mail.message())
        hop.wait(before + 1)


@pytest.fixture
def hall(hop, relay_to, files, is_quick):
    halls = []

    def start(wanted=20_000, **listener):
        if is_quick:
            wanted = 1000
        relay = relay_to(hop, 2, delivery={"connections": 10}, listener={
            "max_connections": wanted + 1, "max_connections_per_client": wanted + 1, **listener})
        halls.append(Hall(relay, wanted, files))
        return halls[0]
    yield start
    for one in halls:
        one.session.close()
        one.crowd.close()


def counts_memory(relay):
    """Sanitizers need much more themselves, and keep what is freed; they look for leaks, though."""
    with open(f"/proc/{relay.process.pid}/maps", encoding="utf-8") as maps:
        return "san.so" not in maps.read()


def assert_bounded(relay, grown_kb, count, most):
    assert grown_kb <= FIXED_KB + count * most // 1024 or not counts_memory(relay)


def told(capsys, text):
    with capsys.disabled():
        print(f"\n    {text}", end=" ")


def test_idle_connections(hop, hall, capsys):
    """They cost what the guide says; whoever works among them is served."""
    full = hall(command_timeout="10m")
    count, grown = len(full.crowd), full.grown_kb()
    told(capsys, f"{count} idle connections, {grown * 1024 // count} octets each")
    full.is_served(hop)
    assert_bounded(full.relay, grown, count, IDLE_BYTES)
    for _ in range(2):  # woken up all together
        full.crowd.send(b"NOOP\r\n")
        full.crowd.replies(b"250")
    full.is_served(hop)
    assert_bounded(full.relay, full.grown_kb(), count, IDLE_BYTES)
    full.crowd.close()
    until(lambda: full.relay.counter("sessions_in") == 1, 30, "the end of all sessions but one")
    assert full.crowd.sent_away == count
    full.is_served(hop)


@pytest.mark.parametrize("stage, most", [("command", IDLE_BYTES), ("content", CONTENT_BYTES)],
                         ids=["command", "content"])
def test_slow_loris(hop, hall, is_quick, capsys, stage, most):
    """An octet now and then keeps nobody in: bounded while they are there, then they are gone."""
    timeout = f"{(8 if is_quick else 20) * PATIENCE:.0f}s"  # much longer than it takes to come in
    full = hall(2000, command_timeout=timeout, data_timeout=timeout)
    relay, crowd = full.relay, full.crowd
    if stage == "content":
        for command, code in ((b"MAIL FROM:<a@source.test>\r\n", b"250"),
                              (b"RCPT TO:<b@dest.test>\r\n", b"250"), (b"DATA\r\n", b"354")):
            crowd.send(command)
            crowd.replies(code)
    slow, grown = len(crowd), [full.grown_kb()]

    def are_gone():
        crowd.send(b"x")
        crowd.drop_closed()
        if len(crowd) > slow // 2:
            grown.append(full.grown_kb())
        return len(crowd) == 0
    until(are_gone, 60, lambda: f"{len(crowd)} of {slow} to be sent away")
    told(capsys, f"{slow} slow clients in a {stage}, {max(grown) * 1024 // slow} octets each")
    assert_bounded(relay, max(grown), slow, most)
    until(lambda: relay.counter("sessions_in") <= 1, 30, "the end of all sessions but one")
    with relay.session() as client:
        client.mail(mail.message())
    hop.wait(2)
    relay.wait_empty()
    assert len(hop.accepted) == 2


def open_files(relay):
    """What kinds of, but for segments: the spool has more of them when there was more to do."""
    folder = f"/proc/{relay.process.pid}/fd"
    names = [os.readlink(os.path.join(folder, name)) for name in os.listdir(folder)]
    # socket:[7], account-20261121T070000000.jsonl
    return sorted(re.sub(r":?[-\[].*", "", name.rpartition("/")[2]) for name in names
                  if not name.endswith(".seg"))


def test_nothing_is_left_of_100000_sessions(run, relay_to, is_quick, capsys):
    """Each brings a message; then every file is closed that they opened, and memory is free."""
    early, late = (500, 2000) if is_quick else (20_000, 80_000)
    relay = relay_to(run.sink(dump=False), listener={"command_timeout": "60s"})
    smtp_source(relay.port, 1)  # the account is opened when there is something to write
    relay.wait_account(type="Delivery")
    until(lambda: relay.counter("sessions_out") == 0, 20, "the end of its connection")
    before = open_files(relay)

    def sessions(count):
        taken = relay.counter("connections_in")
        smtp_source(relay.port, count, sessions=20, length=1024, per_connection=False)
        assert relay.counter("connections_in") == taken + count
        relay.wait_empty(60)
        until(lambda: relay.counter("sessions_in") == relay.counter("sessions_out") == 0, 20,
              "the end of all sessions")
        until(lambda: open_files(relay) == before, 20,
              lambda: f"the files of the start, {before}; there are {open_files(relay)}")
        return relay.memory_kb()
    first = sessions(early)
    growth = sessions(late) - first
    assert relay.counter("messages_received") == early + late + 1
    told(capsys, f"{early + late} sessions, the last {late} took {growth} KiB")
    assert growth <= LEFT_KB or not counts_memory(relay)
