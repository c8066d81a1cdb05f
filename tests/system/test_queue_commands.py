# SPDX-License-Identifier: Apache-2.0
"""`ringpost queue`: what it shows, retries and deletes; and what of it survives a restart."""
import pytest
from harness import mail
from harness.actions import reply, until_set
from harness.wait import stays, until


@pytest.fixture
def full(run, relay_to):
    """A relay whose mail waits: (relay, next hop that refuses for now)."""
    def start(workers=2, count=6, retry=("600s",), **sections):
        hop = run.hop()
        hop.on("RCPT", reply("450 4.2.0 not just now"))
        relay = relay_to(hop, workers, site={"retry": list(retry), "expiry": "1h"}, **sections)
        with relay.session() as client:
            for number in range(count):
                client.mail(mail.message(f"n{number}"),
                            recipients=[f"b{number}@d{number % 3}.test"])
        relay.wait_account(count, type="TransientFailure")
        until(lambda: len(relay.listed(state="waiting")) == count, 10, "all of them to wait")
        return relay, hop
    return start


def test_summary(full, workers):
    relay, _ = full(workers)
    text = relay.queue()
    assert "6 messages" in text and "not just now" in text
    by_domain = relay.queue("--by", "domain")
    assert all(f"d{n}.test" in by_domain for n in range(3))
    rows = relay.queue_rows("--by", "domain")
    counts = {row["name"]: row["entries"] for row in rows if row.get("name")}
    assert counts == {"d0.test": 2, "d1.test": 2, "d2.test": 2}


def test_list(full, workers):
    relay, _ = full(workers)
    rows = relay.listed()
    assert len(rows) == 6 and len({row["id"] for row in rows}) == 6
    for row in rows:
        assert row["attempts"] == 1 and row["code"] == 450 and "not just now" in row["error"]
        assert row["recipients"] == 1 and row["state"] == "waiting"
        assert 300 < row["due"] - row["created"] < 900
    assert len(relay.queue("list").splitlines()) == 7
    one = relay.queue("list", "--domain", "d1.test")
    assert "d1.test" in one and "d2.test" not in one
    ids = {row["id"] for row in relay.queue_rows("list", "--domain", "D1.Test.")}
    assert len(ids) == 2 and all(queue_id in one for queue_id in ids)
    assert len(relay.queue("list", "--limit", "2").splitlines()) <= 4


def test_show(full, workers):
    relay, _ = full(workers)
    for row in relay.listed():
        text = relay.queue("show", row["id"])
        assert row["id"] in text and "a@source.test" in text and row["domain"] in text
        assert "not just now" in text
    assert relay.run("queue", "show", "0000000000001", "-c", relay.file, check=False).returncode == 1


def test_replies_in_other_character_sets_are_shown(run, relay_to):
    """Receivers answer in Latin-1 and with control characters; what can be read stays readable."""
    def full(session, _otherwise):
        session.send(b"450 4.2.2 bo\xeete pleine, \xc3\xa9t\xc3\xa9 \x1b[31m\r\n")
        session.replies += 1
        return 450
    hop = run.hop()
    hop.on("RCPT", full)
    relay = relay_to(hop, site={"retry": ["600s"]})
    with relay.session() as client:
        queue_id = client.mail(mail.message()).text.split()[-1]
    relay.wait_account(1, type="TransientFailure")
    for arguments in ([], ["list"], ["show", queue_id]):
        text = relay.queue(*arguments)
        assert "bo\ufffdte pleine, \u00e9t\u00e9" in text and "\x1b" not in text
    assert "bo\ufffdte pleine, \u00e9t\u00e9" in relay.listed()[0]["error"]


@pytest.mark.parametrize("how", ["id", "domain", "all"])
def test_retry(full, workers, how):
    relay, hop = full(workers)
    hop.behave()
    row = relay.listed()[0]
    arguments = {"id": [row["id"]], "domain": ["--domain", row["domain"]], "all": ["--all"]}[how]
    expected = {"id": 1, "domain": 2, "all": 6}[how]
    assert relay.queue_rows("retry", *arguments) == [{"entries": expected}]
    hop.wait(expected)
    until(lambda: relay.queued() == 6 - expected, 10, "the rest to stay")
    stays(lambda: len(hop.accepted) == expected, 0.3)


@pytest.mark.parametrize("how", ["id", "domain"])
def test_delete(full, workers, how):
    relay, hop = full(workers)
    row = relay.listed()[0]
    relay.queue("delete", *([row["id"]] if how == "id" else ["--domain", row["domain"]]))
    gone = 1 if how == "id" else 2
    until(lambda: relay.queued() == 6 - gone, 10, "the others")
    records = relay.wait_account(gone, type="AdminBounce")
    assert row["id"] in {r["id"] for r in records}
    assert row["id"] not in relay.queue("list")
    relay.restart()
    assert relay.queued() == 6 - gone
    assert not hop.accepted  # nobody is told


def test_several_ids(full):
    """For xargs: all of them, or none when one is no id."""
    relay, hop = full(2)
    ids = [row["id"] for row in relay.listed()]
    done = relay.run("queue", "delete", ids[0], "nonsense", "-c", relay.file, check=False)
    assert done.returncode == 2 and relay.queued() == 6
    assert "3 deleted" in relay.queue("delete", *ids[:3])
    until(lambda: relay.queued() == 3, 10, "three to stay")
    hop.behave()
    assert "2 due now" in relay.queue("retry", *ids[3:5])
    until(lambda: relay.queued() == 1, 10, "one to stay")


def test_delete_needs_to_be_told_what(full):
    relay, _ = full(1, 3)
    done = relay.run("queue", "delete", "--all", "-c", relay.file, check=False)
    assert done.returncode != 0 and relay.queued() == 3


def test_delete_while_on_its_way(run, relay_to):
    """Delivered or deleted: never both, never neither."""
    import threading
    hop, go = run.hop(), threading.Event()
    hop.on("RCPT", until_set(go))
    relay = relay_to(hop, site={"command_timeout": "30s"})
    with relay.session() as client:
        queue_id = client.mail(mail.message()).text.split()[-1]
    until(lambda: hop.commands("RCPT"), 10, "RCPT")
    relay.run("queue", "delete", queue_id, "-c", relay.file, check=False)
    go.set()
    relay.wait_empty()
    until(lambda: len(relay.account(type="Delivery") + relay.account(type="AdminBounce")) == 1, 10,
          "one end")


@pytest.mark.parametrize("before, after", [(1, 1), (2, 2), (1, 4), (4, 1), (2, 3)])
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_state_survives_a_restart(full, before, after, how):
    """Attempts, due time, last error: as they were, whatever the number of workers."""
    relay, hop = full(before, 9)

    def rows():
        return {row["id"]: {key: row[key] for key in ("domain", "attempts", "code", "error", "size",
                                                     "recipients")} | {
            "due": round(row["due"]), "created": round(row["created"])} for row in relay.listed()}
    old = rows()
    if how == "kill":
        relay.wait_quiet()
        relay.kill()
    else:
        relay.stop()
    relay.config.top["workers"] = after
    relay.start()
    new = rows()
    assert new.keys() == old.keys()
    for key, row in old.items():
        for name, value in row.items():
            if name in ("due", "created"):
                assert abs(new[key][name] - value) <= 2, (name, row, new[key])
            else:
                assert new[key][name] == value, (name, row, new[key])
    hop.behave()
    relay.queue("retry", "--all")
    hop.wait(9)
    relay.wait_empty()
    assert len(hop.accepted) == 9
    deliveries = relay.wait_account(9, type="Delivery")
    assert {r["num_attempts"] for r in deliveries} == {2}


def test_expiry_counts_from_acceptance_across_restarts(full):
    relay, hop = full(1, 2, retry=("1s",))
    relay.config.site(expiry="3s")
    relay.restart()
    relay.restart()
    until(lambda: len(relay.account(type="Expiration")) == 2, 20, "both to expire")
    hop.behave()
    relay.wait_empty()


def test_delivered_recipients_stay_delivered(run, relay_to):
    """Half of the recipients were delivered before the restart."""
    hop = run.hop()
    hop.on("RCPT", reply("450 4.2.0 later"), when=lambda s: s.candidate.startswith("late"))
    relay = relay_to(hop, site={"retry": ["600s"]})
    recipients = [f"{kind}{n}@d{n}.test" for n in range(3) for kind in ("now", "late")]
    with relay.session() as client:
        client.mail(mail.message(), recipients=recipients)
    relay.wait_account(3, type="Delivery")
    relay.wait_account(3, type="TransientFailure")
    relay.restart(4)
    assert relay.counter("queue_recipients") == 3
    hop.behave()
    relay.queue("retry", "--all")
    relay.wait_empty()
    assert sorted(a for m in hop.accepted for a in m.recipients) == sorted(recipients)
