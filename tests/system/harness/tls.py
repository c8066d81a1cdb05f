# SPDX-License-Identifier: Apache-2.0
"""tls - contexts of Python's ssl for both ends, and a connection whose octets are watched or cut."""
import ssl
import warnings


def client_context(ca=None, certificate=None, minimum=None, maximum=None, ciphers=None):
    """Verifies against the Authority (chain and name); without one it takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(ca.pem)
    if certificate:
        context.load_cert_chain(certificate.chain, certificate.key)
    return _limited(context, minimum, maximum, ciphers)


def server_context(certificate, ca=None, minimum=None, maximum=None, ciphers=None):
    """With an Authority: clients must show a certificate of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    if ca:
        context.load_verify_locations(ca.pem)
        context.verify_mode = ssl.CERT_REQUIRED
    context.sni_callback = lambda socket, name, _context: setattr(socket, "server_name", name)
    return _limited(context, minimum, maximum, ciphers)


def _limited(context, minimum, maximum, ciphers):
    """minimum, maximum: "1.0" to "1.3". What Debian's policy forbids for old versions is allowed."""
    versions = {"1.0": ssl.TLSVersion.TLSv1, "1.1": ssl.TLSVersion.TLSv1_1,
                "1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
    if maximum in ("1.0", "1.1") or minimum in ("1.0", "1.1"):
        ciphers = ciphers or "ALL:@SECLEVEL=0"
    if minimum or maximum:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = versions[minimum or "1.2"]
            context.maximum_version = versions[maximum or "1.3"]
    if ciphers:
        context.set_ciphers(ciphers)
    return context


def in_pieces(connection, size=1):
    """For Tunnel's `how`: each piece in a segment of its own."""
    def how(octets):
        for start in range(0, len(octets), size):
            connection.sendall(octets[start:start + size])
    return how


class Tunnel:
    """TLS of a client by hand: its records are octets that a test may split, cut, or keep back.

    Stands in for the socket of a RawClient: client.socket = Tunnel(client.socket, ...).handshake().
    how: gets the octets of each flight and sends what it likes of them; may be changed at any time.
    """

    def __init__(self, connection, context, name="relay.test", session=None, how=None):
        self.socket, self.how = connection, how or getattr(connection, "sendall", None)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name,
                                    session=session)
        self.flights = []  # everything that went to how

    def flush(self):
        octets = self.outgoing.read()
        if octets:
            self.flights.append(octets)
            self.how(octets)

    def _until_done(self, step):
        while True:
            try:
                result = step()
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
                piece = self.socket.recv(65536)
                if not piece:
                    raise EOFError("closed by the server") from None
                self.incoming.write(piece)

    def hello(self):
        """The first flight, not sent: no connection is needed."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def handshake(self):
        self._until_done(self.tls.do_handshake)
        return self

    def recv(self, size):
        """As of a socket; nothing at the end, whether or not it was announced."""
        try:
            return self._until_done(lambda: self.tls.read(size))
        except (EOFError, ssl.SSLZeroReturnError):
            return b""

    def sendall(self, octets):
        self.tls.write(octets)
        self.flush()

    def close(self):
        self.socket.close()
