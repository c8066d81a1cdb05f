# SPDX-License-Identifier: Apache-2.0
"""Receivers that read slowly: as long as they move they get their time."""
import socket
import threading
import time

from harness import mail


class SlowReader:
    """A receiver that reads content at a steady pace, with little room in its kernel."""

    def __init__(self, pause, piece=65536, stop_after=None):
        self.pause, self.piece, self.stop_after = pause, piece, stop_after
        self.contents, self.connections = [], 0
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(16)
        self.where = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as file:
            connection.sendall(b"220 slow.test\r\n")
            while True:
                try:
                    line = file.readline().upper()
                    if not line:
                        return
                    if line.startswith(b"DATA"):
                        connection.sendall(b"354 go on\r\n")
                        self._content(connection, file)
                    connection.sendall(b"250 ok\r\n")
                except OSError:
                    return

    def _content(self, connection, file):
        content = b""
        while not content.endswith(b"\r\n.\r\n"):
            if self.stop_after is not None and len(content) > self.stop_after:
                time.sleep(60)
            piece = file.read1(self.piece)
            if not piece:
                raise ConnectionError
            content += piece
            time.sleep(self.pause)
        self.contents.append(content)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self.listener.close()


def test_slow_reader_gets_all_in_its_time(relay_to):
    """RFC 5321 section 4.5.3.2.5 gives each block its time, not the message as a whole."""
    slow = SlowReader(pause=0.1)
    relay = relay_to(slow, site={"block_timeout": "1s", "dot_timeout": "1s", "chunking": False})
    with relay.session() as client:
        client.mail(mail.message("slow", mail.body_of_size(3_000_000)))
    relay.wait_account(1, 30, type="Delivery")
    assert slow.connections == 1 and len(slow.contents) == 1
    slow.close()


def test_reader_that_stops_meets_the_deadline(relay_to):
    slow = SlowReader(pause=0, stop_after=300_000)
    relay = relay_to(slow, site={"block_timeout": "1s", "dot_timeout": "1s", "chunking": False,
                                 "retry": ["60s"]})
    with relay.session() as client:
        client.mail(mail.message("stop", mail.body_of_size(9_000_000)))
    failure = relay.wait_account(1, 15, type="TransientFailure")[0]
    assert "timed out" in failure["response"]["content"] or "time" in failure["response"]["content"]
    slow.close()


class Impatient(SlowReader):
    """Has enough of each content after the first octets: 552, and gone while more is coming."""

    def __init__(self, size):
        self.size = size
        super().__init__(pause=0)

    def _content(self, connection, file):
        file.read(self.size)
        connection.sendall(b"552 5.3.4 too large for us\r\n")
        file.close()
        connection.close()
        raise ConnectionError


def test_refusal_in_the_middle_of_content_counts(relay_to):
    """The reset that follows must not take the reply away: it would be tried for days."""
    impatient = Impatient(100_000)
    relay = relay_to(impatient, site={"chunking": False, "retry": ["300s"]})
    for number in range(15):
        with relay.session() as client:
            client.mail(mail.message(f"n{number}", mail.body_of_size(4_000_000)), sender="")
        bounces = relay.wait_account(number + 1, 15, type="Bounce")
    assert all(bounce["response"]["code"] == 552 for bounce in bounces)
    assert impatient.connections == 15 and not relay.account(type="TransientFailure")
    impatient.close()
