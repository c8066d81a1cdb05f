# SPDX-License-Identifier: Apache-2.0
"""handshakes - full TLS 1.3 handshakes with a listener, beside what OpenSSL alone takes for one."""

import json
import statistics
import time

import primitives
from load import SETTLE
from peers import Ringpost
from processes import Program, free_port

LEAST = 0.8  # of the handshakes that bare OpenSSL makes in a second of CPU
BARE = {"p256": "p256", "rsa": "rsa-2048"}
PLAIN = ("--mode", "connect", "-s", "50")
FULL = (*PLAIN, "--tls-on-connect", "--no-tls-reuse", "--tls-version", "1.3")


def cpu_of_one(context, relay, port, options, count):
    """CPU seconds of the relay for one connection: handshake, greeting, QUIT."""
    before = sum(relay.group.cpu())
    source = Program([context.tool("source"), *options, "-m", str(count), f"127.0.0.1:{port}"],
                     context.directory, "source-handshakes")
    if not source.wait(120):
        source.stop()
        raise RuntimeError("the handshakes took more than 120 s")
    time.sleep(SETTLE)
    told = json.loads(source.text())
    done = told["tls"]["handshakes"] if "tls" in told else told["connections_opened"]
    if told["accepted"] != count or ("tls" in told and told["tls"]["resumed"] > 0):
        raise RuntimeError(f"not all connections were made, or some were resumed: {told}")
    return (sum(relay.group.cpu()) - before) / done


def handshakes(context):
    """Bare and whole in turns; medians."""
    count = context.size(4000, 500)
    relay = Ringpost(context, "handshakes", free_port(), needs="handshakes")
    seconds = {}

    def note(name, value):
        seconds.setdefault(name, []).append(value)

    try:
        relay.start()
        cpu_of_one(context, relay, relay.port, PLAIN, count)  # warms pools
        for _ in range(context.arguments.runs):
            bare = primitives.measure(context.build, "^handshake/openssl/", 0.6)
            note("plain", cpu_of_one(context, relay, relay.port, PLAIN, count))
            for kind, name in BARE.items():
                note(f"{kind}_bare", bare.seconds("handshake", "openssl", name))
                note(kind, cpu_of_one(context, relay, relay.tls_ports[kind], FULL, count))
    except RuntimeError as error:
        return {"problem": str(error)}
    finally:
        relay.stop()
    median = {name: statistics.median(values) for name, values in seconds.items()}
    result = {"connection_without_tls_us": median["plain"] * 1e6}
    for kind in BARE:
        bare, whole = median[f"{kind}_bare"], median[kind]
        result[f"{kind}_bare_us"] = bare * 1e6
        result[f"{kind}_whole_us"] = whole * 1e6
        result[f"{kind}_per_s_and_core"] = 1 / whole
        result[f"{kind}_of_bare"] = bare / whole
        result[f"{kind}_bar_{LEAST}_met"] = "yes" if bare / whole >= LEAST else "NO"
    return result
