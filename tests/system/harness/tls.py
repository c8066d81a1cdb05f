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


class Tunnel:
    """TLS of a client by hand: its records are octets that a test may split, cut, or keep back.

    Give it a connected socket; flights go out by flush(how), where `how` gets the octets and sends
    what it likes of them.
    """

    def __init__(self, connection, context, name="relay.test", session=None):
        self.socket = connection
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name,
                                    session=session)
        self.sent = b""  # everything that left

    def flush(self, how=None):
        octets = self.outgoing.read()
        self.sent += octets
        (how or self.socket.sendall)(octets)

    def _until_done(self, step, how):
        while True:
            try:
                result = step()
                self.flush(how)
                return result
            except ssl.SSLWantReadError:
                self.flush(how)
                piece = self.socket.recv(65536)
                if not piece:
                    raise EOFError("closed by the server") from None
                self.incoming.write(piece)

    def handshake(self, how=None):
        self._until_done(self.tls.do_handshake, how)
        return self

    def read(self, size=65536, how=None):
        return self._until_done(lambda: self.tls.read(size), how)

    def write(self, octets, how=None):
        self.tls.write(octets)
        self.flush(how)
