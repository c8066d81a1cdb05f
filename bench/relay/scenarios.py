# SPDX-License-Identifier: Apache-2.0
"""scenarios - what no row of the table can show: a far receiver, a million dead recipients."""

import json
import os
import socket
import subprocess
import sys
import time

from load import RingpostSink, run_load
from peers import HERE, Ringpost, find_number
from processes import Program, free_port, wait_greeting, wall

RTT_MS = 100


def far(context):
    """One connection to a receiver 100 ms away: first with PIPELINING only, then with CHUNKING."""
    result = {"rtt_ms": RTT_MS}
    for name, options, messages in (("pipelining", ["--no-chunking"], context.size(200, 60)),
                                    ("chunking", [], context.size(2000, 400))):
        sink_port, proxy_port = free_port(), free_port()
        sink = RingpostSink(context, sink_port, *options)
        proxy = Program([context.tool("delay"), "--rtt-ms", str(RTT_MS),
                         f"127.0.0.1:{proxy_port}", f"127.0.0.1:{sink_port}"],
                        context.directory, f"delay-{name}")
        relay = Ringpost(context, f"far-{name}", proxy_port, connections=1)
        try:
            relay.start()
            source = Program([context.tool("source"), "--mode", "pipelining", "-s", "10", "-l",
                              "4096", "-m", str(messages), f"127.0.0.1:{relay.port}"],
                             context.directory, f"source-{name}")
            source.wait(60)
            deadline = wall() + 90
            while sink.received() < messages and wall() < deadline:
                time.sleep(0.2)
            summary = sink.finish()
            result[f"{name}_messages"] = summary["messages"]
            result[f"{name}_per_s"] = summary["rate"]
            result[f"{name}_connections"] = summary["connections_peak"]
            if summary["messages"] < messages:
                result[f"{name}_problem"] = f"{summary['messages']} of {messages} came in 90 s"
        finally:
            relay.stop()
            sink.program.stop()
            proxy.stop()
    return result


def wait_quiet(relay, seconds):
    """Until the relay uses under 3 % of a core for two seconds; the seconds that took."""
    start = quiet_since = wall()
    used = sum(relay.group.cpu())
    while wall() - start < seconds and wall() - quiet_since < 2:
        time.sleep(0.5)
        now = sum(relay.group.cpu())
        if now - used > 0.015:
            quiet_since = wall()
        used = now
    return wall() - start


def live_cost(context, relay, sink_port, messages):
    """CPU seconds of 1000 new messages to a receiver that works."""
    load = {"source": "ringpost-source", "sink": "ringpost-sink", "messages": messages,
            "seconds": 120, "options": "--mode pipelining -s 20 -l 1024"}
    row = run_load(context, relay, sink_port, load)
    return row["cpu_per_1000"], row["problem"]


def queue_seconds(relay):
    start = wall()
    text = relay.command("queue")
    return wall() - start, len(text)


def refuse_if_alive():
    """The dead hosts are addresses of this machine: a mail server on all of them is in the way."""
    try:
        socket.create_connection(("127.1.0.1", 25), timeout=1).close()
    except OSError:
        return
    raise RuntimeError("something listens on port 25 of 127.1.0.1: the dead hosts would be alive")


def dead(context):
    """Messages for dead hosts over many domains, and what they cost everything else."""
    refuse_if_alive()
    messages = context.arguments.dead_messages or context.size(1000000, 50000)
    domains = max(1, messages // 10)
    dns_port, sink_port = free_port(), free_port()
    dns = Program([sys.executable, os.path.join(HERE, "dead_dns.py"), str(dns_port)],
                  context.directory, "dead-dns")
    relay = Ringpost(context, "dead", sink_port, resolver=f"127.0.0.1:{dns_port}", resolve=True,
                     memory="32M", retry='"1h"')
    result = {"messages": messages, "domains": domains}
    probe = context.size(20000, 5000)
    try:
        result["start_empty_s"] = relay.start()
        live_cost(context, relay, sink_port, probe)  # warms caches and pools
        result["live_cpu_per_1000_empty"], problem = live_cost(context, relay, sink_port, probe)
        if problem:
            result["problem_empty"] = problem
        wait_quiet(relay, 20)
        before = relay.group.anonymous()
        inject_dead(context, relay, messages, domains, result)
        result["seconds_until_quiet"] = wait_quiet(relay, 300)
        measure_full(context, relay, sink_port, messages, before, probe, result)
        relay.kill()
        result["restart_to_greeting_s"] = relay.start()
        result["queued_after_restart"] = queued(relay)
        result["queue_command_after_restart_s"], _ = queue_seconds(relay)
        wait_quiet(relay, 300)
        result["anonymous_bytes_per_message_after_restart"] = (
            relay.group.anonymous() - before) / messages
        _, problem = live_cost(context, relay, sink_port, 1000)
        if problem:
            result["problem_after_restart"] = problem
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        result["problem"] = str(error)
    finally:
        relay.stop()
        dns.stop()
    return result


def queued(relay):
    return find_number(relay.stats(), "queue_messages")


def inject_dead(context, relay, messages, domains, result):
    cpu = sum(relay.group.cpu())
    source = Program([context.tool("source"), "--mode", "pipelining", "-s", "50", "-l", "1024",
                      "-m", str(messages), "--domains", str(domains), "--timeout", "120",
                      f"127.0.0.1:{relay.port}"], context.directory, "source-dead")
    if not source.wait(900):
        source.stop()
        raise RuntimeError("the injection took more than 900 s")
    told = json.loads(source.text())
    result["inject_per_s"] = told["rate"]
    result["inject_accepted"] = told["accepted"]
    result["inject_refused"] = json.dumps(told["refused"])
    result["inject_reply_p99_ms"] = told["latency_ms"]["p99"]
    result["inject_cpu_per_1000"] = (sum(relay.group.cpu()) - cpu) / messages * 1000


def measure_full(context, relay, sink_port, messages, before, probe, result):
    stats = relay.stats()
    after = relay.group.anonymous()
    result["anonymous_bytes"] = after
    result["anonymous_bytes_per_message"] = (after - before) / messages
    index = find_number(stats, "queue_index_bytes")
    if index is not None:
        result["index_bytes_per_message"] = index / messages
    result["queued"] = queued(relay)
    result["live_cpu_per_1000_full"], problem = live_cost(context, relay, sink_port, probe)
    if problem:
        result["problem_full"] = problem
    result["queue_command_s"], result["queue_command_octets"] = queue_seconds(relay)
