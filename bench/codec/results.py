# SPDX-License-Identifier: Apache-2.0
"""results - runs the program, and keeps what it found: one row an operation, who, input and size."""

import json
import os
import statistics
import time

import gbench

LEVELS = ("scalar", "neon", "avx2", "avx512")  # of simd.h; every other "who" is somebody else


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
    machine = gbench.machine_facts(arguments)
    names = "|".join(arguments.only or [])  # words: nothing in them means something to a regex
    began = time.monotonic()
    raw = gbench.run(program, f"^(memcpy/|{names})" if names else "", arguments.repetitions,
                     arguments.seconds, machine["core"])
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
