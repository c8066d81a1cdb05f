# SPDX-License-Identifier: Apache-2.0
"""gbench - runs a program of Google Benchmark; what codec, crypto and relay share of that"""

import json
import os
import platform
import re
import subprocess
import tempfile
import time


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as text:
        found = re.search(r"^model name\s*: (.*)$", text.read(), re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()


def operations(program):
    names = subprocess.run([program, "--benchmark_list_tests"], stdout=subprocess.PIPE,
                           check=True).stdout.decode().split("\n")
    return sorted({name.split("/")[0] for name in names if "/" in name})


def core_of(arguments):
    return arguments.core if arguments.core is not None else max(os.sched_getaffinity(0))


def machine_facts(arguments):
    return {
        "time": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "core": core_of(arguments),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
        "repetitions": arguments.repetitions,
    }


def run(program, names="", repetitions=1, seconds=0.1, core=None):
    """Google Benchmark's own JSON. Repetitions of all take turns: the machine's moods hit all."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [program, f"--benchmark_out={out.name}", "--benchmark_out_format=json",
                   f"--benchmark_repetitions={repetitions}", f"--benchmark_min_time={seconds}",
                   "--benchmark_enable_random_interleaving=true"]
        if names:
            command.append(f"--benchmark_filter={names}")
        pin = (lambda: os.sched_setaffinity(0, {core})) if core is not None else None
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              check=False, preexec_fn=pin)
        if done.returncode != 0:
            raise RuntimeError(f"{program} ended with {done.returncode}: "
                               f"{done.stderr.decode(errors='replace')[-500:]}")
        return json.load(out)
