# SPDX-License-Identifier: Apache-2.0
"""Where mail goes: MX records of a real name server (nsd), receivers on 127.0.0.2 and up."""
import pytest
from harness import mail
from harness.actions import disconnect, disconnect_after, late, reply, stall
from harness.net import free_port
from harness.wait import until

ADDRESSES = [f"127.0.0.{n}" for n in range(1, 8)]


class Internet:
    """Receivers by the last octet of their address, all on one port; zones; a relay."""

    def __init__(self, run, zones, up=(2, 3, 4), workers=2, **options):
        self.run = run
        self.port = free_port(ADDRESSES)
        self.hops = {n: run.hop(address=f"127.0.0.{n}", port=self.port, name=f"mx{n}.test")
                     for n in up}
        self.dns = run.nsd(zones, broken=("broken.test",), **options)
        self.config = run.config(workers).site(port=self.port).change(
            "top", resolver=[self.dns.where])
        self.relay = None

    def start(self):
        self.relay = self.run.ringpost(self.config)
        return self

    def send(self, domain, count=1, sender="a@source.test"):
        with self.relay.session() as client:
            for number in range(count):
                client.mail(mail.message(f"{domain}-{number}"), sender, [f"b{number}@{domain}"])

    def bounce(self, domain, seconds=15):
        """Mail to the domain must bounce; its DSN comes to source.test (127.0.0.7)."""
        self.send(domain)
        notice = mail.Dsn(self.hops[7].wait_dsn(1, seconds)[0].data)
        return notice.recipient(f"b0@{domain}")


SOURCE = {"source.test": "@ MX 10 mx\nmx A 127.0.0.7"}


def internet(run, zones, up=(2, 3, 4), **options):
    return Internet(run, {**SOURCE, **zones}, (*up, 7), **options).start()


def test_preferences(run):
    net = internet(run, {"one.test": "@ MX 20 b\n@ MX 10 a\n@ MX 30 c\n"
                                     "a A 127.0.0.3\nb A 127.0.0.2\nc A 127.0.0.4"})
    net.send("one.test", 5)
    net.hops[3].wait(5)
    assert not net.hops[2].sessions and not net.hops[4].sessions


def test_equal_preferences_share(run):
    net = internet(run, {"one.test": "@ MX 10 a\n@ MX 10 b\na A 127.0.0.2\nb A 127.0.0.3"})
    net.config.site(messages_per_connection=1)
    net.relay.restart()
    net.send("one.test", 40)
    until(lambda: len(net.hops[2].accepted) + len(net.hops[3].accepted) == 40, 20, "40 messages")
    # 40 fair coins: all on one side, or nearly, once in a million runs.
    assert min(len(net.hops[2].accepted), len(net.hops[3].accepted)) >= 4


def test_several_addresses_of_one_host(run):
    net = internet(run, {"one.test": "@ MX 10 a\na A 127.0.0.5\na A 127.0.0.6\na A 127.0.0.2"})
    net.send("one.test", 3)
    net.hops[2].wait(3)  # whatever order: the dead ones are passed over


def test_first_host_down_goes_to_the_second(run):
    net = internet(run, {"one.test": "@ MX 10 a\n@ MX 20 b\na A 127.0.0.5\nb A 127.0.0.2"})
    net.send("one.test")
    net.hops[2].wait(1)
    assert net.relay.wait_account(1, type="Delivery")[0]["peer_address"]["addr"].startswith(
        "127.0.0.2")


@pytest.mark.parametrize("greeting", ["421 4.3.2 too busy", "450 4.7.1 not now",
                                      "554 5.7.1 no service"])
def test_host_that_greets_badly_goes_to_the_second(run, greeting):
    net = internet(run, {"one.test": "@ MX 10 a\n@ MX 20 b\na A 127.0.0.3\nb A 127.0.0.2"})
    net.hops[3].on("CONNECT", reply(greeting))
    net.send("one.test")
    net.hops[2].wait(1)
    assert not net.hops[3].commands("MAIL")


TWO = {"one.test": "@ MX 10 a\n@ MX 20 b\na A 127.0.0.3\nb A 127.0.0.2"}
PATIENT = {"retry": ["1h"], "host_pause": "1h", "host_pause_max": "1h"}


@pytest.mark.parametrize("fault", [disconnect(), disconnect_after("421 4.3.2 closing"), stall()],
                         ids=["hangs up", "421", "silent"])
@pytest.mark.parametrize("step", ["EHLO", "MAIL", "RCPT", "DATA"])
def test_host_that_fails_later_on_goes_to_the_second(run, step, fault):
    """RFC 5321 section 5.1: all addresses are tried, now and not an hour later."""
    net = internet(run, TWO)
    net.config.site(command_timeout="1s", data_timeout="1s", **PATIENT)
    net.relay.restart()
    net.hops[3].extensions = ("PIPELINING", "SIZE")
    net.hops[3].on(step, fault)
    net.send("one.test")
    net.hops[2].wait(1)
    assert net.hops[3].sessions
    assert net.relay.wait_account(1, type="Delivery")[0]["num_attempts"] == 1


def test_backup_is_not_used_while_the_first_is_busy(run):
    """Many connections being opened at once are no failure of the preferred host."""
    net = internet(run, TWO)
    net.config.site(connections=60, messages_per_connection=3)
    net.relay.restart()
    net.hops[3].on("CONNECT", late(0.2))
    net.hops[3].delay = 0.02
    net.send("one.test", 300)
    net.hops[3].wait(300, 40)
    assert len(net.hops[3].sessions) > 20 and not net.hops[2].sessions


def test_null_mx(run):
    net = internet(run, {"null.test": "@ MX 0 ."})
    fields = net.bounce("null.test")
    assert fields["Status"] == "5.1.10"
    record = net.relay.wait_account(1, type="Bounce")[0]
    assert record["response"]["code"] == 556 and record["recipient"] == "b0@null.test"


def test_no_such_domain(run):
    net = internet(run, {"one.test": "@ MX 10 a"})
    assert net.bounce("nowhere.one.test")["Status"] == "5.1.2"


def test_servfail_is_tried_again(run):
    net = internet(run, {"one.test": "@ MX 10 a"})
    net.send("broken.test")
    records = net.relay.wait_account(2, type="TransientFailure")
    assert {r["response"]["code"] for r in records} == {451}
    assert net.relay.queued() == 1
    assert not net.hops[7].accepted


def test_servfail_until_expiry(run):
    net = internet(run, {"one.test": "@ MX 10 a"})
    net.config.site(expiry="3s")
    net.relay.restart()
    fields = net.bounce("broken.test", 20)
    assert fields["Action"] == "failed" and fields["Status"][0] in "45"
    assert len(net.relay.wait_account(1, type="Expiration")) == 1


def test_silent_resolver_delays_and_recovers(run):
    net = internet(run, {"one.test": "@ MX 10 a\na A 127.0.0.2"})
    net.dns.stop()
    net.send("one.test")
    net.relay.wait_account(1, type="TransientFailure")
    net.dns.start()
    net.hops[2].wait(1, 20)


def test_domain_that_is_an_alias(run):
    net = internet(run, {"one.test": "www CNAME real\nreal MX 10 a\na A 127.0.0.2"})
    net.send("www.one.test")
    assert net.hops[2].wait(1)[0].recipients == ["b0@www.one.test"]  # the envelope is not changed


def test_mx_that_is_an_alias(run):
    net = internet(run, {"one.test": "@ MX 10 mx\nmx CNAME a\na A 127.0.0.2"})
    net.send("one.test")
    net.hops[2].wait(1)


def test_alias_loop_ends(run):
    net = internet(run, {"one.test": "x CNAME y\ny CNAME x"})
    net.send("x.one.test")
    until(lambda: net.relay.account(type="TransientFailure") or net.relay.account(type="Bounce"),
          20, "an outcome")


def test_no_mx_but_an_address(run):
    net = internet(run, {"one.test": "@ A 127.0.0.2"})
    net.send("one.test")
    net.hops[2].wait(1)


def test_mx_that_exist_but_fail_never_lead_to_the_address(run):
    net = internet(run, {"one.test": "@ A 127.0.0.2\n@ MX 10 a\na A 127.0.0.5"})
    net.send("one.test")
    net.relay.wait_account(2, type="TransientFailure")
    assert not net.hops[2].sessions


def test_neither_mx_nor_address(run):
    net = internet(run, {"one.test": "txt TXT x"})
    assert net.bounce("txt.one.test")["Status"] in ("5.4.4", "5.1.2")


def test_mx_without_an_address(run):
    net = internet(run, {"one.test": "@ MX 10 nowhere"})
    assert net.bounce("one.test")["Status"] == "5.4.4"


def test_mx_without_an_address_beside_a_good_one(run):
    net = internet(run, {"one.test": "@ MX 10 nowhere\n@ MX 20 a\na A 127.0.0.2"})
    net.send("one.test")
    net.hops[2].wait(1)


def test_we_are_the_best_mail_host(run):
    net = internet(run, {"one.test": "@ MX 10 relay.test.\n@ MX 20 a\na A 127.0.0.2"})
    assert net.bounce("one.test")["Status"] == "5.4.6"
    assert not net.hops[2].sessions


def test_we_are_the_best_mail_host_by_address(run):
    """Its name says nothing, but a connection there would come in at our own listener."""
    net = internet(run, {"one.test": "@ MX 10 us\n@ MX 20 a\nus A 127.0.0.6\na A 127.0.0.2"})
    net.config.listeners[f"127.0.0.6:{net.port}"] = {}
    net.relay.restart()
    assert net.bounce("one.test")["Status"] == "5.4.6"
    assert not net.hops[2].sessions


def test_worse_hosts_than_ourselves_are_dropped(run):
    net = internet(run, {"one.test": "@ MX 5 a\n@ MX 10 relay.test.\n@ MX 10 c\n@ MX 20 b\n"
                                     "a A 127.0.0.5\nb A 127.0.0.2\nc A 127.0.0.3"})
    net.send("one.test")
    net.relay.wait_account(2, type="TransientFailure")
    assert not net.hops[2].sessions and not net.hops[3].sessions


@pytest.mark.parametrize("address", ["127.0.0.2", "0.0.0.0", "127.1.2.3"])
def test_loopback_is_refused_unless_allowed(run, address):
    net = internet(run, {"one.test": f"@ MX 10 a\na A {address}"})
    net.config.change("top", allow_loopback_delivery=False)
    net.config.route("source.test", net.hops[7].where)  # named by the operator: may be anywhere
    net.relay.restart()
    assert net.bounce("one.test")["Status"].startswith("5.4")
    assert not net.hops[2].sessions


def test_address_literal(run):
    net = internet(run, {"one.test": "@ MX 10 a"})
    net.send("[127.0.0.2]")
    assert net.hops[2].wait(1)[0].recipients == ["b0@[127.0.0.2]"]


def test_two_domains_with_the_same_hosts_are_one_site(run, workers):
    """The limit of connections holds for both together, whatever worker accepted the mail."""
    records = "@ MX 10 mx1.hosts.test.\n@ MX 20 mx2.hosts.test."
    net = internet(run, {"one.test": records, "two.test": records,
                         "hosts.test": "mx1 A 127.0.0.2\nmx2 A 127.0.0.3"}, workers=workers)
    net.config.site(connections=2, messages_per_connection=5)
    net.relay.restart()
    net.hops[2].on("DOT", late(0.02))
    for _ in range(4):
        net.send("one.test", 10)
        net.send("two.test", 10)
    net.hops[2].wait(80, 30)
    assert net.hops[2].open_most <= 2
    assert len({r["site"] for r in net.relay.wait_account(80, type="Delivery")}) == 1


def test_settings_by_domain_by_site_and_by_host(run):
    """A block named by the domain, or by a parent of the best mail host."""
    net = internet(run, {"one.test": "@ MX 10 mx1.hosts.test.", "hosts.test": "mx1 A 127.0.0.2",
                         "two.test": "@ MX 10 mx2\nmx2 A 127.0.0.3"})
    net.config.sources["special"] = {"ehlo": "special.test"}
    net.config.sources["hosts"] = {"ehlo": "hosts-source.test"}
    net.config.site("two.test", **{**net.config.sites["default"], "source": "special"})
    net.config.site("hosts.test", **{**net.config.sites["default"], "source": "hosts"})
    net.relay.restart()
    net.send("one.test")
    net.send("two.test")
    net.hops[2].wait(1)
    net.hops[3].wait(1)
    assert net.hops[2].sessions[0].helo == "EHLO hosts-source.test"
    assert net.hops[3].sessions[0].helo == "EHLO special.test"


def test_route_by_name_and_several_hops(run):
    net = internet(run, {"hosts.test": "smart A 127.0.0.3"})
    net.config.route("one.test", [f"127.0.0.5:{net.port}", f"smart.hosts.test:{net.port}"])
    net.relay.restart()
    net.send("one.test")
    net.hops[3].wait(1)


def test_route_to_localhost_needs_no_name_server(run, hop):
    config = run.config().route("*", f"localhost:{hop.port}").change(
        "top", resolver=["127.0.0.1:9"])
    relay = run.ringpost(config)
    with relay.session() as client:
        client.mail(mail.message())
    hop.wait(1)


def test_source_address_is_bound(run, hop):
    config = run.config().route("*", hop.where)
    config.sources["default"]["address"] = "127.0.0.9"
    relay = run.ringpost(config)
    with relay.session() as client:
        client.mail(mail.message())
    hop.wait(1)
    assert hop.sessions[0].peer[0] == "127.0.0.9"


def test_case_and_final_dot_are_one_domain(run):
    net = internet(run, {"one.test": "@ MX 10 a\na A 127.0.0.2"})
    with net.relay.session() as client:
        client.mail(mail.message(), recipients=["b@one.test", "c@ONE.Test", "B@One.test"])
    message = net.hops[2].wait(1)[0]
    assert sorted(message.recipients) == ["B@One.test", "b@one.test", "c@ONE.Test"]


def test_many_domains_and_hosts(run):
    zone = "\n".join(f"d{n} MX 10 mx{n % 3 + 2}\n" for n in range(300))
    zone += "\n".join(f"mx{n} A 127.0.0.{n}" for n in (2, 3, 4))
    net = internet(run, {"many.test": zone})
    recipients = [f"b@d{n}.many.test" for n in range(300)]
    with net.relay.session() as client:
        client.mail(mail.message(), recipients=recipients)

    def got():
        return sorted(address for n in (2, 3, 4) for m in net.hops[n].accepted
                      for address in m.recipients)
    until(lambda: got() == sorted(recipients), 30, lambda: f"300 recipients; {len(got())} came")


# ---- the sender's domain ------------------------------------------------------------------------

NOMAIL = {"nomail.test": "@ MX 0 .\nwww A 127.0.0.2", "one.test": "@ MX 10 a\na A 127.0.0.2"}


def sender_reply(relay, sender, source=None):
    with relay.session(source=source) as client:
        reply = client.command(f"MAIL FROM:<{sender}>")
        client.ok("RCPT TO:<b@one.test>", 250 if reply.code == 250 and source is None
                  else 550 if reply.code == 250 else 503)
        return reply.code, reply.enhanced


def test_sender_with_a_null_mx_is_refused(run):
    """RFC 7505 section 4.2; asked for once, then from the cache."""
    net = internet(run, NOMAIL)
    for sender in ("a@nomail.test", "a@NOMAIL.test", "a@nomail.test"):
        assert sender_reply(net.relay, sender) == (550, "5.7.27")
    # All other words of DNS, and none at all, let the mail in.
    for sender in ("a@one.test", "a@missing.one.test", "a@www.nomail.test", "a@broken.test",
                   "a@unknown.test", "a@[127.0.0.2]", ""):
        assert sender_reply(net.relay, sender) == (250, "2.1.0"), sender


def test_refused_sender_in_a_pipelined_session(run):
    """The question is asked in the middle of a batch: the replies stay in order."""
    net = internet(run, NOMAIL, workers=1)
    transaction = b"RCPT TO:<b@one.test>\r\nDATA\r\nSubject: x\r\n\r\nhello\r\n.\r\n"
    chunk = b"RCPT TO:<b@one.test>\r\nBDAT 14 LAST\r\nSubject: y\r\n\r\n"
    with net.relay.client() as client:
        client.send(b"EHLO c.test\r\nMAIL FROM:<a@nomail.test>\r\n" + chunk
                    + b"MAIL FROM:<a@source.test>\r\n" + transaction
                    + b"MAIL FROM:<b@nomail.test>\r\n" + chunk + b"QUIT\r\n")
        codes = [reply.code for reply in client.replies(12)]
        assert codes == [250, 550, 503, 503, 250, 250, 354, 250, 550, 503, 503, 221]
        assert client.is_closed()
    assert net.hops[2].wait(1)[0].field("Subject") == ["x"]


def test_sender_is_not_asked_about(run):
    net = internet(run, NOMAIL)
    net.config.listener(relay_from=["127.0.0.1/32"])
    net.config.route("nomail.test", net.hops[7].where)  # the operator knows better
    net.relay.restart()
    assert sender_reply(net.relay, "a@Nomail.test") == (250, "2.1.0")
    net.config.routes.clear()
    net.relay.restart()
    assert sender_reply(net.relay, "a@nomail.test", source="127.0.0.9") == (250, "2.1.0")
    net.config.listener(refuse_null_mx=False)
    net.relay.restart()
    assert sender_reply(net.relay, "a@nomail.test") == (250, "2.1.0")
