# SPDX-License-Identifier: Apache-2.0
"""certificates - a certification authority of the tests, and every kind of certificate it can give.

    ca = Authority(folder)                          # made with the openssl command
    good = ca.issue("relay.test")                   # for the names relay.test and 127.0.0.1
    old = ca.issue("relay.test", expired=True)
    own = self_signed(folder, "relay.test")

`ca.pem` is the root that clients trust. It has signed an intermediate one, and that signs all
others: a server that sends less than its chain is not trusted. Keys are ECDSA unless RSA is asked
for.
"""
import hashlib
import os
import ssl
import subprocess

OPENSSL = "/usr/bin/openssl"

_CONF = """[ca]
default_ca = here
[here]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
certificate = {folder}/middle.pem
private_key = {folder}/middle.key
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[middle]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = {names}
"""


class Certificate:
    """Files in PEM: `chain` (the certificate, then its issuers) and `key`."""

    def __init__(self, chain, key, name):
        self.chain, self.key, self.name = str(chain), str(key), name

    def alone(self):
        """The same without its issuers."""
        end = "-----END CERTIFICATE-----\n"
        with open(self.chain + ".alone", "w", encoding="ascii") as out:
            out.write(_read(self.chain).partition(end)[0] + end)
        return Certificate(self.chain + ".alone", self.key, self.name)

    @property
    def der(self):
        """The certificate alone, as SSLSocket.getpeercert(True) gives it."""
        end = "-----END CERTIFICATE-----"
        return ssl.PEM_cert_to_DER_cert(_read(self.chain).partition(end)[0] + end)

    @property
    def sha256(self):
        return hashlib.sha256(self.der).hexdigest()


class Authority:
    def __init__(self, folder, name="Test CA"):
        self.folder = str(folder)
        os.makedirs(self.folder, mode=0o755, exist_ok=True)
        self.pem, self.middle = self._path("ca.pem"), self._path("middle.pem")
        self.count = 0
        self._write("index", "")
        self._write("serial", "1000\n")
        self._write("openssl.cnf", _CONF.format(folder=self.folder, names="DNS:none"))
        _make_key(self._path("ca.key"), "ecdsa")
        openssl("req", "-x509", "-new", "-key", self._path("ca.key"), "-out", self.pem, "-days",
                 "3650", "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        _make_key(self._path("middle.key"), "ecdsa")
        self._sign("middle", f"{name} 2", "middle", "-keyfile", self._path("ca.key"), "-cert",
                   self.pem)

    def issue(self, *names, kind="ecdsa", bits=2048, expired=False, addresses=("127.0.0.1",)):
        """A certificate for these host names; the first is its common name, too."""
        self.count += 1
        base = f"{self.count}-{names[0].replace('*', 'any')}"
        _make_key(self._path(base + ".key"), kind, bits)
        alternatives = [f"DNS:{name}" for name in names] + [f"IP:{name}" for name in addresses]
        self._write("openssl.cnf", _CONF.format(folder=self.folder, names=",".join(alternatives)))
        self._sign(base, names[0], "leaf", expired=expired)
        self._write(base + ".pem", _read(self._path(base + ".pem")) + _read(self.middle))
        return Certificate(self._path(base + ".pem"), self._path(base + ".key"), names[0])

    def _sign(self, base, name, extensions, *more, expired=False):
        path = self._path(base)
        begin, end = ("20010101000000Z", "20020101000000Z") if expired else \
            ("20250101000000Z", "20491231235959Z")
        openssl("req", "-new", "-key", path + ".key", "-subj", f"/CN={name}", "-out", path + ".csr")
        openssl("ca", "-batch", "-notext", "-config", self._path("openssl.cnf"), "-extensions",
                 extensions, "-startdate", begin, "-enddate", end, "-in", path + ".csr", "-out",
                 path + ".pem", *more)

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _write(self, name, text):
        with open(self._path(name), "w", encoding="ascii") as out:
            out.write(text)


def self_signed(folder, name):
    base = os.path.join(str(folder), f"self-{name}")
    _make_key(base + ".key", "ecdsa")
    openssl("req", "-x509", "-new", "-key", base + ".key", "-out", base + ".pem", "-days", "30",
             "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
    return Certificate(base + ".pem", base + ".key", name)


def _make_key(path, kind, bits=2048):
    if kind == "rsa":
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}", "-out", path)
    else:
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
    os.chmod(path, 0o600)


def openssl(*arguments):
    """The command; it must succeed. Returns what it prints."""
    done = subprocess.run([OPENSSL, *arguments], capture_output=True, text=True, timeout=60,
                          check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"openssl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def _read(path):
    with open(path, encoding="ascii") as file:
        return file.read()
