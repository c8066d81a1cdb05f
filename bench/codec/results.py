# SPDX-License-Identifier: Apache-2.0
"""results - runs the program, and keeps what it found: one row an operation, who, input and size."""

import json
import os
import platform
import re
import statistics
import subprocess
import tempfile
import time

LEVELS = ("scalar", "neon", "avx2", "avx512")  # of simd.h; every other "who" is somebody else


def operations(program):
    names = subprocess.run([program, "--benchmark_list_tests"], stdout=subprocess.PIPE,
                           check=True).stdout.decode().split("\n")
    return sorted({name.split("/")[0] for name in names if "/" in name})


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as text:
        found = re.search(r"^model name\s*: (.*)$", text.read(), re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()


def run(program, arguments, core):
    """Google Benchmark's own JSON. Repetitions of all take turns: the machine's moods hit all."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [program, f"--benchmark_out={out.name}", "--benchmark_out_format=json",
                   f"--benchmark_repetitions={arguments.repetitions}",
                   f"--benchmark_min_time={arguments.seconds}",
                   "--benchmark_enable_random_interleaving=true"]
        if arguments.only:
            names = "|".join(re.escape(name) for name in arguments.only)
            command.append(f"--benchmark_filter=^(memcpy/|{names})")
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              check=False, preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        if done.returncode != 0:
            raise RuntimeError(f"{program} ended with {done.returncode}: "
                               f"{done.stderr.decode(errors='replace')[-500:]}")
        return json.load(out)


def rows_of(raw):
    """Of several runs the fastest counts: what slows one down is never the code."""
    runs = {}
    for record in raw["benchmarks"]:
        if record.get("run_type") == "iteration":
            key = record["family_index"], record["run_name"]  # in the order of registration
            runs.setdefault(key, []).append(record["bytes_per_second"] / 1e9)
    rows = []
    for (_, name), rates in sorted(runs.items()):
        operation, who, given, size = name.split("/")[:4]
        who = "scalar" if who == "ringpost" else who  # what has no kernels of its own
        rows.append({"operation": operation, "who": who, "input": given, "size": int(size),
                     "gb_per_s": round(max(rates), 4),
                     "median": round(statistics.median(rates), 4)})
    # By operation and input, as the program has them first.
    order = {}
    for row in rows:
        order.setdefault((row["operation"], row["input"]), len(order))
    return sorted(rows, key=lambda row: (order[row["operation"], row["input"]], row["size"]))


def measure(program, arguments):
    core = arguments.core if arguments.core is not None else max(os.sched_getaffinity(0))
    machine = {
        "time": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "core": core,
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
        "repetitions": arguments.repetitions,
    }
    began = time.monotonic()
    raw = run(program, arguments, core)
    machine["level"] = raw["context"].get("simd_level", "unknown")
    machine["mhz"] = raw["context"].get("mhz_per_cpu")
    machine["seconds"] = round(time.monotonic() - began)
    return {"kind": "codec", "machine": machine, "rows": rows_of(raw)}


def save(path, result):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    head = json.dumps({"kind": result["kind"], "machine": result["machine"]}, indent=1)[:-2]
    rows = ",\n".join(json.dumps(row) for row in result["rows"])  # a line a row: easy to diff
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'{head},\n "rows": [\n{rows}\n]}}\n')


def load(path):
    with open(path, encoding="utf-8") as file:
        result = json.load(file)
    if result.get("kind") != "codec":
        raise RuntimeError(f"{path} is no result of scripts/bench codec")
    return result


class Case:
    """All that was measured of one operation on one input."""

    def __init__(self, result, operation, given):
        self.operation = operation
        self.input = given
        self.rates = {}  # (who, size) -> GB/s
        for row in result["rows"]:
            if (row["operation"], row["input"]) == (operation, given):
                self.rates[row["who"], row["size"]] = row["gb_per_s"]
        self.level = result["machine"]["level"]

    def sizes(self):
        return sorted({size for _, size in self.rates})

    def whos(self):
        return list(dict.fromkeys(who for who, _ in self.rates))

    def rate(self, who, size):
        return self.rates.get((who, size))

    def ours(self, size):
        """The kernel that this CPU gets."""
        return self.rate(self.level, size) or self.rate("scalar", size)

    def best_other(self, size):
        """(name, GB/s) of the fastest that is not ours, or None."""
        others = [(rate, who) for (who, at), rate in self.rates.items()
                  if at == size and who not in LEVELS]
        return max(others)[::-1] if others else None


def cases(result):
    """Every Case but memcpy's, in the program's order."""
    keys = dict.fromkeys((row["operation"], row["input"]) for row in result["rows"])
    return [Case(result, *key) for key in keys if key[0] != "memcpy"]


def copy_rates(result):
    """size -> GB/s of memcpy in the same run."""
    return {row["size"]: row["gb_per_s"] for row in result["rows"] if row["operation"] == "memcpy"}
