# SPDX-License-Identifier: Apache-2.0
"""scripts/bench: what it makes of a result. Nothing is measured here."""
import json
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
SIZES = (64, 1 << 10, 16 << 10, 256 << 10, 8 << 20)


def codec_result(level="avx512", factor=1.0):
    rows = [{"operation": "memcpy", "who": "libc", "input": "random", "size": size,
             "gb_per_s": 50.0, "median": 50.0} for size in SIZES]
    for operation, given, rate in (("base64-encode", "plain", 60), ("qp_encode", "html", 1),
                                   ("scan_read", "ascii", 28)):
        for who, part in ((level, factor), ("scalar", 0.1), ("gmime", 0.02)):
            rows += [{"operation": operation, "who": who, "input": given, "size": size,
                      "gb_per_s": rate * part, "median": rate * part} for size in SIZES]
    machine = {"cpu": "<a CPU>", "level": level, "kernel": "6", "time": "today", "core": 0, "cores": 1,
               "load_before": 0, "repetitions": 1, "seconds": 1}
    return {"kind": "codec", "machine": machine, "rows": rows}


def bench(*arguments, fails=False):
    done = subprocess.run([sys.executable, "-B", *map(str, arguments)], cwd=TOP / "bench",
                          env={**os.environ, "PYTHONPATH": str(TOP / "bench")},
                          capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stderr if fails else done.stdout


def write(path, result):
    path.write_text(json.dumps(result), encoding="utf-8")
    return path


@pytest.fixture(name="shown")
def shown_result(tmp_path):
    def show(result):
        path = write(tmp_path / "r.json", result)
        return bench("codec", "--from", path, "--picture", tmp_path / "p.svg").splitlines()
    return show


def cells(lines, *words):
    found = [line.split() for line in lines if line.split()[:len(words)] == list(words)]
    assert found, f"no line {words}"
    return found


def test_table_has_ratios(shown):
    table, _ = cells(shown(codec_result()), "base64-encode", "plain", "16", "KB")[:2]
    # scalar, avx512, of memcpy, best other, ours/other
    assert table[4:] == ["6.00", "60.0", "1.20", "gmime", "1.20", "50.0"]


def test_bars_are_judged(shown):
    lines = shown(codec_result())
    assert not [line for line in lines if "this one has" in line]
    verdicts = {(row[0], row[2]): row[-1] for row in map(str.split, lines)
                if row and row[-1] in ("yes", "scaled", "NO")}
    assert verdicts["base64-encode", "16"] == "yes"    # 1.2 x memcpy
    assert verdicts["base64-encode", "1"] == "scaled"  # 60 / 50 is more than 80 / 95
    assert verdicts["qp_encode", "256"] == "NO"
    assert verdicts["scan_read", "256"] == "scaled"    # 28 / 50 is more than 30 / 57
    assert [line for line in shown(codec_result("avx2")) if "this one has avx2 at best" in line]


def test_picture_is_well_formed(shown, tmp_path):
    shown(codec_result())
    root = xml.etree.ElementTree.parse(tmp_path / "p.svg").getroot()
    text = " ".join(root.itertext())
    assert "AVX-512" in text and "<a CPU>" in text and "base64 encode" in text
    assert "base64 decode" not in text  # not measured


def test_compare_codec(tmp_path):
    old = write(tmp_path / "a.json", codec_result())
    new = write(tmp_path / "b.json", codec_result(factor=1.25))
    lines = bench("compare.py", old, new).splitlines()
    assert cells(lines, "scan_read/avx512/ascii/64")[0][1:] == ["28", "35", "1.25"]
    assert cells(lines, "scan_read/avx512", "(mean")[0][-1] == "1.25"
    assert cells(lines, "memcpy/libc/random/64")[0][-1] == "1.00"
    few = bench("compare.py", old, new, "--least", "0.1").splitlines()
    assert not [line for line in few if line.startswith("memcpy/libc/random")]


def test_compare_relay(tmp_path):
    records = [{"kind": "machine", "cpu": "c"},
               {"kind": "workload", "workload": "W1", "relay": "ringpost", "delivered_per_s": 100.0,
                "problem": None, "all_runs": [{"delivered_per_s": 90.0}]},
               {"kind": "scenario", "scenario": "far", "chunking_per_s": 200.0}]
    paths = []
    for name, factor in (("a", 1), ("b", 1.5)):
        records[1]["delivered_per_s"] = 100.0 * factor
        paths.append(tmp_path / f"{name}.jsonl")
        paths[-1].write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    lines = bench("compare.py", *paths).splitlines()
    assert cells(lines, "W1/ringpost", "delivered_per_s")[0][-1] == "1.50"
    assert cells(lines, "far", "chunking_per_s")[0][-1] == "1.00"


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"kind": "machine"}', '{"rows": 1}'])
def test_compare_says_what_is_no_result(tmp_path, text):
    good, bad = write(tmp_path / "good.json", codec_result()), tmp_path / "bad"
    bad.write_text(text, encoding="utf-8")
    assert "scripts/bench compare:" in bench("compare.py", good, bad, fails=True)
