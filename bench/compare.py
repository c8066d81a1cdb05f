# SPDX-License-Identifier: Apache-2.0
"""compare - the ratios of two result files of one kind: scripts/bench compare A B"""

import argparse
import json
import math
import sys


class Results:
    """Figures by key; better: which way is up."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.figures = {}  # (name, figure) -> number
        self.machine = {}
        try:
            whole = json.loads(text)
            records = [whole] if "rows" not in whole else None
        except ValueError:
            records = [json.loads(line) for line in text.splitlines() if line.strip()]
        if records is None:
            (self.of_crypto if whole.get("kind") == "crypto" else self.of_codec)(whole)
        else:
            self.of_relay(records)
        if not self.figures:
            raise ValueError(f"{path} holds no results")

    def of_codec(self, whole):
        self.machine = whole["machine"]
        for row in whole["rows"]:
            name = f"{row['operation']}/{row['who']}/{row['input']}/{row['size']}"
            self.figures[name, "gb_per_s"] = row["gb_per_s"]

    def of_crypto(self, whole):
        self.machine = whole["machine"]
        for row in whole["rows"]:
            parts = [row["operation"], row["who"], row["what"], *filter(None, [row["size"]])]
            figure = "gb_per_s" if "gb_per_s" in row else "seconds"
            self.figures["/".join(map(str, parts)), figure] = row[figure]

    def of_relay(self, records):
        for record in records:
            kind = record.get("kind")
            if kind == "machine":
                self.machine = record
            elif kind in ("workload", "scenario"):
                name = record.get("scenario") or f"{record['workload']}/{record['relay']}"
                for figure, value in record.items():
                    if isinstance(value, (int, float)) and not isinstance(value, bool):
                        self.figures[name, figure] = value


def machine_line(letter, path, machine):
    facts = [str(machine[key]) for key in ("cpu", "level", "kernel", "time") if key in machine]
    return f"{letter} = {path}: {', '.join(facts)}"


def figure_text(value):
    return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.0f}"


def mean_lines(ratios):
    """Rates: one line an operation and who, the geometric mean over inputs and sizes."""
    groups = {}
    for (name, figure), ratio in ratios.items():
        if figure == "gb_per_s":
            groups.setdefault("/".join(name.split("/")[:2]), []).append(ratio)
    return [(f"{group} (mean of {len(values)})",
             math.exp(sum(map(math.log, values)) / len(values)))
            for group, values in groups.items() if len(values) > 1]


def compare(old, new, least):
    ratios, lines = {}, []
    for key, before in old.figures.items():
        after = new.figures.get(key)
        if after is None or before <= 0 or after <= 0:
            continue
        ratios[key] = after / before
        if abs(ratios[key] - 1) >= least:
            figure = "" if key[1] == "gb_per_s" else " " + key[1]
            lines.append([key[0] + figure, figure_text(before), figure_text(after),
                          f"{ratios[key]:.2f}"])
    for group, mean in mean_lines(ratios):
        lines.append([group, "", "", f"{mean:.2f}"])
    return ratios, lines


def main():
    parser = argparse.ArgumentParser(
        prog="scripts/bench compare", allow_abbrev=False,
        description="Prints B / A for every figure that both result files have. GB/s, messages a "
                    "second: more is better; CPU, latency, bytes: less is better.")
    parser.add_argument("a", metavar="A", help="the older file (codec.json, crypto.json, bench-relay.jsonl)")
    parser.add_argument("b", metavar="B", help="the newer file")
    parser.add_argument("--least", type=float, default=0, metavar="PART",
                        help="leave out what differs by less, e.g. 0.05")
    arguments = parser.parse_args()
    try:
        old, new = Results(arguments.a), Results(arguments.b)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"scripts/bench compare: {error}", file=sys.stderr)
        return 1
    print(machine_line("A", arguments.a, old.machine))
    print(machine_line("B", arguments.b, new.machine))
    ratios, lines = compare(old, new, arguments.least)
    if not ratios:
        print("scripts/bench compare: the files have no figure in common", file=sys.stderr)
        return 1
    lines.insert(0, ["", "A", "B", "B / A"])
    width = max(len(line[0]) for line in lines)
    for name, before, after, ratio in lines:
        print(f"{name.ljust(width)}  {before:>10}  {after:>10}  {ratio:>6}")
    for letter, this, other in (("A", old, new), ("B", new, old)):
        only = len(set(this.figures) - set(other.figures))
        if only:
            print(f"{only} figures are in {letter} only")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:
        sys.exit(0)
