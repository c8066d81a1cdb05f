# SPDX-License-Identifier: Apache-2.0
"""A low limit of open files (RLIMIT_NOFILE): it is told, and clients cannot take the last one."""
import os

import pytest
from harness import mail
from harness.raw_client import RawClient
from harness.wait import until


def limit_files(relay, number):
    """The relay, and its commands, run with this limit."""
    path = os.path.join(relay.directory, "limited")
    with open(path, "w", encoding="utf-8") as out:
        out.write(f'#!/bin/sh\nulimit -n {number}\nexec {relay.binary} "$@"\n')
    os.chmod(path, 0o755)
    relay.binary = path
    return relay


def open_files(relay):
    return len(os.listdir(f"/proc/{relay.process.pid}/fd"))


@pytest.mark.parametrize("number", [6, 9, 16, 20])
def test_too_few_to_run(hop, relay_to, number):
    relay = limit_files(relay_to(hop, started=False), number)
    relay.write_config()
    done = relay.run("serve", "-c", relay.file, check=False)
    assert done.returncode == 1 and "open files" in done.stderr


def test_few_are_told(hop, relay_to):
    relay = limit_files(relay_to(hop, started=False), 200).start()
    relay.wait_log("the system allows 200 open files.* LimitNOFILE")


def test_enough_are_not_a_matter(hop, relay_to):
    relay = limit_files(relay_to(hop, started=False, listener={"max_connections": 50},
                                 delivery={"connections": 10}), 400)
    relay.start()
    assert "open files" not in relay.log()


def test_idle_clients_do_not_stop_mail(hop, relay_to, workers):
    """Clients fill all they can; whoever was let in is served, new segments and deliveries work."""
    relay = relay_to(hop, workers, started=False, spool={"segment_size": "1M"},
                     site={"connections": 3})
    limit_files(relay, 100).start()
    before = open_files(relay)
    with relay.session() as first:
        others = [RawClient(relay.port) for _ in range(150)]
        refused = [other for other in others if other.greeting.code == 421]
        assert {other.greeting.code for other in others} == {220, 421}
        assert all(other.greeting.enhanced == "4.3.2" for other in refused)
        for number in range(8):
            first.mail(mail.message(f"n{number}", mail.body_of_size(600_000)))
        hop.wait(8)
        assert relay.counter("connections_in_refused") == len(refused)
        for other in others:
            other.close()
    until(lambda: relay.counter("sessions_in") == 0, 10, "the end of all sessions")
    relay.wait_empty()
    until(lambda: open_files(relay) < before + 15, 10, "files being closed again")
    assert "Too many open files" not in relay.log()
