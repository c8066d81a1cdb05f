# SPDX-License-Identifier: Apache-2.0
"""SIGKILL under load, again and again: what was answered 250 arrives, at least once.

Senders inject messages with unique ids; a next hop takes them and notes when. The relay is killed
at random moments, while it accepts and delivers, and started again with another number of workers.
At the end: every acknowledged id has arrived; ids that came twice are counted, and each of them was
delivered by two lives of the relay, at the end of the first one (the outcome had not reached the disk
yet). A life is known by its EHLO name. Some tests go both ways: in clear, and with TLS and logins on
both sides and a signature on each message.

    RINGPOST_CRASH_ROUNDS   kills of each test (default 10)
    RINGPOST_CRASH_SEED     repeats one run's moments of killing
"""
import collections
import os
import random
import re
import signal
import time

import pytest
from harness import mail, verifiers
from harness.actions import reply
from harness.next_hop import EXTENSIONS
from harness.sender import Sender
from harness.tls import client_context, server_context
from harness.verifiers import DkimKey
from harness.wait import PATIENCE, until

ROUNDS = int(os.environ.get("RINGPOST_CRASH_ROUNDS", "10"))
SEED = int(os.environ.get("RINGPOST_CRASH_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
# Outcomes go out with the next commit, or alone after a short delay: some ms. The rest is for a
# busy machine, where the hop's clock runs before the relay gets to read the reply.
WINDOW_S = 0.5 * PATIENCE
# The relay takes mail faster than a next hop in Python does: senders wait for it, so that what is
# left at the end is delivered in some seconds.
BACKLOG = 4000
PASSWORD = "a pass word"


class Crashes:
    def __init__(self, relay, hop, seed):
        self.relay, self.hop = relay, hop
        self.random = random.Random(seed)
        self.kills = []
        self.senders = []
        self.secure = None  # makes TLS of a sender's connection, and logs in

    def settled(self):
        return self.hop.accepted_count

    def is_far_ahead(self):
        return sum(len(sender.acknowledged) for sender in self.senders) > self.settled() + BACKLOG

    def load(self, **options):
        options.setdefault("hold_back", self.is_far_ahead)
        if self.secure:
            options["secure"] = self.secure
        sender = Sender(self.relay.port, prefix=f"s{len(self.senders)}-", **options)
        self.senders.append(sender.start())
        return sender

    def kill(self, workers=None, after=(0.1, 1.0)):
        time.sleep(self.random.uniform(*after))  # a random moment is the point
        self.relay.config.top["workers"] = workers or self.random.choice([1, 2, 4])
        self.kill_now()

    def kill_now(self, wait=True):
        self.kills.append(time.time())
        self.relay.kill()
        self.relay.config.sources["default"]["ehlo"] = f"life{len(self.kills)}.test"
        self.relay.start(wait=wait)

    def acknowledged(self):
        return {name for sender in self.senders for name in sender.acknowledged}

    def deliveries(self):
        """id -> [(life, time)] of all its deliveries, in order."""
        found = collections.defaultdict(list)
        for message in self.hop.accepted:
            life = re.search(r"life(\d+)\.test", message.session.helo)
            for recipient in message.recipients:
                found[recipient.split("@")[0]].append((int(life[1]) if life else 0, message.time))
        return {name: sorted(at) for name, at in found.items()}

    def judge(self, capsys, seconds=60):
        for sender in self.senders:
            sender.stop()
        wanted = self.acknowledged()
        until(lambda: wanted <= self.deliveries().keys(), seconds,
              lambda: f"{len(wanted - self.deliveries().keys())} of {len(wanted)} acknowledged "
              f"messages: {sorted(wanted - self.deliveries().keys())[:20]}; seed {SEED}", 0.2)
        self.relay.wait_empty(seconds)
        if self.secure:
            for message in self.hop.accepted:
                assert message.session.tls and message.session.user == "relay"
                assert verifiers.selectors(message.data) == ["rsa1"]
        deliveries = self.deliveries()
        doubled = {name: at for name, at in deliveries.items() if len(at) > 1}
        widest = 0.0
        for name, at in doubled.items():
            for (life, when), (next_life, _) in zip(at, at[1:]):
                assert life < next_life, f"{name} doubled without a kill between: {at}; seed {SEED}"
                # the hop may come to read it only after the kill
                widest = max(widest, self.kills[life] - when)
                assert self.kills[life] - when <= WINDOW_S, \
                    f"{name} was delivered {self.kills[life] - when:.3f} s before a kill, and again" \
                    f"; seed {SEED}"
        with capsys.disabled():
            print(f"\n    {len(self.kills)} kills, {len(wanted)} acknowledged, 0 lost, "
                  f"{len(doubled)} doubled (up to {widest * 1000:.0f} ms before a kill), "
                  f"{len(deliveries.keys() - wanted)} unacknowledged arrived, seed {SEED}", end=" ")
        return doubled


both_ways = pytest.mark.parametrize("way", ["clear", "secure"])


@pytest.fixture
def way():
    return "clear"


@pytest.fixture
def crashes(run, relay_to, way, ca, certificate, tmp_path):
    def clear(extensions=EXTENSIONS, workers=2, seed=0, **options):
        hop = run.hop(extensions=extensions)
        return Crashes(relay_to(hop, workers, **options), hop, SEED + seed)

    def secure(workers=2, seed=0, **options):
        hop = run.hop(tls=server_context(ca.issue("smart.test")), needs=("TLS", "AUTH"),
                      users={"relay": "its word"})
        relay = relay_to(hop, workers, started=False, **options)
        config = relay.config.secure(certificate, require_tls=True, auth=["plain"],
                                     relay_from=["192.0.2.0/24"])
        config.top["users"] = os.path.join(relay.directory, "users")
        config.route("*", hop.where, user="relay", password="its word")
        config.site(tls="verify", tls_trust=ca.pem).sign([DkimKey(tmp_path, "rsa1", "source.test")])
        relay.passwd("joe", PASSWORD, "--scram")
        test = Crashes(relay.start(), hop, SEED + seed)
        test.secure = log_in
        return test
    return {"clear": clear, "secure": secure}[way]


def log_in(client):
    client.starttls(client_context())
    client.ehlo()
    assert client.auth_plain("joe", PASSWORD).code == 235


@both_ways
@pytest.mark.parametrize("count", [1, 2, 4], ids=lambda count: f"workers{count}")
def test_accepting_and_delivering(crashes, capsys, count):
    test = crashes(workers=count, seed=count)
    test.load(threads=4, domains=[f"d{n}.test" for n in range(10)])
    test.load(threads=2, use_bdat=True)
    for _ in range(ROUNDS):
        test.kill(count)
    test.judge(capsys)


@both_ways
def test_changing_number_of_workers(crashes, capsys):
    test = crashes(seed=10)
    test.load(threads=6)
    for _ in range(ROUNDS):
        test.kill()
    test.judge(capsys)


def test_accepting_only(crashes, capsys):
    """Nothing can be delivered meanwhile, so nothing may arrive twice."""
    test = crashes(seed=20)
    test.hop.on("CONNECT", reply("421 4.3.2 not yet"))
    test.load(threads=6, hold_back=lambda: False)
    for _ in range(ROUNDS):
        test.kill()
    test.senders[0].stop()
    test.hop.behave()
    test.relay.queue("retry", "--all")
    assert not test.judge(capsys)


@both_ways
def test_delivering_only(crashes, capsys):
    """A backlog is delivered under kills; each message only as often as a kill explains."""
    test = crashes(seed=30, spool={"memory": "16M"}, site={"connections": 4})
    test.hop.on("CONNECT", reply("421 4.3.2 not yet"))
    test.load(threads=6, total=3000).join()
    assert len(test.acknowledged()) == 3000
    test.hop.behave()
    for _ in range(ROUNDS):
        test.kill(after=(0.02, 0.3))
    test.judge(capsys)


def test_killed_again_while_recovering(crashes, capsys):
    test = crashes(seed=40)
    test.load(threads=4)
    for _ in range(ROUNDS):
        test.kill()
        for _ in range(2):
            test.kill_now(wait=False)
            time.sleep(test.random.uniform(0.0, 0.05))
            test.kill_now()
    test.judge(capsys)


def test_large_messages(crashes, capsys):
    """Content over many blocks and segments, cut anywhere: what arrives is whole."""
    test = crashes(seed=50, spool={"segment_size": "1M"})
    body = mail.body_of_size(700000)
    test.load(threads=3, body=body)
    for _ in range(ROUNDS):
        test.kill(after=(0.2, 0.8))
    test.judge(capsys)
    for message in test.hop.accepted:
        name = message.recipients[0].split("@")[0]
        assert mail.without_trace(message.data) == test.senders[0].content(name)


def test_refusals_and_retries(crashes, capsys):
    """Outcomes of all kinds are under way when the kill comes."""
    test = crashes(seed=60, site={"retry": ["1s"], "host_pause": "0s", "expiry": "1h"})
    coin = random.Random(SEED)
    test.hop.on("RCPT", reply("450 4.2.0 later"), when=lambda s: coin.random() < 0.3)
    test.hop.on("DOT", reply("451 4.3.0 later"), when=lambda s: coin.random() < 0.1)
    test.load(threads=2)
    for _ in range(ROUNDS):
        test.kill()
    test.judge(capsys)


def test_notifications_are_not_lost(run, crashes, capsys):
    """A refused message ends with its DSN, durable before the refusal is: none is lost."""
    back = run.hop()
    test = crashes(seed=70)
    test.relay.stop()
    test.relay.config.route("source.test", back.where)
    test.relay.start()
    test.hop.on("RCPT", reply("550 5.1.1 no"), when=lambda s: is_odd(s.candidate))
    test.settled = lambda: test.hop.accepted_count + back.accepted_count
    test.load(threads=2)
    for _ in range(ROUNDS):
        test.kill(after=(0.05, 0.5))
    for sender in test.senders:
        sender.stop()
    odd = {name for name in test.acknowledged() if is_odd(name)}
    assert odd

    def told():
        found = collections.Counter()
        for message in back.accepted:
            for block in mail.Dsn(message.data).recipients:
                found[block["Final-Recipient"].partition(";")[2].strip().split("@")[0]] += 1
        return found
    test.relay.wait_empty(60)
    notices = told()
    assert odd <= notices.keys(), f"{len(odd - notices.keys())} bounces lost; seed {SEED}"
    delivered = test.deliveries().keys()
    assert not delivered & odd and {n for n in test.acknowledged() if not is_odd(n)} <= delivered
    assert all(is_odd(name) for name in notices)
    with capsys.disabled():
        twice = sum(count > 1 for count in notices.values())
        print(f"\n    {len(test.kills)} kills, {len(odd)} refused, 0 notices lost, {twice} doubled,"
              f" seed {SEED}", end=" ")


def is_odd(name):
    return name.split("@")[0][-1] in "13579"


@both_ways
def test_killed_while_shutting_down(crashes, capsys):
    test = crashes(seed=80)
    test.load(threads=4)
    for _ in range(ROUNDS):
        time.sleep(test.random.uniform(0.1, 0.5))
        test.relay.signal(signal.SIGTERM)
        test.kill(after=(0.0, 0.02))
    test.judge(capsys)
