# SPDX-License-Identifier: Apache-2.0
"""crypto - hashes, signatures, handshakes; started by scripts/bench crypto, see bench/README.md"""

import argparse
import json
import os
import sys
import time

import bars
import gbench
import tables
from primitives import PROGRAM, Results, rows_of

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench crypto", allow_abbrev=False,
        description="Measures hashing, signing and TLS handshakes beside bare OpenSSL; see "
                    "bench/README.md.")
    parser.add_argument("--quick", action="store_true", help="fewer, shorter runs: a smoke test")
    parser.add_argument("--repetitions", type=int, help="runs of each, the best one counts (5)")
    parser.add_argument("--core", type=int, help="pin to this one (the last that is allowed)")
    parser.add_argument("--json", metavar="FILE",
                        help="where the results go (build/bench/crypto.json)")
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"),
                        help="build folder with the program (build/release)")
    arguments = parser.parse_args()
    arguments.json = arguments.json or os.path.join(ROOT, "build", "bench", "crypto.json")
    arguments.repetitions = arguments.repetitions or (2 if arguments.quick else 5)
    arguments.seconds = 0.01 if arguments.quick else 0.1
    return arguments


def measure(arguments):
    machine = gbench.machine_facts(arguments)
    began = time.monotonic()
    raw = gbench.run(os.path.join(arguments.build, *PROGRAM), "", arguments.repetitions,
                     arguments.seconds, machine["core"])
    machine["level"] = raw["context"].get("simd_level", "unknown")
    machine["seconds"] = round(time.monotonic() - began)
    return {"kind": "crypto", "machine": machine, "rows": rows_of(raw)}


def print_hashes(results):
    sizes = results.sizes()
    lines = [["GB/s", "who", "what", *map(tables.size_text, sizes)]]
    for operation, who, what in results.hashes():
        lines.append([operation, who, what, *(
            tables.rate_text(results.rate(operation, who, what, size)) for size in sizes)])
    tables.print_columns(lines, 3)
    print()


def print_times(results):
    lines = [["µs of CPU", "who", "what", "one", "a second and core"]]
    for operation, who, what in results.times():
        seconds = results.seconds(operation, who, what)
        lines.append([operation, who, what, f"{seconds * 1e6:.1f}", f"{1 / seconds:.0f}"])
    tables.print_columns(lines, 3)
    print()


def main():
    arguments = parse_arguments()
    try:
        result = measure(arguments)
        os.makedirs(os.path.dirname(os.path.abspath(arguments.json)), exist_ok=True)
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
    except (RuntimeError, OSError) as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        return 1
    tables.print_machine(result["machine"])
    print()
    results = Results(result["rows"])
    print_hashes(results)
    print_times(results)
    bars.print_bars(results)
    print(f"results: {os.path.relpath(arguments.json)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
