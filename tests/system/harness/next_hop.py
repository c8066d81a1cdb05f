# SPDX-License-Identifier: Apache-2.0
"""next_hop - a receiver that does what a test tells it, right or wrong, and remembers everything.

    hop = NextHop()
    hop.on("RCPT", reply("450 4.2.0 later"), times=1)          # greylisting
    hop.on("DOT", disconnect(), when=lambda s: s.number == 0)  # the first connection only

Stages: CONNECT EHLO HELO STARTTLS AUTH MAIL RCPT DATA DOT BDAT (each chunk but the last) RSET NOOP
QUIT, or * for any command. The first rule that matches and is not used up acts; without one the
receiver behaves. The actions are generators of steps (see actions.py); each step touches the
session's socket.
"""
import base64
import binascii
import re
import select
import socket
import struct
import threading
import time

from . import net
from .wait import until

EXTENSIONS = ("PIPELINING", "SIZE 104857600", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES",
              "CHUNKING", "DSN")


class Message:
    def __init__(self, session, sender, params):
        self.session = session
        self.sender = sender
        self.params = params       # text behind the path of MAIL
        self.recipients = []       # accepted ones
        self.recipient_params = {}
        self.data = b""            # unstuffed
        self.chunks = 0            # BDAT commands; 0 = came by DATA
        self.accepted = False      # we decided 250, whether or not the reply got out
        self.began = time.time()
        self.time = 0.0

    @property
    def header(self):
        return self.data.partition(b"\r\n\r\n")[0]

    @property
    def body(self):
        return self.data.partition(b"\r\n\r\n")[2]

    def field(self, name):
        """Values of a header field, unfolded."""
        text = self.header.decode("utf-8", "surrogateescape")
        text = re.sub(r"\r\n(?=[ \t])", "", text)
        return re.findall(rf"(?im)^{re.escape(name)}:[ \t]*(.*?)\r?$", text)


class Rule:
    def __init__(self, stage, action, times, skip, when):
        self.stage, self.action, self.when = stage, action, when
        self.left, self.skip = times, skip

    def takes(self, session, stage):
        if self.stage not in (stage, "*") or (self.stage == "*" and stage in ("CONNECT", "DOT")):
            return False
        if self.left == 0 or (self.when and not self.when(session)):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.left is not None:
            self.left -= 1
        return True


class NextHop:
    """tls: an ssl.SSLContext, then STARTTLS is offered. users: name -> password, then AUTH is (over
    TLS, without tls in clear). needs: "TLS" or "AUTH", before any MAIL. implicit: TLS from the first
    octet on.
    """

    def __init__(self, address="127.0.0.1", port=None, extensions=EXTENSIONS, name="hop.test",
                 tls=None, users=None, needs=(), mechanisms="PLAIN LOGIN"):
        self.address, self.name = address, name
        self.tls, self.users, self.needs = tls, users, needs
        self.mechanisms = mechanisms
        self.implicit = False
        self.port = port or net.free_port((address,))
        self.extensions = tuple(extensions)
        self.rules = []
        self.sessions = []
        self.messages = []       # every content received whole, accepted or not
        self.accepted_count = 0
        self.max_recipients = None
        self.one_of_batch = False  # takes one command of each received piece, drops the others
        self.delay = 0.0           # before each reply
        self.lock = threading.Lock()
        self.open_now = 0
        self.open_most = 0
        self.listener = None
        self.listen()

    @property
    def where(self):
        return f"{self.address}:{self.port}"

    def on(self, stage, action, times=None, skip=0, when=None):
        """times: how often (None = always); skip: leave the first so many alone."""
        with self.lock:
            self.rules.append(Rule(stage, action, times, skip, when))
        return self

    def behave(self):
        with self.lock:
            self.rules.clear()

    # ---- what happened --------------------------------------------------------------------------

    @property
    def accepted(self):
        with self.lock:
            return [message for message in self.messages if message.accepted]

    def wait(self, count=1, seconds=15, of=lambda message: True):
        """Waits for so many accepted messages; returns them."""
        def enough():
            found = [message for message in self.accepted if of(message)]
            return found if len(found) >= count else None
        return until(enough, seconds, lambda: f"{count} messages at {self.where}; got "
                     f"{[(m.sender, m.recipients) for m in self.accepted]}; dialogue:\n"
                     + self.dialogue()[-4000:])

    def wait_dsn(self, count=1, seconds=20):
        return self.wait(count, seconds, lambda message: message.sender == "")

    def commands(self, verb=None):
        """(session, line) of all commands, in order of their time."""
        with self.lock:
            found = [(at, session, line) for session in self.sessions
                     for at, line in session.commands]
        found.sort(key=lambda item: item[0])
        return [(session, line) for _, session, line in found
                if verb is None or line.upper().startswith(verb)]

    def dialogue(self):
        with self.lock:
            steps = [(at, s.number, text) for s in self.sessions for at, text in s.steps]
        return "\n".join(f"{at:.3f} [{number}] {text}" for at, number, text in sorted(steps))

    # ---- the listener ---------------------------------------------------------------------------

    def listen(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.address, self.port))
        self.listener.listen(512)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def unlisten(self):
        """New connections are refused by the kernel; listen() ends that."""
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None

    def close(self):
        self.unlisten()
        self.drop_all()

    def drop_all(self):
        with self.lock:
            sessions = list(self.sessions)
        for session in sessions:
            session.drop()

    def _accept(self, listener):
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            with self.lock:
                session = Session(self, connection, peer, len(self.sessions))
                self.sessions.append(session)
                self.open_now += 1
                self.open_most = max(self.open_most, self.open_now)
            threading.Thread(target=session.serve, daemon=True).start()

    def action_for(self, session, stage):
        with self.lock:
            for rule in self.rules:
                if rule.takes(session, stage):
                    return rule.action
        return None


class Gone(Exception):
    """The connection ended, by either side."""


class TlsFacts:
    def __init__(self, secure):
        if secure.version() is None:  # ssl does without a handshake where nobody is connected
            raise OSError("gone before TLS")
        self.version, self.cipher = secure.version(), secure.cipher()[0]
        self.resumed = secure.session_reused
        self.server_name = getattr(secure, "server_name", None)  # see tls.server_context
        subject = (secure.getpeercert() or {}).get("subject", ())
        self.client = dict(pair for part in subject for pair in part).get("commonName")


class Session:
    def __init__(self, hop, connection, peer, number):
        self.hop, self.socket, self.peer, self.number = hop, connection, peer, number
        self.buffer = b""
        self.steps = []      # (time, text) for people
        self.commands = []   # (time, line)
        self.pieces = []     # what each recv() brought
        self.replies = 0     # given so far
        self.helo = None
        self.message = None  # the transaction
        self.finished = 0    # transactions accepted
        self.tls = None      # facts of it, once the handshake is done
        self.tls_error = ""  # why it was not
        self.behind = b""    # octets that had come behind STARTTLS in clear
        self.user = None     # who has authenticated
        self.ahead = []      # octets that had come before a reply went out (action `peek`)
        self.open = True

    # ---- the socket -----------------------------------------------------------------------------

    def note(self, text):
        self.steps.append((time.time(), text))

    def receive(self):
        try:
            piece = self.socket.recv(262144)
        except OSError:
            piece = b""
        if not piece:
            raise Gone
        self.pieces.append(piece)
        self.buffer += piece

    def readable(self, seconds):
        if self.tls and self.socket.pending():
            return True
        try:
            return bool(select.select([self.socket], [], [], seconds)[0])
        except (OSError, ValueError):
            raise Gone from None

    def send(self, octets):
        try:
            self.socket.sendall(octets)
        except OSError:
            raise Gone from None

    def reply(self, text):
        """text: "250 ok" or several lines parted by newlines (made "250-" as needed)."""
        if self.hop.delay:
            time.sleep(self.hop.delay)
        self.note("S: " + text.replace("\n", " / "))
        self.replies += 1
        self.send(wire(text))

    def drop(self, reset=False):
        try:
            if reset:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
            else:
                self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def command(self):
        while b"\n" not in self.buffer:
            self.receive()
        line, _, self.buffer = self.buffer.partition(b"\n")
        if self.hop.one_of_batch:
            self.buffer = b""
        text = line.rstrip(b"\r").decode("utf-8", "surrogateescape")
        self.note("C: " + text)
        self.commands.append((time.time(), text))
        return text

    # ---- the dialogue ---------------------------------------------------------------------------

    def serve(self):
        try:
            if self.hop.implicit:
                self.start_tls()
            self.act("CONNECT", f"220 {self.hop.name} ESMTP")
            while self.one_command():
                pass
        except Gone:
            self.note("gone")
        finally:
            self.ended()
            self.drop()

    def ended(self):
        """No longer counted: from QUIT on, so that the client may open another at the 221."""
        with self.hop.lock:
            self.hop.open_now -= self.open
            self.open = False

    def act(self, stage, otherwise):
        """Replies as the rules say, or as a good receiver would. Returns the code, 0 for none."""
        action = self.hop.action_for(self, stage)
        if action is None:
            self.reply(otherwise)
            return int(otherwise[:3])
        return action(self, otherwise)

    def one_command(self):
        line = self.command()
        verb = line[:4].upper()
        handler = getattr(self, "do_" + verb.lower(), None)
        if handler is None or verb not in ("EHLO", "HELO", "STAR", "AUTH", "MAIL", "RCPT", "DATA",
                                           "BDAT", "RSET", "NOOP", "QUIT"):
            self.reply("500 5.5.1 unknown command")
            return True
        return handler(line) is not False

    def extensions(self):
        more = []
        if self.hop.tls and not self.tls:
            more.append("STARTTLS")
        if self.hop.users and (self.tls or not self.hop.tls):
            more.append("AUTH " + self.hop.mechanisms)
        return self.hop.extensions + tuple(more)

    def do_ehlo(self, line):
        if self.act("EHLO", "\n".join((f"250 {self.hop.name}",) + self.extensions())) == 250:
            self.helo, self.message = line, None

    def do_star(self, _line):
        if self.hop.tls is None or self.tls:
            return self.reply("503 5.5.1 no TLS now")
        if self.act("STARTTLS", "220 2.0.0 go on") != 220:
            return None
        self.behind, self.buffer = self.buffer, b""
        self.helo = self.message = None  # RFC 3207 section 4.2
        return self.start_tls()

    def start_tls(self):
        plain = self.socket
        try:
            self.socket = self.hop.tls.wrap_socket(plain, server_side=True)
            self.tls = TlsFacts(self.socket)
        except (OSError, ValueError) as error:
            self.tls_error = str(error)
            self.note(f"no TLS: {error}")
            raise Gone from None
        self.note(f"TLS: {vars(self.tls)}")

    def do_auth(self, line):
        if not self.hop.users or self.user or self.message:
            return self.reply("503 5.5.1 no AUTH now")
        words = line.split()
        try:
            name = self.credentials(words[1].upper(), words[2] if len(words) > 2 else None)
        except (ValueError, IndexError, binascii.Error):
            return self.reply("501 5.5.2 what?")
        if is_good(self.act("AUTH", "235 2.7.0 welcome" if name else "535 5.7.8 no")) and name:
            self.user = name
        return None

    def credentials(self, mechanism, initial):
        """The user whose password was right, else None."""
        if mechanism == "PLAIN":
            _, name, password = self.response("", initial).split("\0")
        elif mechanism == "LOGIN":
            name = self.response("Username:", initial)
            password = self.response("Password:", None)
        else:
            raise ValueError(mechanism)
        return name if self.hop.users.get(name) == password else None

    def response(self, challenge, initial):
        if initial is None:
            self.reply("334 " + base64.b64encode(challenge.encode()).decode())
            initial = self.command()
        return base64.b64decode("" if initial == "=" else initial, validate=True).decode()

    def missing(self):
        """The refusal of a MAIL that came too early."""
        if "TLS" in self.hop.needs and not self.tls:
            return "530 5.7.0 Must issue a STARTTLS command first"
        if "AUTH" in self.hop.needs and not self.user:
            return "530 5.7.0 Authentication required"
        return None

    def do_helo(self, line):
        if self.act("HELO", f"250 {self.hop.name}") == 250:
            self.helo, self.message = line, None

    def do_mail(self, line):
        path, params = split_path(line)
        otherwise = self.missing() or (
            "250 2.1.0 ok" if self.message is None else "503 5.5.1 nested MAIL")
        self.candidate = path
        if is_good(self.act("MAIL", otherwise)) and self.message is None:
            self.message = Message(self, path, params)

    def do_rcpt(self, line):
        path, params = split_path(line)
        self.candidate = path
        if self.message is None:
            return self.reply("503 5.5.1 MAIL first")
        limit = self.hop.max_recipients
        full = limit is not None and len(self.message.recipients) >= limit
        otherwise = "452 4.5.3 too many recipients" if full else "250 2.1.5 ok"
        if is_good(self.act("RCPT", otherwise)):
            self.message.recipients.append(path)
            self.message.recipient_params[path] = params
        return None

    def do_data(self, _line):
        ready = self.message is not None and self.message.recipients
        if self.act("DATA", "354 go on" if ready else "554 5.5.1 no valid recipients") != 354:
            return None
        seen = 0
        while not self.buffer.startswith(b".\r\n") and self.buffer.find(b"\r\n.\r\n", seen) < 0:
            seen = max(0, len(self.buffer) - 4)
            self.receive()
        if self.buffer.startswith(b".\r\n"):
            content, self.buffer = b"", self.buffer[3:]
        else:
            content, _, self.buffer = self.buffer.partition(b"\r\n.\r\n")
            content = (b"\r\n" + content + b"\r\n").replace(b"\r\n.", b"\r\n")[2:]
        if self.hop.one_of_batch:
            self.buffer = b""
        self.note(f"C: {len(content)} octets and the dot")
        if self.message is None or not self.message.recipients:
            return self.reply("554 5.5.1 no valid recipients")
        self.message.data = content
        return self.end_of_content()

    def do_bdat(self, line):
        words = line.split()
        size, last = int(words[1]), words[-1].upper() == "LAST"
        while len(self.buffer) < size:
            self.receive()
        chunk, self.buffer = self.buffer[:size], self.buffer[size:]
        if self.message is None or not self.message.recipients:
            return self.reply("503 5.5.1 no transaction")
        self.message.chunks += 1
        self.message.data += chunk
        if last:
            return self.end_of_content()
        self.act("BDAT", "250 2.0.0 chunk ok")
        return None

    def end_of_content(self):
        message, self.message = self.message, None
        message.time = time.time()
        with self.hop.lock:
            self.hop.messages.append(message)
        self.candidate = message
        action = self.hop.action_for(self, "DOT")
        if action is None:
            message.accepted = True
            self.reply(f"250 2.0.0 taken {len(self.hop.messages)}")
        else:
            message.accepted = getattr(action, "keeps", False)
            code = action(self, f"250 2.0.0 taken {len(self.hop.messages)}")
            message.accepted = message.accepted or is_good(code)
        self.finished += message.accepted
        with self.hop.lock:
            self.hop.accepted_count += message.accepted

    def do_rset(self, _line):
        self.act("RSET", "250 2.0.0 ok")
        self.message = None

    def do_noop(self, _line):
        self.act("NOOP", "250 2.0.0 ok")

    def do_quit(self, _line):
        self.ended()
        self.act("QUIT", "221 2.0.0 bye")
        return False


def is_good(code):
    return 200 <= code < 300


def split_path(line):
    """"MAIL FROM:<a@b> SIZE=1" -> ("a@b", "SIZE=1"); a quoted local part may hold ">"."""
    found = re.match(r'^[^<]*<((?:"(?:[^"\\]|\\.)*"|[^">])*)>\s*(.*)$', line)
    return (found.group(1), found.group(2)) if found else ("", line)


def wire(text):
    """"250 a\nb" -> "250-a CRLF 250 b CRLF"."""
    lines = text.split("\n")
    code, lines[0] = lines[0][:3], lines[0][4:]
    joined = [f"{code}-{line}" for line in lines[:-1]] + [f"{code} {lines[-1]}"]
    return "".join(line + "\r\n" for line in joined).encode("utf-8", "surrogateescape")
