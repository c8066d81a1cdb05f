# SPDX-License-Identifier: Apache-2.0
"""report - the machine's facts, the table for people, the JSON lines for programs."""

import json
import os
import platform
import subprocess
import time

from processes import read_text

COLUMNS = (
    ("workload", "workload", "s"),
    ("relay", "relay", "s"),
    ("msg/s in", "injected_per_s", ".0f"),
    ("msg/s e2e", "delivered_per_s", ".0f"),
    ("of none", "of_direct", ".0%"),
    ("CPU s/1000", "cpu_per_1000", ".4f"),
    ("user", "cpu_user_per_1000", ".4f"),
    ("sys", "cpu_sys_per_1000", ".4f"),
    ("spread", "cpu_spread", ".0%"),
    ("of plain", "cpu_of_plain", ".2f"),
    ("calls/msg", "calls_per_message", ".1f"),
    ("syncs/msg", "syncs_per_message", ".3f"),
    ("anon MB", "anonymous_mb", ".1f"),
    ("p50 ms", "latency_p50_ms", ".2f"),
    ("p99 ms", "latency_p99_ms", ".2f"),
    ("source CPU", "source_cpu_per_1000", ".4f"),
    ("sink CPU", "sink_cpu_per_1000", ".4f"),
)


def machine_facts(directory):
    model = "unknown"
    for line in read_text("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = int(read_text("/proc/meminfo").split()[1]) * 1024
    found = subprocess.run(["findmnt", "-n", "-o", "FSTYPE,OPTIONS", "-T", directory],
                           stdout=subprocess.PIPE, check=False).stdout.decode().split()
    return {
        "time": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "filesystem": found[0] if found else "unknown",
        "mount_options": found[1] if len(found) > 1 else "",
        "load_before": os.getloadavg()[0],
    }


def print_machine(facts):
    print(f"{facts['cores']} cores of {facts['cpu']}, {facts['memory_gb']} GB, "
          f"Linux {facts['kernel']}, spool on {facts['filesystem']}, {facts['time']}, "
          f"load before: {facts['load_before']:.2f}")
    if facts["filesystem"] == "tmpfs":
        print("WARNING: the spool is on tmpfs: syncs cost nothing there, use --directory")


def cell(row, key, style):
    if key == "anonymous_mb":
        value = row.get("anonymous_bytes")
        value = value / 1e6 if value else None
    else:
        value = row.get(key)
    if value is None or (key.startswith("cpu") and row["relay"] == "none"):
        return "-"
    return format(value, style)


def print_table(rows):
    lines = [[title for title, _, _ in COLUMNS]]
    for row in rows:
        lines.append([cell(row, key, style) for _, key, style in COLUMNS])
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    for line in lines:
        cells = [text.ljust(width) if i < 2 else text.rjust(width)
                 for i, (text, width) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip())
    for row in rows:
        if row.get("problem"):
            print(f"NOT GOOD: {row['workload']} {row['relay']}: {row['problem']}")


def print_figures(title, figures):
    print(f"\n{title}")
    width = max(len(key) for key in figures)
    for key, value in figures.items():
        text = format(value, ",.4f").rstrip("0").rstrip(".") if isinstance(value, float) else value
        print(f"  {key.ljust(width)}  {text}")


class JsonLines:
    """One object a line, written as soon as it is known."""

    def __init__(self, path):
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        self.path = path
        self.file = open(path, "w", encoding="utf-8")

    def add(self, **record):
        self.file.write(json.dumps(record) + "\n")
        self.file.flush()
