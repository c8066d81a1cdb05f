# SPDX-License-Identifier: Apache-2.0
"""Real disks that fill up or fail: a file system that returns errors, and a block device that does.

What a failed write carried is answered 451 and never delivered; everything answered 250 is, also
after SIGKILL; deliveries go on; and without a restart mail is accepted again.

    RINGPOST_FAULTS_SEED    repeats one run of the random test
"""
import errno
import os
import random
import re
import select
import signal
import time

import pytest
from harness import mail
from harness.actions import reply
from harness.sender import Sender
from harness.wait import until

NO_SPACE_PAUSE = 1.5  # seconds; after ENOSPC the spool makes no segment for outcomes for 0.5 s
SEED = int(os.environ.get("RINGPOST_FAULTS_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
FAILED = (451, "4.3.0")
STOPPED = (452, "4.3.0")  # after several failures, already to MAIL
FULL = (452, "4.3.1")


class Injector:
    """Sends one message at a time and keeps the books."""

    def __init__(self, relay, body=b"hello\r\n"):
        self.relay, self.body = relay, body
        self.accepted, self.refused = [], []
        self.count = 0

    def send(self):
        """(code, enhanced code) of the first refusal, or of the reply to the content."""
        self.count += 1
        name = f"n{self.count}"
        with self.relay.session(timeout=30) as client:
            answer = client.command("MAIL FROM:<a@source.test>")
            if answer.code == 250:
                client.ok("RCPT TO:<b@dest.test>")
                answer = client.data(mail.message(name, self.body))
        (self.accepted if answer.code == 250 else self.refused).append(name)
        return (answer.code, answer.enhanced)

    def send_all(self, number):
        for _ in range(number):
            assert self.send()[0] == 250

    def is_accepted(self):
        return self.send()[0] == 250


def names_of(hop):
    return sorted(message.field("Subject")[0] for message in hop.accepted)


def hold_back(hop):
    hop.on("CONNECT", reply("421 4.3.2 not yet"))


def deliver(hop, relay):
    hop.behave()
    relay.queue("retry", "--all")


def all_arrive(hop, relay, names, seconds=30):
    """Exactly these, each once."""
    hop.wait(len(names), seconds)
    relay.wait_empty(seconds)
    assert names_of(hop) == sorted(names)


def relay_on(disk, relay_to, hop, workers=1, reserve=0, top=None, retry="30m", **spool):
    """What is held back is tried again when the test says so: till then the spool is quiet."""
    return relay_to(hop, workers, site={"expiry": "1h", "retry": [retry]}, top=top or {}, spool={
        "path": str(disk.path / "spool"), "reserve": reserve, "segment_size": "2M", **spool})


def flags_of_segments(relay):
    folder = f"/proc/{relay.process.pid}"
    found = []
    for name in os.listdir(f"{folder}/fd"):
        try:
            if os.readlink(f"{folder}/fd/{name}").endswith(".seg"):
                with open(f"{folder}/fdinfo/{name}", encoding="ascii") as info:
                    found.append(next(int(line.split()[1], 8) for line in info
                                      if line.startswith("flags:")))
        except FileNotFoundError:
            pass  # closed meanwhile
    return found


# ---- full ---------------------------------------------------------------------------------------


def test_disk_filled_by_another_and_freed_again(hop, relay_to, small_disk):
    """452 while it is full, deliveries go on, and mail is taken again when there is room."""
    relay = relay_on(small_disk, relay_to, hop, reserve="4M")
    if small_disk.direct:
        assert all(flags & os.O_DIRECT for flags in flags_of_segments(relay))
        assert flags_of_segments(relay)
    hold_back(hop)
    injector = Injector(relay, mail.body_of_size(100_000))
    injector.send_all(10)
    other = small_disk.path / "other"
    with open(other, "wb", buffering=0) as out, pytest.raises(OSError) as full:
        while True:
            out.write(b"x" * (1 << 20))
    assert full.value.errno == errno.ENOSPC
    until(lambda: injector.send() == FULL, 20, "a disk that is full", 0.1)
    deliver(hop, relay)
    all_arrive(hop, relay, injector.accepted)
    os.unlink(other)
    until(injector.is_accepted, 20, "a 250", 0.1)
    injector.send_all(5)
    relay.kill()
    relay.start()
    relay.wait_empty()
    assert set(injector.accepted) == set(names_of(hop))


@pytest.mark.parametrize("error, answer", [("ENOSPC", FULL), ("EDQUOT", FULL)])
def test_write_that_finds_no_room(hop, relay_to, faulty_disk, error, answer):
    """The file system said there was room (other users, quotas): the write tells otherwise."""
    relay = relay_on(faulty_disk, relay_to, hop)
    hold_back(hop)
    injector = Injector(relay)
    injector.send_all(5)
    faulty_disk.fail_all_writes(error)
    assert injector.send() == answer
    assert faulty_disk.heal() > 0
    until(injector.is_accepted, 20, "a 250", 0.1)
    relay.kill()
    relay.start()
    deliver(hop, relay)
    all_arrive(hop, relay, injector.accepted)


# ---- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("kind", ["write", "fsync"])
def test_one_failure(hop, relay_to, faulty_disk, kind, count):
    """Its messages get 451, the next one is taken: nobody needs to do anything."""
    relay = relay_on(faulty_disk, relay_to, hop)
    hold_back(hop)
    injector = Injector(relay)
    injector.send_all(5)
    relay.wait_quiet()  # else a state's write may be what fails
    faulty_disk.fail(kind, count=count)
    assert injector.send() == FAILED
    until(injector.is_accepted, 20, "a 250", 0.1)
    injector.send_all(5)
    assert relay.counter("spool_errors") == faulty_disk.heal() == count
    relay.wait_log("Input/output error; the segment is abandoned")
    relay.kill()
    relay.start()
    deliver(hop, relay)
    all_arrive(hop, relay, injector.accepted)


@pytest.mark.parametrize("kind", ["write", "fsync"])
def test_failures_under_load(hop, relay_to, faulty_disk, workers, kind):
    """Group commits fail again and again: every id is delivered or was refused, none is both."""
    relay = relay_on(faulty_disk, relay_to, hop, workers)
    sender = Sender(relay.port, threads=6, body=mail.body_of_size(3000))
    sender.start()
    for number in range(10):
        taken = len(sender.acknowledged)
        until(lambda taken=taken: len(sender.acknowledged) > taken + 20, 30, "mail being taken")
        faulty_disk.fail(kind, count=1)
        until(lambda number=number: relay.counter("spool_errors") > number, 20, "the failure")
    sender.stop()
    assert faulty_disk.heal() == 10
    refused = {(answer.code, answer.enhanced) for answer in sender.refused.values()}
    assert refused == {FAILED}
    until(lambda: len(hop.accepted) >= len(sender.acknowledged), 30, "all of them")
    relay.wait_empty()
    relay.wait_quiet()
    relay.kill()
    relay.start()
    relay.wait_empty()
    arrived = [message.recipients[0].split("@")[0] for message in hop.accepted]
    assert sorted(arrived) == sorted(sender.acknowledged)


def break_it(disk, injector):
    """No write succeeds: 451 for the first, and within a few messages nothing is even tried."""
    injector.relay.wait_quiet()  # failing writes of states count too
    disk.fail_all_writes()
    answers = [injector.send() for _ in range(5)]
    assert answers[0] == FAILED and answers[-1] == STOPPED and set(answers) == {FAILED, STOPPED}
    injector.relay.wait_log("no mail is accepted until a write succeeds")


def test_disk_that_stays_broken_and_heals(hop, relay_to, faulty_disk, workers):
    """Refused at MAIL; what is queued is delivered meanwhile; after healing all is as before."""
    relay = relay_on(faulty_disk, relay_to, hop, workers)
    hold_back(hop)
    injector = Injector(relay)
    injector.send_all(20)
    if workers == 1:
        break_it(faulty_disk, injector)
        with relay.session() as client:
            assert client.command("MAIL FROM:<a@source.test>").code == STOPPED[0]
    else:  # which worker a client meets is chance
        faulty_disk.fail_all_writes()
        # Failing writes of states count too: on a slow machine all may have stopped before the first.
        assert STOPPED in {injector.send() for _ in range(20)} <= {FAILED, STOPPED}
    deliver(hop, relay)
    all_arrive(hop, relay, injector.accepted)
    assert faulty_disk.heal() > 0
    until(injector.is_accepted, 20, "a 250", 0.1)
    if workers == 1:
        relay.wait_log("the disk takes writes again: mail is accepted")
        injector.send_all(5)
    hop.wait(len(injector.accepted))
    relay.wait_empty()
    relay.wait_quiet()
    relay.kill()
    relay.start()
    relay.wait_empty()
    arrived = names_of(hop)
    if workers > 1:  # one may not have found the disk healed when the end came: its outcomes repeat
        arrived = sorted(set(arrived))
    assert arrived == sorted(injector.accepted)  # also the outcomes were written after all


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_ended_while_the_disk_is_broken(hop, relay_to, faulty_disk, end):
    """Nothing that was answered 250 is lost, however it ends; what was refused stays away."""
    relay = relay_on(faulty_disk, relay_to, hop)
    hold_back(hop)
    injector = Injector(relay)
    injector.send_all(20)
    break_it(faulty_disk, injector)
    attempts = len(relay.account(type="TransientFailure"))
    relay.queue("retry", "--all")
    relay.wait_account(attempts + 20, type="TransientFailure")
    getattr(relay, end)()
    if end == "stop":  # a line for all of them: there may be a million
        assert len(re.findall("attempts are forgotten", relay.log())) == 1
    assert faulty_disk.heal() > 0
    relay.start()
    injector.send_all(5)
    deliver(hop, relay)
    hop.wait(len(injector.accepted))
    relay.wait_empty()
    assert set(names_of(hop)) >= set(injector.accepted)


def test_start_on_a_broken_disk(hop, relay_to, faulty_disk):
    """It may not start, but says why, and takes nothing away."""
    relay = relay_on(faulty_disk, relay_to, hop, retry="1s")
    hold_back(hop)
    injector = Injector(relay)
    injector.send_all(5)
    relay.kill()
    faulty_disk.fail("write", "zeros", "fsync", "fsyncdir", "create", "read")
    done = relay.run("serve", "-c", relay.file, check=False)
    assert done.returncode == 1 and "Input/output error" in done.stderr + relay.log()
    assert faulty_disk.heal() > 0
    hop.behave()
    relay.start()
    all_arrive(hop, relay, injector.accepted)


def test_content_that_cannot_be_read_back(hop, relay_to, faulty_disk):
    """Reads fail for a while: the messages wait, and come whole when the disk is well."""
    relay = relay_on(faulty_disk, relay_to, hop, retry="1s", memory="16M")
    hold_back(hop)
    injector = Injector(relay, mail.body_of_size(500_000))
    injector.send_all(60)
    faulty_disk.fail("read")
    deliver(hop, relay)
    until(lambda: 0 < len(hop.accepted) and relay.counter("queue_messages") < 60, 20, "some mail")
    relay.wait_log("Input/output error")
    assert faulty_disk.heal() > 0
    until(lambda: len(hop.accepted) >= 60, 30,
          lambda: f"all mail; {len(hop.accepted)} came; {relay.queue('list')[:2000]}", 0.1)
    all_arrive(hop, relay, injector.accepted)
    assert all(message.body == injector.body for message in hop.accepted)


@pytest.mark.heavy
@pytest.mark.parametrize("count", [1, 2], ids=lambda count: f"of{count}")
def test_faults_of_all_kinds(hop, relay_to, faulty_disk, capsys, count):
    """Anything fails at any time: what was taken arrives once, what was refused does not."""
    chance = random.Random(SEED + count)
    relay = relay_on(faulty_disk, relay_to, hop, count, segment_size="1M", memory="16M")
    sender = Sender(relay.port, threads=6, body=mail.body_of_size(20_000))
    sender.hold_back = lambda: len(sender.acknowledged) > hop.accepted_count + 500
    sender.start()
    failures = 0
    for _ in range(8):
        kinds = chance.sample(["write", "fsync", "zeros", "create", "fsyncdir", "unlink", "read"], 2)
        faulty_disk.fail(*kinds, error=chance.choice(["EIO", "EIO", "EROFS", "ENOSPC"]),
                         count=chance.choice([1, 1, 2, 3, 5, -1]))
        time.sleep(chance.uniform(0.05, 0.4))  # a random moment is the point
        failures += faulty_disk.heal()
        taken = len(sender.acknowledged)
        until(lambda taken=taken: len(sender.acknowledged) > taken, 20,
              f"mail to be taken again; seed {SEED}")
    sender.stop()
    told = f"{failures} failures, {len(sender.acknowledged)} taken, {len(sender.refused)} refused"
    with capsys.disabled():
        print(f"\n    {told}, seed {SEED}", end=" ")
    relay.wait_empty(60)
    # Until then a worker cannot write down what it has refused, and it would come alive. The same
    # where there was no space: for so long it makes no new segment.
    until(lambda: relay.log().count("the disk takes writes again")
          == relay.log().count("no mail is accepted until a write succeeds"), 30,
          "the disk to be found healed by all workers")
    time.sleep(NO_SPACE_PAUSE)
    relay.wait_quiet()
    relay.kill()
    relay.start()
    relay.wait_empty()
    arrived = [message.recipients[0].split("@")[0] for message in hop.accepted]
    refused = {name: sender.refused[name].lines for name in arrived if name in sender.refused}
    assert not refused, f"{refused}, seed {SEED}"
    assert len(arrived) == len(set(arrived)), f"seed {SEED}"
    assert set(sender.acknowledged) <= set(arrived), f"seed {SEED}"
    # Whose reply never came may be there or not.
    assert len(arrived) <= len(sender.acknowledged) + sender.errors, f"seed {SEED}"


# ---- a block device -----------------------------------------------------------------------------


def test_block_device_that_fails(hop, relay_to, faulty_device):
    """ext4 on a device that returns errors: mail is refused; repaired, nothing of it is missing."""
    relay = relay_on(faulty_device, relay_to, hop)
    assert all(flags & os.O_DIRECT for flags in flags_of_segments(relay))
    hold_back(hop)
    injector = Injector(relay, mail.body_of_size(20_000))
    injector.send_all(20)
    relay.wait_quiet()  # else the states' writes may be what fails, and mail is refused to MAIL
    faulty_device.below.fail("write", "zeros", "fsync")
    until(lambda: injector.send() == FAILED, 20, "a failure")
    assert faulty_device.heal() > 0
    relay.kill()
    faulty_device.repair()
    relay.start()
    injector.send_all(5)
    deliver(hop, relay)
    hop.wait(len(injector.accepted))
    relay.wait_empty()
    assert set(names_of(hop)) >= set(injector.accepted)
    assert all(message.body == injector.body for message in hop.accepted)


def hand_in_while_it_hangs(client, device):
    """A whole message, whose commit hangs."""
    device.below.fail("write", error="HANG")
    client.envelope()
    client.ok("DATA", 354)
    client.send(mail.message("last") + b".\r\n")
    until(lambda: device.below.failed() > 0, 10, "a write that hangs")


def test_block_device_that_hangs(hop, relay_to, faulty_device):
    """It does not answer: no 250 before it does, while deliveries go on."""
    relay = relay_on(faulty_device, relay_to, hop)
    hold_back(hop)
    injector = Injector(relay)
    injector.send_all(20)
    relay.wait_quiet()
    with relay.session(timeout=30) as client:
        hand_in_while_it_hangs(client, faulty_device)
        deliver(hop, relay)
        hop.wait(20)
        assert not select.select([client.socket], [], [], 0)[0], client.reply()
        assert faulty_device.heal() > 0
        assert client.reply().code == 250
    all_arrive(hop, relay, injector.accepted + ["last"])


def test_stopped_while_mail_waits_for_a_device(hop, relay_to, faulty_device):
    """The device does not answer: the relay says so and ends in its time, with status 0."""
    relay = relay_on(faulty_device, relay_to, hop, top={"shutdown_timeout": "1s"})
    hold_back(hop)
    injector = Injector(relay)
    injector.send_all(5)
    relay.wait_quiet()
    with relay.session(timeout=30) as client:
        hand_in_while_it_hangs(client, faulty_device)
        relay.process.send_signal(signal.SIGTERM)
        until(lambda: "does not answer: ending without it" in relay.log(), 20, "the relay's last word")
        assert faulty_device.heal() > 0  # else the system keeps the process for its operation
        relay.wait_exit()
    relay.start()
    deliver(hop, relay)
    hop.wait(len(injector.accepted))
    relay.wait_empty()
    assert set(names_of(hop)) - {"last"} == set(injector.accepted)
