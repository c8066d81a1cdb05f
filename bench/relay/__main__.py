# SPDX-License-Identifier: Apache-2.0
"""relay - ringpost and Postfix side by side; started by scripts/bench relay, see bench/README.md"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time

import bars
import handshakes
import primitives
import report
import scenarios
from keys import DOMAIN, Keys
from load import median_row, run_load
from peers import Direct, Postfix, Ringpost, trace_calls
from processes import Program, free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# seconds bounds a run. "fast" is the count for relays that are fast enough to need more for a
# figure; Postfix keeps the count of W1 to W4. "beside" is the same load without what "needs" adds:
# both take turns, so that their ratio means something. Those with TLS are long enough that the
# handshakes at their beginning, 50 on each side, are under 2 % of them.
WORKLOADS = {
    "W1": {"options": "-s 20 -l 4096", "messages": 5000},
    "W2": {"options": "-s 50 -l 4096 -d", "messages": 10000},
    "W3": {"options": "-s 20 -l 100000 -d", "messages": 2500},
    "W4": {"options": "-s 20 -l 1024 -d -r 10", "messages": 4000, "recipients": 10},
    "pipe": {"options": "--mode pipelining -s 50 -l 4096", "messages": 10000, "fast": 200000},
    "chunk": {"options": "--mode chunking -s 50 -l 4096", "messages": 10000, "fast": 200000},
    "sync1": {"options": "--mode lockstep -s 1 -l 4096", "messages": 1000, "fast": 4000},
    "sync50": {"options": "--mode lockstep -s 50 -l 4096", "messages": 5000, "fast": 40000},
    "latency": {"options": "--mode lockstep -s 50 -l 4096", "half_of": "W2"},
    "tls": {"options": "--mode lockstep -s 50 -l 4096 --tls", "messages": 5000, "fast": 100000,
            "beside": "sync50", "needs": "tls"},
    "tls-pipe": {"options": "--mode pipelining -s 50 -l 4096 --tls", "messages": 10000,
                 "fast": 200000, "beside": "pipe", "needs": "tls"},
    "dkim-rsa": {"options": f"--mode pipelining -s 50 -l 4096 -f a@{DOMAIN}", "messages": 5000,
                 "fast": 20000, "beside": "pipe", "needs": "dkim-rsa"},
    "dkim-ed25519": {"options": f"--mode pipelining -s 50 -l 4096 -f a@{DOMAIN}", "messages": 5000,
                     "fast": 50000, "beside": "pipe", "needs": "dkim-ed25519"},
}
SCENARIOS = {"handshakes": handshakes.handshakes, "far": scenarios.far, "dead": scenarios.dead}
PEERS = ("none", "ringpost", "postfix", "postfix-stock")


class Context:
    """What every part needs: the options, where things are, what was found so far."""

    def __init__(self, arguments, directory):
        self.arguments = arguments
        self.directory = directory
        self.build = os.path.abspath(arguments.build)
        self.binary = os.path.join(self.build, "src", "ringpost", "ringpost")
        self.keys = Keys(directory)

    def tool(self, name):
        return os.path.join(self.build, "bench", f"ringpost-{name}")

    def size(self, full, quick):
        return quick if self.arguments.quick else full


def workload_load(context, name, peer, rates):
    """The load of one workload for one relay, as run_load wants it."""
    plan = WORKLOADS[name]
    classic = name.startswith("W") and not context.arguments.own_tools
    load = {"source": "smtp-source" if classic else "ringpost-source",
            "sink": "smtp-sink" if classic else "ringpost-sink",
            "recipients": plan.get("recipients", 1), "seconds": 180,
            "needs": plan.get("needs", "")}
    if load["needs"] == "tls":
        load["sink_options"] = ["--tls"]
    fast = not peer.name.startswith("postfix")
    if "half_of" in plan:
        rate = rates[peer.name] / 2
        load["messages"] = max(100, int(rate * context.size(8, 3)))
        load["options"] = f"{plan['options']} --rate {rate:.0f}"
    else:
        messages = plan["fast"] if fast and "fast" in plan else plan["messages"]
        load["messages"] = max(100, messages // context.size(1, 5))
        load["options"] = plan["options"]
    if name.startswith("W") and context.arguments.own_tools:
        once = "-d" not in load["options"].split()
        load["options"] = " ".join(word for word in load["options"].split() if word != "-d")
        load["options"] += " --per-connection 1" if once else ""
    return load


def half_load_rate(context, peer, sink_port, rows):
    """W2's rate end to end: as measured in this run, or by one run now."""
    for row in rows:
        if row["workload"] == "W2" and row["relay"] == peer.name:
            return row["delivered_per_s"]
    return run_load(context, peer, sink_port,
                    workload_load(context, "W2", peer, {}))["delivered_per_s"]


class Relays:
    """The peers, each in the kinds that workloads need; started when first asked for."""

    WARM_UP = {"source": "ringpost-source", "sink": "ringpost-sink", "messages": 500,
               "seconds": 60, "options": "--mode lockstep -s 50 -l 4096"}

    def __init__(self, context):
        self.context = context
        self.sink_port = free_port()
        self.running = {}

    def make(self, name, needs):
        label = name + ("-" + needs if needs else "")
        if name == "none":
            return Direct(self.sink_port)
        if name == "ringpost":
            return Ringpost(self.context, label, self.sink_port, needs)
        return Postfix(self.context, label, self.sink_port, name == "postfix-stock", needs)

    def get(self, name, needs=""):
        relay = self.running.get((name, needs))
        if relay is None:
            relay = self.make(name, needs)
            self.running[name, needs] = relay
            relay.start()
            run_load(self.context, relay, self.sink_port, self.WARM_UP)
        return relay

    def stop(self, *kept):
        """All but those that need one of these."""
        for (name, needs), relay in list(self.running.items()):
            if needs not in kept:
                relay.stop()
                del self.running[name, needs]


def peers_of(context, workload):
    plan = WORKLOADS[workload]
    peers = [name for name in PEERS if name in context.arguments.peers]
    if "half_of" in plan or plan.get("needs", "").startswith("dkim-"):
        peers = [name for name in peers if name != "none"]  # a source's rate; nobody who signs
    return peers


def measure_group(context, names, relays, lines, rows):
    """Workloads that take turns, and the relays within each: the machine's moods hit all alike."""
    rates = {}
    for name in names:
        if "half_of" in WORKLOADS[name]:
            rates = {peer: half_load_rate(context, relays.get(peer), relays.sink_port, rows)
                     for peer in peers_of(context, name)}
    runs, bare = {}, []
    for _ in range(context.arguments.runs):
        for name in names:
            needs = WORKLOADS[name].get("needs", "")
            if needs.startswith("dkim-"):
                bare.append(primitives.measure(context.build, bars.PRIMITIVES))
            for peer in peers_of(context, name):
                relay = relays.get(peer, needs)
                time.sleep(0.3)
                row = run_load(context, relay, relays.sink_port,
                               workload_load(context, name, relay, rates))
                runs.setdefault((name, peer), []).append(row)
                if row["problem"]:  # what it left in the queue must not come up in the next run
                    relay.stop()
                    relay.empty()
                    relay.start()
    for (name, peer), found in runs.items():
        row = {"workload": name, "relay": peer, **median_row(found)}
        add_comparisons(row, rows)
        if bare and WORKLOADS[name].get("needs", "").startswith("dkim-"):
            row.update(bars.bare_costs(bare))
        rows.append(row)
        lines.add(kind="workload", **row, all_runs=found)
        print(f"{name} {peer}: CPU {row['cpu_per_1000']:.4f} s/1000, "
              f"{row['delivered_per_s']:.0f} msg/s end to end", file=sys.stderr, flush=True)
    relays.stop("")


def add_comparisons(row, rows):
    """With the row of no relay at all, and with the same load without TLS or signature."""
    beside = WORKLOADS[row["workload"]].get("beside")
    for other in rows:
        if (other["workload"], other["relay"]) == (row["workload"], "none"):
            row["of_direct"] = row["delivered_per_s"] / other["delivered_per_s"]
        if (other["workload"], other["relay"]) == (beside, row["relay"]) != (beside, "none"):
            row["cpu_plain_per_1000"] = other["cpu_per_1000"]
            row["cpu_of_plain"] = row["cpu_per_1000"] / other["cpu_per_1000"]


def groups_of(names):
    """Each with the plain load that belongs to it, whether that was asked for or not."""
    groups = {}
    for name in names:
        base = WORKLOADS[name].get("beside", name)
        group = groups.setdefault(base, [base])
        if name != base:
            group.append(name)
    return list(groups.values())


def measure_calls(context, peers, sink_port, rows):
    """System calls, and Postfix's syncs, from a short W2 under strace, which slows all it sees."""
    for peer in peers:
        if peer.name == "none":
            continue
        load = workload_load(context, "W2", peer, {})
        load["messages"] = 1000
        calls = trace_calls(peer, context.directory,
                            lambda: run_load(context, peer, sink_port, load))
        syncs = sum(calls.get(name, 0) for name in ("fsync", "fdatasync", "sync_file_range"))
        for row in rows:
            if row["relay"] == peer.name and row["workload"] == "W2":
                row["calls_per_message"] = sum(calls.values()) / load["messages"]
                if peer.name.startswith("postfix"):
                    row["syncs_per_message"] = syncs / load["messages"]


def measure_table(context, names, lines):
    relays = Relays(context)
    rows = []
    try:
        for group in groups_of(names):
            measure_group(context, group, relays, lines, rows)
        if context.arguments.syscalls:
            plain = [relays.get(name) for name in PEERS if name in context.arguments.peers]
            measure_calls(context, plain, relays.sink_port, rows)
            for row in rows:
                if "calls_per_message" in row:
                    lines.add(kind="calls", **row)
    finally:
        relays.stop()
    return rows


def parse_arguments():
    def names_of(known):
        def parse(text):
            names = [name for name in text.split(",") if name]
            for name in names:
                if name not in known:
                    raise argparse.ArgumentTypeError(f"{name}: one of {', '.join(known)}")
            return names
        return parse

    everything = [*WORKLOADS, *SCENARIOS]
    parser = argparse.ArgumentParser(
        prog="scripts/bench relay", allow_abbrev=False,
        description="Runs ringpost and Postfix side by side; see bench/README.md.")
    parser.add_argument("--quick", action="store_true", help="small counts, one run: a smoke test")
    parser.add_argument("--runs", type=int, help="runs of each workload, median (3)")
    parser.add_argument("--only", type=names_of(everything), default=everything,
                        metavar="NAME,...", help=f"of {', '.join(everything)}")
    parser.add_argument("--peers", type=names_of(PEERS), default=list(PEERS), metavar="NAME,...",
                        help=f"of {', '.join(PEERS)}; none is source to sink without a relay")
    parser.add_argument("--json", metavar="FILE",
                        help="where the JSON lines go (bench-relay.jsonl in the build folder)")
    parser.add_argument("--syscalls", action="store_true",
                        help="also count system calls a message, with strace")
    parser.add_argument("--own-tools", action="store_true",
                        help="W1 to W4 with ringpost-source and ringpost-sink")
    parser.add_argument("--workers", type=int, default=1, help="of ringpost (1)")
    parser.add_argument("--dead-messages", type=int, help="of the scenario dead (1000000)")
    parser.add_argument("--directory", default="/var/tmp",
                        help="a folder on a real disk for spools (/var/tmp)")
    parser.add_argument("--keep", action="store_true", help="keep spools, logs and output files")
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"),
                        help="build folder with the programs (build/release)")
    arguments = parser.parse_args()
    arguments.runs = arguments.runs or (1 if arguments.quick else 3)
    arguments.json = arguments.json or os.path.join(arguments.build, "bench-relay.jsonl")
    return arguments


def interrupted(number, _):
    raise SystemExit(f"ended by signal {number}")


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGINT, interrupted)
    if os.geteuid() != 0:
        arguments.peers = [name for name in arguments.peers if not name.startswith("postfix")]
        print("not root: Postfix cannot be measured", file=sys.stderr)
    directory = tempfile.mkdtemp(prefix="ringpost-bench-", dir=arguments.directory)
    os.chmod(directory, 0o755)  # Postfix's own user has to reach its spool
    context = Context(arguments, directory)
    failed = False
    try:
        if "ringpost" in arguments.peers and not os.access(context.binary, os.X_OK):
            raise RuntimeError(f"{os.path.relpath(context.binary)} is not built; see --peers")
        facts = report.machine_facts(directory)
        lines = report.JsonLines(arguments.json)
        lines.add(kind="machine", **facts)
        report.print_machine(facts)
        names = [name for name in arguments.only if name in WORKLOADS]
        if names:
            rows = measure_table(context, names, lines)
            report.print_table(rows)
            bars.print_bars(rows)
            failed |= any(row.get("problem") for row in rows)
        for name in arguments.only:
            if name in SCENARIOS and "ringpost" in arguments.peers:
                figures = SCENARIOS[name](context)
                lines.add(kind="scenario", scenario=name, **figures)
                report.print_figures(name, figures)
                failed |= any(key.startswith("problem") for key in figures)
        print(f"JSON lines: {os.path.relpath(arguments.json)}")
    except RuntimeError as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        failed = True
    finally:
        Program.stop_all()
        if arguments.keep:
            print(f"kept: {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
