# SPDX-License-Identifier: Apache-2.0
"""scram - a client of SCRAM-SHA-256 (RFC 5802, RFC 7677) that checks the server, too."""
import base64
import hashlib
import hmac

from .raw_client import b64


class Scram:
    """first() and final() are what the client says; check() reads the server's last word.

    change: a function on each message before it is sent, to see what the server makes of it.
    """

    def __init__(self, user, password, nonce="rOprNGfwEbeRWgbNEkqO", gs2="n,,",
                 change=lambda text: text):
        self.password, self.gs2, self.nonce, self.change = password, gs2, nonce, change
        name = user.replace("=", "=3D").replace(",", "=2C")
        self.bare = f"n={name},r={nonce}"
        self.signature = self.text = None

    def first(self):
        return self.change(self.gs2 + self.bare)

    def final(self, server_first):
        parts = dict(part.split("=", 1) for part in server_first.split(","))
        if self.first() == self.gs2 + self.bare:  # else the server is right to repeat another one
            assert parts["r"].startswith(self.nonce) and len(parts["r"]) > len(self.nonce)
        assert int(parts["i"]) >= 4096
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(),
                                     base64.b64decode(parts["s"], validate=True), int(parts["i"]))
        client_key = _hmac(salted, b"Client Key")
        without = f"c={b64(self.gs2)},r={parts['r']}"
        text = f"{self.bare},{server_first},{without}".encode()
        proof = bytes(a ^ b for a, b in zip(
            client_key, _hmac(hashlib.sha256(client_key).digest(), text)))
        self.signature = _hmac(_hmac(salted, b"Server Key"), text)
        return self.change(f"{without},p={b64(proof)}")

    def check(self, server_final):
        assert server_final == f"v={b64(self.signature)}", server_final


def log_in(client, user, password, initial=True, **options):
    """The whole exchange on a RawClient; returns the last reply. The server must prove itself."""
    scram = Scram(user, password, **options)
    if initial:
        reply = client.command("AUTH SCRAM-SHA-256 " + (b64(scram.first()) or "="))
    else:
        assert client.command("AUTH SCRAM-SHA-256").lines == ["334 "]
        reply = client.command(b64(scram.first()))
    if reply.code != 334:
        return reply
    reply = client.command(b64(scram.final(_decoded(reply))))
    if reply.code != 334:
        return reply
    scram.check(_decoded(reply))
    return client.command("")


def _decoded(reply):
    return base64.b64decode(reply.texts[0], validate=True).decode()


def _hmac(key, text):
    return hmac.new(key, text, hashlib.sha256).digest()
