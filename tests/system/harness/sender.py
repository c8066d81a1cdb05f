# SPDX-License-Identifier: Apache-2.0
"""sender - injects messages with unique ids over several connections; knows which were answered 250.

Each message has its id in the subject and in the address of its recipient. Pipelining: MAIL, RCPT
and DATA go out together, the content after 354. A lost connection is opened again while running.
secure: a function that makes TLS of a connection, or logs in.
hold_back: a function; while it says so nothing new is sent, as receivers in Python are slow.
"""
import threading
import time

from .raw_client import RawClient


class Sender:
    def __init__(self, port, threads=4, prefix="m", body=b"x" * 500 + b"\r\n", domains=("dest.test",),
                 total=None, per_connection=50, use_bdat=False, hold_back=lambda: False,
                 secure=lambda client: None):
        self.port, self.prefix, self.body, self.domains = port, prefix, body, domains
        self.total, self.per_connection, self.use_bdat = total, per_connection, use_bdat
        self.hold_back, self.secure = hold_back, secure
        self.acknowledged = {}  # id -> time of the 250
        self.refused = {}       # id -> reply
        self.attempted = 0
        self.errors = 0         # connections lost
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def join(self, seconds=120):
        deadline = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            assert not thread.is_alive(), "the sender hangs"
        return self

    def stop(self):
        self.stopping.set()
        return self.join(30)

    def _next(self):
        while self.hold_back() and not self.stopping.is_set():
            time.sleep(0.01)
        with self.lock:
            if self.stopping.is_set() or (self.total is not None
                                          and self.attempted >= self.total):
                return None
            self.attempted += 1
            return f"{self.prefix}{self.attempted:06d}"

    def _run(self):
        client, used = None, 0
        while True:
            name = self._next()
            if name is None:
                break
            while client is None and not self.stopping.is_set():
                client, used = self._connect(), 0
            if client is None:
                break
            try:
                reply = self._transaction(client, name)
                with self.lock:
                    (self.acknowledged if reply.code == 250 else self.refused)[name] = \
                        time.time() if reply.code == 250 else reply
                if reply.code != 250:
                    self.stopping.wait(0.02)  # a refusal is no reason to come back at once
                used += 1
                if used >= self.per_connection:
                    client.command("QUIT")  # 221, or 421 when it is shutting down
                    client.close()
                    client = None
            except (OSError, EOFError):
                with self.lock:
                    self.errors += 1
                client.close()
                client = None
        if client:
            client.close()

    def _connect(self):
        try:
            client = RawClient(self.port, timeout=30)
            if client.command("EHLO client.test").code == 250:
                self.secure(client)
                return client
            client.close()  # 421: it is shutting down
        except (OSError, EOFError, AssertionError):  # the last one: 421 to STARTTLS
            pass
        time.sleep(0.02)
        return None

    def content(self, name):
        return (f"From: a@source.test\r\nSubject: {name}\r\nMessage-ID: <{name}@source.test>\r\n"
                f"Date: Sat, 21 Nov 2026 07:00:00 +0000\r\n\r\n{name}\r\n").encode() + self.body

    def _transaction(self, client, name):
        domain = self.domains[hash(name) % len(self.domains)]
        envelope = (f"MAIL FROM:<a@source.test>\r\nRCPT TO:<{name}@{domain}>\r\n").encode()
        content = self.content(name)
        if self.use_bdat:
            client.send(envelope + b"BDAT %d LAST\r\n" % len(content) + content)
            replies = client.replies(3)
        else:
            client.send(envelope + b"DATA\r\n")
            replies = client.replies(3)
            if replies[-1].code == 354:
                client.send(content + b".\r\n")
                replies.append(client.reply())
        return replies[-1]
