# SPDX-License-Identifier: Apache-2.0
"""actions - what a scripted next hop can do instead of answering well (see next_hop.py).

An action gets the session and the good reply, and returns the code that the client was given, 0 for
none. One with .keeps = True takes the message although the client never learns of it.
"""
import time

from .next_hop import Gone, wire


def reply(text):
    """This reply instead of the good one."""
    def act(session, _otherwise):
        session.reply(text)
        return int(text[:3])
    return act


def stall():
    """No reply, but the connection stays open until the client goes."""
    def act(session, _otherwise):
        session.note("stalls")
        while True:
            session.receive()
    return act


def disconnect(reset=False):
    def act(session, _otherwise):
        session.note("disconnects")
        session.drop(reset)
        raise Gone
    return act


def disconnect_after(text):
    """This reply, then the end of the connection without being asked."""
    def act(session, _otherwise):
        session.reply(text)
        session.drop()
        raise Gone
    return act


def keep_but_disconnect():
    """Takes the message; its 250 gets lost."""
    act = disconnect()
    act.keeps = True
    return act


def slowly(pause=0.02):
    """The good reply, an octet at a time."""
    def act(session, otherwise):
        session.note("S (slowly): " + otherwise.replace("\n", " / "))
        for octet in wire(otherwise):
            session.send(bytes([octet]))
            time.sleep(pause)
        session.replies += 1
        return int(otherwise[:3])
    return act


def drip(text=b"250-", every=0.2):
    """An octet now and then, and never an end."""
    def act(session, _otherwise):
        session.note("drips")
        session.send(text)
        while True:
            session.send(b"x")
            time.sleep(every)
    return act


def raw(octets):
    """These octets, whatever they are; counts as no reply."""
    def act(session, _otherwise):
        session.note(f"S: raw {octets[:80]!r}")
        session.send(octets)
        return 0
    return act


def raw_then_good(octets):
    """These octets in front of the good reply, in one piece."""
    def act(session, otherwise):
        session.note(f"S: raw {octets[:80]!r} + {otherwise}")
        session.send(octets + wire(otherwise))
        return int(otherwise[:3])
    return act


def good_and(octets):
    """The good reply with these octets behind it, in one piece."""
    def act(session, otherwise):
        session.note(f"S: {otherwise} + raw {octets[:80]!r}")
        session.send(wire(otherwise) + octets)
        return int(otherwise[:3])
    return act


def late(seconds):
    def act(session, otherwise):
        time.sleep(seconds)
        session.reply(otherwise)
        return int(otherwise[:3])
    return act


def peek(seconds=0.5, enough=b"\r\n"):
    """Before the good reply, waits for what the client sends without it; kept in session.ahead."""
    def act(session, otherwise):
        deadline = time.monotonic() + seconds
        while enough not in session.buffer and time.monotonic() < deadline:
            if session.readable(max(0.0, deadline - time.monotonic())):
                session.receive()
        session.ahead.append(session.buffer)
        session.reply(otherwise)
        return int(otherwise[:3])
    return act


def until_set(event, seconds=30):
    """The good reply once the test sets the threading.Event."""
    def act(session, otherwise):
        event.wait(seconds)
        session.reply(otherwise)
        return int(otherwise[:3])
    return act
