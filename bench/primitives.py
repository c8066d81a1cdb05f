# SPDX-License-Identifier: Apache-2.0
"""primitives - what ringpost-bench-crypto measured: octets or operations in a second of CPU."""

import os
import re
import statistics
from concurrent import futures

import gbench

PROGRAM = ("bench", "crypto", "ringpost-bench-crypto")  # below the build folder


def rows_of(raw, choose=max):
    """Of several runs the fastest counts: what slows one down is never the code."""
    runs = {}
    for record in raw["benchmarks"]:
        if record.get("run_type") != "iteration":
            continue
        manual = record["run_name"].endswith("/manual_time")
        parts = re.sub(r"/(iterations:\d+|manual_time)", "", record["run_name"]).split("/")
        key = record["family_index"], *parts[:3], int(parts[3]) if len(parts) > 3 else None
        if "bytes_per_second" in record:
            value = record["bytes_per_second"] / 1e9
        else:  # times of the program's own clock are CPU already
            value = -record["real_time" if manual else "cpu_time"] / 1e9
        runs.setdefault(key, []).append(value)
    rows = []
    for (_, operation, who, what, size), values in sorted(runs.items(), key=lambda pair: pair[0][0]):
        value = choose(values)
        figure = {"gb_per_s": round(value, 4)} if value > 0 else {"seconds": -value}
        rows.append({"operation": operation, "who": who, "what": what, "size": size, **figure})
    return rows


class Results:
    def __init__(self, rows):
        self.figures = {}
        for row in rows:
            key = row["operation"], row["who"], row["what"], row["size"]
            self.figures[key] = row.get("gb_per_s") or row["seconds"]

    def sizes(self):
        return sorted({size for *_, size in self.figures if size})

    def hashes(self):
        return list(dict.fromkeys(key[:3] for key in self.figures if key[3]))

    def times(self):
        return [key[:3] for key in self.figures if not key[3]]

    def rate(self, operation, who, what, size):
        """GB/s, or None."""
        return self.figures.get((operation, who, what, size))

    def seconds(self, operation, who, what):
        return self.figures.get((operation, who, what, None))


BUSY_MOST = 3  # a load keeps the cores of relay, source and sink busy


def measure(build, names, seconds=0.2):
    """Just those, on the core of a relay's first worker, and as dear as for it at this moment: the
    mean counts, not the fastest, and the other cores that a load keeps busy do the same meanwhile.
    Where two cores are threads of one, or share its clock or cache, an operation alone costs up to
    a third less."""
    program = os.path.join(build, *PROGRAM)
    cores = sorted(os.sched_getaffinity(0))[:BUSY_MOST]
    with futures.ThreadPoolExecutor(len(cores)) as pool:
        runs = [pool.submit(gbench.run, program, names, 3, seconds / 3, core) for core in cores]
        return Results(rows_of([run.result() for run in runs][0], statistics.mean))
