# SPDX-License-Identifier: Apache-2.0
"""codec - runs the benchmarks of the codecs; started by scripts/bench codec, see bench/README.md"""

import argparse
import os
import sys

import bars
import gbench
import picture
import report
import results
import tables

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench codec", allow_abbrev=False,
        description="Measures every operation, kernel and size beside memcpy and other libraries; "
                    "see bench/README.md.")
    parser.add_argument("--only", type=lambda text: [name for name in text.split(",") if name],
                        metavar="OP,...", help="operations whose name begins so (--list); memcpy "
                        "is always measured")
    parser.add_argument("--quick", action="store_true", help="fewer, shorter runs: a smoke test")
    parser.add_argument("--list", action="store_true", help="print the operations, measure nothing")
    parser.add_argument("--repetitions", type=int, help="runs of each, the best one counts (5)")
    parser.add_argument("--core", type=int, help="pin to this one (the last that is allowed)")
    parser.add_argument("--json", metavar="FILE", help="where the results go "
                        "(build/bench/codec.json)")
    parser.add_argument("--picture", metavar="FILE", help="where the picture goes (docs/codec.svg; "
                        "not drawn with --only or --quick unless asked for)")
    parser.add_argument("--from", dest="old", metavar="FILE",
                        help="show and draw this result file, measure nothing")
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"),
                        help="build folder with the program (build/release)")
    arguments = parser.parse_args()
    arguments.json = arguments.json or os.path.join(ROOT, "build", "bench", "codec.json")
    arguments.repetitions = arguments.repetitions or (2 if arguments.quick else 5)
    arguments.seconds = 0.002 if arguments.quick else 0.02
    if not (arguments.only or arguments.quick or arguments.old):
        arguments.picture = arguments.picture or os.path.join(ROOT, "docs", "codec.svg")
    return arguments


def main():
    arguments = parse_arguments()
    program = os.path.join(arguments.build, "bench", "codec", "ringpost-bench-codec")
    try:
        if arguments.list:
            print("\n".join(gbench.operations(program)))
            return 0
        if arguments.old:
            result = results.load(arguments.old)
        else:
            result = results.measure(program, arguments)
            results.save(arguments.json, result)
    except (RuntimeError, OSError) as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        return 1
    tables.print_machine(result["machine"])
    report.print_table(result)
    bars.print_bars(result)
    if arguments.picture:
        picture.draw(arguments.picture, result)
        print(f"picture: {os.path.relpath(arguments.picture)}")
    if not arguments.old:
        print(f"results: {os.path.relpath(arguments.json)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
