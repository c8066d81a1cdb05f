# SPDX-License-Identifier: Apache-2.0
"""raw_client - an SMTP client that sends exactly the octets it is told, in the pieces it is told."""
import base64
import re
import socket
import time

from .wait import PATIENCE

_ENHANCED = re.compile(r"^([245])\.(\d{1,3})\.(\d{1,3})(?: |$)")


class Reply:
    def __init__(self, lines):
        self.lines = lines  # text behind "250-" or "250 "
        self.code = int(lines[0][:3])
        self.texts = [line[4:] for line in lines]

    @property
    def enhanced(self):
        found = _ENHANCED.match(self.texts[0])
        return found.group(0).strip() if found else ""

    @property
    def text(self):
        return "\n".join(self.texts)

    def __repr__(self):
        return " / ".join(self.lines)

    def __eq__(self, other):
        return isinstance(other, Reply) and self.lines == other.lines


class RawClient:
    """tls: an ssl.SSLContext for a server that speaks TLS from the first octet."""

    def __init__(self, port, host="127.0.0.1", source=None, timeout=15.0, greet=True, tls=None,
                 **tls_options):
        bind = (source, 0) if source else None
        self.timeout = timeout * PATIENCE  # of a whole line of a reply
        self.socket = socket.create_connection((host, port), self.timeout, bind)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        if tls:
            self.secure(tls, **tls_options)
        self.greeting = self.reply() if greet else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, octets):
        self.socket.sendall(_octets(octets))

    def send_split(self, octets, size=1, pause=0.0):
        """Each piece goes out in a segment of its own."""
        octets = _octets(octets)
        for start in range(0, len(octets), size):
            self.socket.sendall(octets[start:start + size])
            if pause:
                time.sleep(pause)

    def line(self):
        deadline = time.monotonic() + self.timeout
        while b"\n" not in self.buffer:
            if time.monotonic() > deadline:
                raise TimeoutError(f"half a line: {self.buffer[-80:]!r}")
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError(f"closed by the server; unread: {self.buffer!r}")
            self.buffer += piece
        line, _, self.buffer = self.buffer.partition(b"\n")
        assert line.endswith(b"\r"), f"reply line without CRLF: {line!r}"
        return line[:-1].decode("utf-8", "surrogateescape")

    def reply(self):
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        assert all(re.match(r"[2-5]\d\d[ -]", line + " ") for line in lines), lines
        assert len({line[:3] for line in lines}) == 1, f"codes differ: {lines}"
        return Reply(lines)

    def replies(self, count):
        return [self.reply() for _ in range(count)]

    def command(self, text):
        self.send(_octets(text) + b"\r\n")
        return self.reply()

    def ok(self, text, code=250):
        """A command that must get this code."""
        reply = self.command(text)
        assert reply.code == code, f"{text!r} got {reply}"
        return reply

    def ehlo(self, name="client.test"):
        return self.ok(f"EHLO {name}")

    def secure(self, context, name="relay.test", session=None):
        """TLS from here on; ssl.SSLError tells why not. session: one of another connection."""
        assert not self.buffer, f"in clear, before TLS: {self.buffer!r}"
        plain, done = self.socket, False
        try:
            self.socket = context.wrap_socket(plain, server_hostname=name, session=session)
            done = True
        finally:
            if not done:
                plain.close()
        return self

    def starttls(self, context, name="relay.test", session=None):
        self.ok("STARTTLS", 220)
        return self.secure(context, name, session)

    def auth_plain(self, user, password, identity=""):
        """AUTH PLAIN with an initial response; returns the reply."""
        return self.command("AUTH PLAIN " + b64(f"{identity}\0{user}\0{password}"))

    def auth_login(self, user, password):
        """Returns the last reply: the one to the password, or the first that is no challenge."""
        reply = self.command("AUTH LOGIN")
        for answer in (user, password):
            if reply.code != 334:
                break
            reply = self.command(b64(answer))
        return reply

    def envelope(self, sender="a@source.test", recipients=("b@dest.test",), params=""):
        self.ok(f"MAIL FROM:<{sender}>{params}")
        for recipient in recipients:
            self.ok(f"RCPT TO:<{recipient}>")

    def data(self, content):
        """DATA with content given as lines that end in CRLF; dots are stuffed here."""
        self.ok("DATA", 354)
        self.send(stuff(_octets(content)) + b".\r\n")
        return self.reply()

    def bdat(self, content, last=True):
        content = _octets(content)
        self.send(b"BDAT %d%s\r\n" % (len(content), b" LAST" if last else b"") + content)
        return self.reply()

    def mail(self, content, sender="a@source.test", recipients=("b@dest.test",), params=""):
        """One whole transaction that must be accepted; returns the reply to the content."""
        self.envelope(sender, recipients, params)
        reply = self.data(content)
        assert reply.code == 250, reply
        return reply

    def rest(self):
        """Everything up to the end of the connection, which must come."""
        pieces, self.buffer = [self.buffer], b""
        try:
            while True:
                piece = self.socket.recv(65536)
                if not piece:
                    break
                pieces.append(piece)
        except ConnectionResetError:
            pass
        return b"".join(pieces)

    def is_closed(self):
        return self.rest() == b""


def stuff(content):
    """Dot transparency of RFC 5321 section 4.5.2; the final CRLF is added when missing."""
    if content and not content.endswith(b"\r\n"):
        content += b"\r\n"
    if content.startswith(b"."):
        content = b"." + content
    return content.replace(b"\r\n.", b"\r\n..")


def b64(text):
    return base64.b64encode(_octets(text)).decode("ascii")


def _octets(text):
    return text if isinstance(text, bytes) else text.encode("utf-8")
