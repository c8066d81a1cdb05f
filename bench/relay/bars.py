# SPDX-License-Identifier: Apache-2.0
"""bars - what TLS and signatures may cost a relay beyond the same load without, and what they do."""

import statistics

import tables

PRIMITIVES = "^(sign/openssl/|sha256/openssl/one/4096$)"
TLS_MOST = 1.6       # times the plain CPU, TLS on both sides
SIGNATURE_MOST = 1.1  # times the bare operation, on top of the plain CPU and the hash of the body
HASHED = 4096


def bare_costs(measured):
    """Of the bare operations as they were at the time, CPU seconds of 1000."""
    def median(seconds_of):
        return statistics.median(seconds_of(results) for results in measured) * 1000
    return {
        "bare_rsa_per_1000": median(lambda one: one.seconds("sign", "openssl", "rsa-2048")),
        "bare_ed25519_per_1000": median(lambda one: one.seconds("sign", "openssl", "ed25519")),
        "bare_hash_per_1000": median(
            lambda one: HASHED / 1e9 / one.rate("sha256", "openssl", "one", HASHED)),
    }


def bar_of(row):
    """(CPU s/1000 that are allowed, how that comes about), or None."""
    plain = row.get("cpu_plain_per_1000")
    if plain is None or row["relay"] == "none":
        return None
    if row["workload"].startswith("tls"):
        return plain * TLS_MOST, f"{TLS_MOST} x plain {plain:.4f}"
    kind = row["workload"].removeprefix("dkim-")
    bare, hashed = row[f"bare_{kind}_per_1000"], row["bare_hash_per_1000"]
    return (plain + SIGNATURE_MOST * bare + hashed,
            f"plain {plain:.4f} + {SIGNATURE_MOST} x {kind} {bare:.4f} + hash {hashed:.4f}")


def print_bars(rows):
    lines = [["workload", "relay", "how the bar comes about", "bar", "measured", "met"]]
    for row in rows:
        bar = bar_of(row)
        if bar is not None:
            lines.append([row["workload"], row["relay"], bar[1], f"{bar[0]:.4f}",
                          f"{row['cpu_per_1000']:.4f}",
                          "yes" if row["cpu_per_1000"] <= bar[0] else "NO"])
    if len(lines) > 1:
        print("\nThe bars, CPU s/1000 (they are Ringpost's; Postfix is held to the same)\n")
        tables.print_columns(lines, 3)
