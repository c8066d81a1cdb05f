# SPDX-License-Identifier: Apache-2.0
"""load - one measured run: a sink, a source, a relay between them, and what all that cost."""

import json
import os
import re
import signal
import statistics
import time

from processes import Program, read_text, wait_greeting, wall

SETTLE = 0.25  # the relay's book-keeping after the last delivery belongs to the run


class SmtpSink:
    """Postfix's smtp-sink, which writes its counters to its output."""

    def __init__(self, context, port):
        user = ["-u", "nobody"] if os.geteuid() == 0 else []  # it wants exactly that
        self.program = Program(
            ["smtp-sink", *user, "-c", "-m", "400", f"127.0.0.1:{port}", "400"],
            context.directory, "smtp-sink")
        wait_greeting(port, 10, self.program)

    def received(self):
        size = os.path.getsize(self.program.output)
        with open(self.program.output, "rb") as file:
            file.seek(max(0, size - 256))
            found = re.findall(rb"mesg=\s*(\d+)", file.read())
        return int(found[-1]) if found else 0

    def finish(self):
        self.program.stop()
        return {"messages": self.received()}


class RingpostSink:
    """The bench's own sink; asked for its summary by SIGUSR1."""

    def __init__(self, context, port, *options):
        self.program = Program([context.tool("sink"), *options, f"127.0.0.1:{port}"],
                               context.directory, "ringpost-sink")
        wait_greeting(port, 10, self.program)

    def summary(self):
        for line in reversed(self.program.text().splitlines()):
            try:
                return json.loads(line)
            except ValueError:  # the last line is being written just now
                continue
        return {"messages": 0}

    def received(self):
        self.program.process.send_signal(signal.SIGUSR1)
        return self.summary()["messages"]

    def finish(self):
        self.program.stop()
        return self.summary()


def source_arguments(context, load, port):
    """The command line of the load's source against 127.0.0.1:port."""
    if load["source"] == "smtp-source":
        return ["smtp-source", *load["options"].split(), "-m", str(load["messages"]),
                "-M", "client.test", "-f", "a@x.test", "-t", "b@dest.test", f"127.0.0.1:{port}"]
    return [context.tool("source"), *load["options"].split(), "-m", str(load["messages"]),
            "--timeout", "60", f"127.0.0.1:{port}"]


def await_delivery(sink, source, wanted, deadline, sample, poll):
    """(received, when the last one came): returns once all are there and nothing more comes."""
    received, changed = 0, wall()
    while wall() < deadline:
        now = sink.received()
        if now != received:
            received, changed = now, wall()
        if received >= wanted and wall() - changed >= SETTLE:
            break
        source.poll()  # notes when it ends
        sample()
        time.sleep(poll if received < wanted else 0.01)
    return received, changed


class MemoryPeak:
    """Samples a group's memory four times a second, or as seldom as keeps that under 5 % CPU."""

    def __init__(self, group):
        self.group = group
        self.peak = 0
        self.next = 0.0

    def sample(self):
        start = wall()
        if self.group is None or start < self.next:
            return
        self.peak = max(self.peak, self.group.anonymous())
        self.next = wall() + max(0.25, 20 * (wall() - start))


def run_load(context, peer, sink_port, load):
    """One run. Returns a row of figures; 'problem' names what makes it worthless."""
    own_sink = load["sink"] == "ringpost-sink"
    sink = (RingpostSink(context, sink_port, *load.get("sink_options", []))
            if own_sink else SmtpSink(context, sink_port))
    memory = MemoryPeak(peer.group)
    sample = memory.sample

    try:
        base = sink.received() if own_sink else 0
        commits = peer.commits()
        sample()
        cpu = peer.group.cpu() if peer.group else (0.0, 0.0)
        start = wall()
        source = Program(source_arguments(context, load, peer.port), context.directory, "source")
        deadline = start + load["seconds"]
        # smtp-sink's counter is read often, for its time is not known otherwise
        poll = 0.05 if own_sink else 0.002
        wanted = base + load["messages"]
        received, last = await_delivery(sink, source, wanted, deadline, sample, poll)
        source.wait(max(0.1, deadline - wall()))
        if peer.group is not None:
            used = [after - before for after, before in zip(peer.group.cpu(), cpu)]
        else:
            used = [0.0, 0.0]
        commits_after = peer.commits()
    finally:
        summary = sink.finish()
    row = figures(load, source, summary, start, last if not own_sink else None, used)
    row["anonymous_bytes"] = memory.peak or None
    row["sink_cpu_per_1000"] = sink.program.cpu() / load["messages"] * 1000
    if commits is not None and commits_after is not None:
        row["syncs_per_message"] = (commits_after - commits) / load["messages"]
    row["problem"] = (problem_of(load, source, received - base, summary, own_sink)
                      or protection_missing(load, summary))
    source.stop()
    return row


def figures(load, source, summary, start, last, used):
    messages = load["messages"]
    per_1000 = 1000.0 / messages
    ended = source.ended or wall()
    row = {
        "messages": messages,
        "injected_per_s": messages / (ended - source.started),
        "cpu_user_per_1000": used[0] * per_1000,
        "cpu_sys_per_1000": used[1] * per_1000,
        "cpu_per_1000": sum(used) * per_1000,
        "source_cpu_per_1000": (source.cpu() or 0) * per_1000,
    }
    if last is None:
        last = summary.get("last_ns", 0) / 1e9
        latency = summary.get("latency_ms", {})
        if latency.get("count"):
            row["latency_p50_ms"] = latency["p50"]
            row["latency_p99_ms"] = latency["p99"]
    row["delivered_per_s"] = messages / (last - start) if last > start else 0
    if load["source"] == "ringpost-source":
        try:
            told = json.loads(source.text())
            row["injected_per_s"] = told["rate"]
            row["reply_p50_ms"] = told["latency_ms"]["p50"]
            row["reply_p99_ms"] = told["latency_ms"]["p99"]
        except ValueError:
            pass
    return row


def problem_of(load, source, received, summary, own_sink):
    """Why the row cannot be trusted, or None."""
    if source.process.returncode is None:
        return "the source did not end in time"
    if source.process.returncode != 0:
        return f"the source failed: {read_text(source.errors)[:200]}"
    if received != load["messages"]:
        return f"the sink has {received} transactions for {load['messages']} messages"
    recipients = load["messages"] * load.get("recipients", 1)
    if own_sink and summary["recipients"] < recipients:
        return f"the sink has {summary['recipients']} recipients of {recipients}"
    return None


def protection_missing(load, summary):
    """What the workload is about and yet did not happen, or None."""
    needs = load.get("needs", "")
    if needs == "tls" and summary["tls"]["handshakes"] == 0:
        return "the relay delivered in clear"
    if needs.startswith("dkim-") and summary["dkim_signed"] != load["messages"]:
        return f"{summary['dkim_signed']} of {load['messages']} messages were signed"
    return None


def median_row(rows):
    """The median of each figure over the good runs, and how far the CPU figure spread."""
    good = [row for row in rows if row["problem"] is None] or rows
    result = {}
    for key in sorted({key for row in good for key in row}):
        values = [row[key] for row in good if isinstance(row.get(key), (int, float))]
        if values:
            result[key] = statistics.median(values)
    cpus = [row["cpu_per_1000"] for row in good]
    if len(cpus) > 1 and result["cpu_per_1000"] > 0:
        result["cpu_spread"] = (max(cpus) - min(cpus)) / result["cpu_per_1000"]
    result["runs"] = len(good)
    problems = [row["problem"] for row in rows if row["problem"]]
    if problems:
        result["problem"] = problems[0]
    return result
