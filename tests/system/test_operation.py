# SPDX-License-Identifier: Apache-2.0
"""The operator's side: command line, check, reload, shutdown, account, log, rotation, stats."""
import json
import os
import re
import signal
import subprocess
import threading

import pytest
from harness import mail
from harness.actions import late, reply, stall, until_set
from harness.raw_client import RawClient
from harness.ringpost import Ringpost, files_of
from harness.sender import Sender
from harness.wait import stays, until


def send(relay, count=1, **options):
    with relay.session() as client:
        return [client.mail(mail.message(f"n{n}"), **options).text.split()[-1]
                for n in range(count)]


# ---- the command line ---------------------------------------------------------------------------


def test_version_and_help(run, binary, hop, relay_to):
    relay = relay_to(hop, started=False)
    assert re.search(r"\d+\.\d+\.\d+", relay.run("--version").stdout)
    text = relay.run("--help").stdout
    for word in ("serve", "check", "queue", "stats"):
        assert word in text
    for word in ("serve", "check", "queue", "stats"):
        assert relay.run(word, "--help").stdout
        assert relay.run(word, "--version").stdout == relay.run("--version").stdout


@pytest.mark.parametrize("arguments", [[], ["dance"], ["serve", "--nonsense"], ["queue", "dance"],
                                       ["queue", "show"], ["queue", "delete"], ["queue", "retry"],
                                       ["queue", "show", "not-an-id"], ["serve", "-c"],
                                       ["serve", "more"], ["check", "one", "two"], ["stats", "more"],
                                       ["queue", "summary", "--domain", "a.test"],
                                       ["queue", "list", "--limit", "0"], ["queue", "--by", "day"]])
def test_misuse_is_told(hop, relay_to, arguments):
    done = relay_to(hop, started=False).run(*arguments, check=False)
    assert done.returncode not in (0, -6, -11) and done.stderr


def test_an_answer_that_cannot_be_written_is_an_error(hop, relay_to):
    relay = relay_to(hop)
    for arguments in (["--version"], ["check", "-c", relay.file], ["queue", "-c", relay.file],
                      ["stats", "-c", relay.file]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([relay.binary, *arguments], stdout=full, stderr=subprocess.PIPE,
                                  timeout=20, check=False)
        assert done.returncode == 1 and b"No space left" in done.stderr, arguments


def test_missing_configuration(hop, relay_to):
    relay = relay_to(hop, started=False)
    for command in ("serve", "check", "queue", "stats"):
        done = relay.run(command, "-c", "/nonexistent/file", check=False)
        assert done.returncode == 1 and "/nonexistent/file" in done.stderr


def test_commands_without_a_server(hop, relay_to):
    relay = relay_to(hop, started=False)
    relay.write_config()
    for command in ("queue", "stats"):
        done = relay.run(command, "-c", relay.file, check=False)
        assert done.returncode != 0 and done.stderr


# ---- check --------------------------------------------------------------------------------------


def test_check_of_a_good_file(hop, relay_to):
    done, _ = relay_to(hop, started=False).check(relay_to(hop, started=False).config.text())
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", [
    "nonsense = 1", "workers = -1", "workers = lots", "workers = 100000", "hostname = \"not a name\"",
    "resolver = {\"nobody\"}", "site \"x.test\" { retry = {} }", "site \"x.test\" { expiry = \"soon\" }",
    "site \"x.test\" { port = 70000 }", "site \"x.test\" { connections = 0 }",
    "site \"x.test\" { source = \"unknown\" }", "site \"x.test\" { eight_bit = maybe }",
    "route \"x.test\" { to = \"\" }", "route \"x.test\" { to = \"127.0.0.1:99999\" }",
    "route \"x.test\" { }", "listener \"nowhere:25\" { }",
    "listener \"127.0.0.1:2999\" { relay_from = {\"127.0.0.0/33\"} }",
    "listener \"127.0.0.1:2999\" { relay_from = {\"127.0.0\"} }",
    "listener \"127.0.0.1:2999\" { max_message_size = \"1 elephant\" }",
    "spool { durability = hopeful }", "log { level = loud }", "}", "site \"x.test\" {",
    "source \"s\" { address = \"1.2.3\" }", "\"", "hostname = ", "dns { ttl_max = \"2d\" }",
    "route \"x.test\" { to = \"127.0.0.1:0\" }",
])
def test_check_names_file_and_line(hop, relay_to, line):
    relay = relay_to(hop, started=False)
    good = relay.config.text()
    done, path = relay.check(good + line + "\n")
    assert done.returncode == 1, line
    number = good.count("\n") + 1
    found = re.search(rf"(?m)^{re.escape(path)}:(\d+): .+", done.stderr)
    assert found and number <= int(found.group(1)) <= number + 1, done.stderr
    relay.write_config(good + line + "\n")
    assert relay.run("serve", "-c", relay.file, check=False).returncode == 1


def test_check_of_arbitrary_octets(hop, relay_to):
    relay = relay_to(hop, started=False)
    for octets in (b"\0", b"\xff\xfe\n", b"{" * 1000, b"a" * 100000, b"/* open", b"x = \"" * 50):
        path = os.path.join(relay.directory, "odd.conf")
        with open(path, "wb") as out:
            out.write(octets)
        assert relay.run("check", "-c", path, check=False).returncode == 1


# ---- reload -------------------------------------------------------------------------------------


def test_reload_brings_new_limits(hop, relay_to):
    relay = relay_to(hop, listener={"max_recipients": 5})
    old = relay.session()
    relay.config.listener(max_recipients=2)
    relay.reload()
    relay.wait_log("reloaded")
    with relay.session() as client:
        client.ok("MAIL FROM:<a@b.test>")
        codes = [client.command(f"RCPT TO:<r{n}@dest.test>").code for n in range(3)]
        assert codes == [250, 250, 452]
    old.mail(mail.message())  # sessions that were there go on
    hop.wait(1)


def test_reload_brings_new_routes_and_sites(run, hop, relay_to):
    other = run.hop()
    relay = relay_to(hop)
    send(relay)
    hop.wait(1)
    relay.config.route("*", other.where)
    relay.reload()
    relay.wait_log("reloaded")
    send(relay)
    other.wait(1)
    assert len(hop.accepted) == 1


def test_reload_moves_what_waits(run, hop, relay_to):
    """Mail that was put off goes to the new next hop."""
    dead, other = run.hop(), run.hop()
    dead.close()
    relay = relay_to(dead)
    send(relay, 5)
    relay.wait_account(5, type="TransientFailure")
    relay.config.route("*", other.where)
    relay.reload()
    other.wait(5)


def test_bad_file_keeps_the_old_configuration(hop, relay_to):
    relay = relay_to(hop, listener={"max_recipients": 5})
    relay.config.listener(max_recipients=1)
    relay.reload(relay.config.text() + "nonsense = 1\n")
    relay.wait_log(r"ringpost\.conf:\d+: ")
    with relay.session() as client:
        client.envelope(recipients=[f"r{n}@dest.test" for n in range(5)])
        assert client.data(mail.message()).code == 250
    hop.wait(1)


def test_reload_under_load(hop, relay_to, workers):
    relay = relay_to(hop, workers)
    sender = Sender(relay.port, threads=4, total=600).start()
    for number in range(10):
        relay.config.site(connections=5 + number)
        relay.reload()
        until(lambda n=number: relay.log().count("reloaded") > n, 10, "the reload")
    sender.join()
    assert len(sender.acknowledged) == 600 and not sender.errors
    hop.wait(600, 30)
    relay.wait_empty()
    assert len(hop.accepted) == 600


def test_reload_of_the_workers_is_told_to_need_a_restart(hop, relay_to):
    relay = relay_to(hop, workers=1)
    relay.config.top["workers"] = 2
    relay.reload()
    relay.wait_log("restart")
    send(relay)
    hop.wait(1)


def test_what_needs_a_restart_is_told_by_name(hop, relay_to):
    relay = relay_to(hop)
    old = dict(relay.config.top)
    old_path = relay.config.spool["path"]
    relay.config.top.update(user="nobody", group="daemon", control=old["control"] + "2",
                            pin_workers=False)
    relay.config.spool["path"] += "2"
    relay.reload()
    told = relay.wait_log(r"warning serve: (.*): changes with a restart only").group(1)
    assert told.split(", ") == ["pin_workers", "user", "group", "control", "spool.path"]
    relay.wait_log("reloaded")
    relay.config.top, relay.config.spool["path"] = old, old_path
    relay.write_config()
    send(relay, 3)
    hop.wait(3)
    assert relay.stats()["messages_received"] == 3  # the old socket answers on
    relay.stop()
    assert not os.path.exists(old["control"])


def test_reload_to_a_port_in_use_changes_nothing(hop, relay_to):
    relay = relay_to(hop, listener={"max_recipients": 5})
    relay.config.listener(max_recipients=1)
    relay.config.listeners[hop.where] = {}
    relay.reload()
    relay.wait_log(f"cannot listen on {hop.where}")
    relay.wait_log("the old configuration stays")
    with relay.session() as client:
        client.envelope(recipients=[f"r{n}@dest.test" for n in range(5)])
    del relay.config.listeners[hop.where]


def test_reload_from_one_address_to_all(hop, relay_to):
    """The port stays: what is in the way is only our own listener."""
    relay = relay_to(hop)
    relay.config.listeners = {f"0.0.0.0:{relay.port}": {"relay_from": ["127.0.0.0/8"]}}
    relay.reload()
    relay.wait_log("reloaded")
    with relay.client(host="127.0.0.3") as client:
        assert client.ehlo().code == 250


def test_account_goes_off_and_on_by_reload(hop, relay_to):
    relay = relay_to(hop, account={"path": ""})
    send(relay)
    relay.wait_empty()
    relay.config.account["path"] = os.path.join(relay.directory, "later")
    relay.reload()
    relay.wait_log("reloaded")
    queue_id = send(relay)[0]
    relay.wait_account(1, type="Delivery")
    path = relay.config.account["path"]
    relay.config.account["path"] = ""
    relay.reload()
    until(lambda: relay.log().count("reloaded") == 2, 10, "the second reload")
    send(relay)
    hop.wait(3)
    relay.stop()
    relay.config.account["path"] = path
    assert [(r["type"], r["id"]) for r in relay.account()] == [
        ("Reception", queue_id), ("Delivery", queue_id)]


# ---- the end ------------------------------------------------------------------------------------


def test_sigterm_when_idle(hop, relay_to, workers):
    relay = relay_to(hop, workers)
    relay.stop(3)


def test_sigint_is_like_sigterm(hop, relay_to):
    relay = relay_to(hop)
    relay.signal(signal.SIGINT)
    relay.wait_exit(5)


def test_sigterm_finishes_what_is_in_flight(hop, relay_to, workers):
    go = threading.Event()
    hop.on("DOT", until_set(go))
    relay = relay_to(hop, workers)
    send(relay)
    until(lambda: hop.messages, 10, "the message on its way")
    relay.signal(signal.SIGTERM)
    stays(relay.is_running, 0.5)
    with pytest.raises((OSError, EOFError, AssertionError)):
        RawClient(relay.port, timeout=2).ehlo()
    go.set()
    relay.wait_exit()
    hop.behave()
    relay.start()
    relay.wait_empty()
    assert len(hop.accepted) == 1  # delivered before the end, and not once more
    assert [r["type"] for r in relay.account()] == ["Reception", "Delivery"]


def test_sigterm_ends_injection_sessions_politely(hop, relay_to):
    relay = relay_to(hop)
    with relay.session() as client:
        relay.signal(signal.SIGTERM)
        reply_at_end = client.reply()
        assert (reply_at_end.code, reply_at_end.enhanced) == (421, "4.3.2")
    relay.wait_exit()


def test_shutdown_timeout_ends_a_transaction_with_a_word(hop, relay_to):
    """RFC 5321 section 3.8: the client learns that it may try again later."""
    relay = relay_to(hop, top={"shutdown_timeout": "1s"})
    between, within = relay.session(), relay.session()
    between.envelope()
    within.envelope()
    within.ok("DATA", 354)
    within.send(b"Subject: half of it\r\n")
    relay.signal(signal.SIGTERM)
    for client in (between, within):
        answer = client.reply()
        assert (answer.code, answer.enhanced) == (421, "4.3.2")
        assert client.is_closed()
    relay.wait_exit()


def test_shutdown_timeout_cuts_off(hop, relay_to):
    hop.on("DOT", stall(), times=1)
    relay = relay_to(hop, top={"shutdown_timeout": "1s"}, site={"dot_timeout": "60s"})
    send(relay)
    until(lambda: hop.messages, 10, "the message on its way")
    relay.stop(5)
    relay.start()
    hop.wait(1)


def test_second_sigterm_ends_at_once(hop, relay_to):
    hop.on("DOT", stall(), times=1)
    relay = relay_to(hop, top={"shutdown_timeout": "60s"}, site={"dot_timeout": "60s"})
    send(relay)
    until(lambda: hop.messages, 10, "the message on its way")
    relay.signal(signal.SIGTERM)
    stays(relay.is_running, 0.3)
    relay.signal(signal.SIGTERM)
    process, relay.process = relay.process, None
    process.wait(3)
    relay.check_health()
    relay.start()
    hop.wait(1)


def test_sigterm_under_load_loses_nothing(hop, relay_to, workers):
    relay = relay_to(hop, workers)
    sender = Sender(relay.port, threads=6).start()
    until(lambda: len(sender.acknowledged) > 200, 20, "some messages")
    relay.stop()
    sender.stop()
    relay.start()
    relay.wait_empty()
    got = [m.field("Subject")[0] for m in hop.accepted]
    assert set(sender.acknowledged) <= set(got)
    assert len(got) == len(set(got)), "doubled by a clean stop"


def test_two_processes_on_one_spool(run, hop, relay_to):
    from harness.net import free_port
    relay = relay_to(hop)
    config = relay.config.clone()
    config.listeners = {f"127.0.0.1:{free_port()}": config.listeners.popitem()[1]}
    config.top["control"] += ".other"
    folder = os.path.join(relay.directory, "other")
    os.mkdir(folder)
    second = Ringpost(relay.binary, folder, config)
    second.write_config()
    done = second.run("serve", "-c", second.file, check=False)
    assert done.returncode == 1 and "spool" in done.stderr
    assert f"pid {relay.process.pid}" in done.stderr
    send(relay)
    hop.wait(1)
    lock = os.path.join(relay.config.spool["path"], "lock")
    with open(lock, encoding="ascii") as file:
        os.kill(int(file.read()), signal.SIGHUP)
    relay.wait_log("reloaded")
    relay.stop()
    assert os.path.getsize(lock) == 0


def test_port_in_use_is_told(hop, relay_to):
    relay = relay_to(hop, started=False)
    address = next(iter(relay.config.listeners))
    relay.config.listeners = {hop.where: relay.config.listeners[address]}
    relay.write_config()
    done = relay.run("serve", "-c", relay.file, check=False)
    assert done.returncode == 1 and str(hop.port) in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_root_becomes_the_user_of_the_configuration(hop, relay_to):
    relay = relay_to(hop, top={"user": "nobody"}, started=False)
    os.chmod(relay.directory, 0o777)
    relay.start()
    with open(f"/proc/{relay.process.pid}/status", encoding="ascii") as file:
        status = file.read()
    assert re.search(r"Uid:\s+65534\s+65534\s+65534", status)
    assert re.search(r"Groups:\s*(65534)?\s*\n", status)
    send(relay)
    hop.wait(1)
    relay.restart()
    send(relay)
    hop.wait(2)


# ---- account and log ----------------------------------------------------------------------------


def test_fields_of_the_account(hop, relay_to):
    hop.on("RCPT", reply("450 4.2.0 later"), times=1)
    relay = relay_to(hop)
    queue_id = send(relay)[0]
    hop.wait(1)
    delivery = relay.wait_account(1, type="Delivery")[0]
    reception, failure = relay.account(type="Reception")[0], relay.account(
        type="TransientFailure")[0]
    for record in (reception, failure, delivery):
        assert record["id"] == queue_id
        assert record["sender"] == "a@source.test" and record["recipient"] == "b@dest.test"
        assert record["size"] > 100
        assert reception["timestamp"] - 1 < record["created"] <= record["timestamp"] + 0.001
    assert reception["reception_protocol"] == "ESMTP"
    assert reception["peer_address"]["addr"].startswith("127.0.0.1") and reception["session_id"]
    assert delivery["delivery_protocol"].upper() == "ESMTP"
    assert delivery["queue"] == "dest.test" and delivery["site"]
    assert delivery["egress_source"] == "default"
    assert delivery["peer_address"]["addr"].startswith("127.0.0.1")
    assert (failure["num_attempts"], delivery["num_attempts"]) == (1, 2)
    assert delivery["response"]["code"] == 250
    assert delivery["response"]["content"].startswith("taken")
    assert delivery["timings_ms"]["queued"] >= 800


def test_each_message_has_a_beginning_and_an_end(hop, relay_to, workers):
    hop.on("RCPT", reply("550 5.1.1 no"), when=lambda s: s.candidate.endswith("7@dest.test"))
    hop.on("RCPT", reply("450 4.2.0 later"), times=20)
    relay = relay_to(hop, workers)
    with relay.session() as client:
        for number in range(200):
            client.mail(mail.message(f"n{number}"), "", [f"r{number}@dest.test"])
    relay.wait_empty()

    def ends():
        records = relay.account()
        begun = {r["id"] for r in records if r["type"] == "Reception"}
        ended = [r["id"] for r in records if r["type"] in ("Delivery", "Bounce")]
        return len(begun) == 200 and sorted(begun) == sorted(ended)
    until(ends, 10, "200 beginnings and ends")
    assert len(relay.account(type="Bounce")) == 20


def test_account_files_rotate(hop, relay_to):
    relay = relay_to(hop, account={"rotate_size": "64K", "keep_size": "256K"})
    Sender(relay.port, threads=4, total=1500).start().join()
    hop.wait(1500, 30)
    relay.wait_empty()
    folder = relay.config.account["path"]
    until(lambda: 3 <= len(os.listdir(folder)) <= 9, 10, lambda: str(os.listdir(folder)))
    for name in files_of(folder):
        with open(name, encoding="utf-8") as file:
            for line in file:
                json.loads(line)
    sizes = [os.path.getsize(name) for name in files_of(folder)]
    assert max(sizes) < 64 * 1024 * 3 and sum(sizes) < 600 * 1024


def test_log_rotates(hop, relay_to):
    relay = relay_to(hop, log={"rotate_size": "16K", "keep": 3})
    Sender(relay.port, threads=4, total=600).start().join()
    hop.wait(600, 30)
    relay.wait_empty()
    assert 1 <= len(files_of(relay.config.log["path"])) <= 5


def test_log_renamed_by_others_is_reopened(hop, relay_to):
    relay = relay_to(hop)
    path = relay.config.log["path"]
    until(lambda: os.path.getsize(path) > 0, 10, "the log")
    os.rename(path, path + ".old")
    relay.reload()
    until(lambda: os.path.exists(path) and os.path.getsize(path) > 0, 10, "a new log")


def test_no_account(hop, relay_to):
    relay = relay_to(hop, account={"path": ""})
    send(relay, 10)
    hop.wait(10)


def test_account_folder_that_cannot_be_written(hop, relay_to):
    """Losing the account's disk never stops mail."""
    relay = relay_to(hop, started=False)
    path = os.path.join(relay.directory, "a-file")
    with open(path, "w", encoding="ascii"):
        pass
    relay.config.account["path"] = os.path.join(path, "account")
    relay.start()
    send(relay, 20)
    hop.wait(20)


def test_lost_lines_are_counted(hop, relay_to):
    relay = relay_to(hop, account={"path": "/proc/nonexistent/account"})
    send(relay, 20)
    hop.wait(20)
    relay.wait_log("lines are lost: opening /proc/nonexistent/account")
    until(lambda: relay.counter("account_lines_lost") == 40, 10,
          lambda: f"40 lost lines: {relay.counter('account_lines_lost')}")
    relay.config.account["path"] = os.path.join(relay.directory, "account")
    relay.reload()
    relay.wait_log("reloaded")
    send(relay)
    relay.wait_account(1, type="Delivery")


def test_log_disk_full(hop, relay_to):
    relay = relay_to(hop, log={"path": "/dev/full"})
    send(relay, 50)
    hop.wait(50)
    until(lambda: "No space left on device" in relay.stderr(), 10, "the log on standard error")


def test_log_that_cannot_be_opened_is_on_standard_error(hop, relay_to):
    relay = relay_to(hop, started=False)
    os.mkdir(relay.config.log["path"])
    relay.start()
    send(relay)
    hop.wait(1)
    until(lambda: "ready" in relay.stderr(), 10, "the log on standard error")
    assert f"opening {relay.config.log['path']}: Is a directory" in relay.stderr()
    os.rmdir(relay.config.log["path"])
    relay.reload()
    relay.wait_log("reloaded")
    until(lambda: os.path.isfile(relay.config.log["path"]), 15, "the log in its place")


def test_counters(hop, relay_to, workers):
    hop.on("RCPT", reply("450 4.2.0 later"), times=1)
    relay = relay_to(hop, workers)
    send(relay, 10, recipients=("b@dest.test", "c@dest.test"))
    until(lambda: relay.counter("delivered") == 20, 15, "20 deliveries")
    stats = relay.stats()
    assert stats["messages_received"] == 10 and stats["recipients_received"] == 20
    assert stats["transient_failures"] == 1
    assert stats["queue_messages"] == stats["queue_recipients"] == 0
    assert stats["connections_in"] == 1 and stats["sessions_in"] == 0
    assert stats["spool_commits"] >= 1 and stats["bytes_received"] > 1000
    assert stats["commit_us"]["count"] >= 1 and stats["commit_us"]["p99"] >= 1
    assert stats["bounced"] == stats["spool_errors"] == stats["account_lines_lost"] == 0


def test_stats_under_load(hop, relay_to):
    hop.on("DOT", late(0.001))
    relay = relay_to(hop, 4)
    sender = Sender(relay.port, threads=4, total=400).start()
    last = -1
    while any(thread.is_alive() for thread in sender.threads):
        now = relay.counter("messages_received")
        assert now >= last
        last = now
    sender.join()
    hop.wait(400, 30)
