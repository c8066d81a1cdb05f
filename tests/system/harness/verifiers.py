# SPDX-License-Identifier: Apache-2.0
"""verifiers - what three other implementations say of the DKIM signatures on a message.

Each takes the message's octets and where the keys are, and returns selector -> verdict: "pass", or
why not. python3-dkim and Perl's Mail::DKIM (RSA only) ask the tests' NameServer; opendkim, which
cannot ask on another port, gets the records themselves.
"""
import base64
import os
import re
import subprocess

import dkim
import dns.exception

from .certificates import openssl
from .wait import PATIENCE

PERL = "/usr/bin/perl"
OPENDKIM = "/usr/sbin/opendkim"

_PERL = r"""
use strict;
use Mail::DKIM::Verifier;
use Mail::DKIM::DNS;
use Net::DNS::Resolver;
Mail::DKIM::DNS::resolver(Net::DNS::Resolver->new(nameservers => ["127.0.0.1"], port => $ARGV[0]));
binmode STDIN;
my $verifier = Mail::DKIM::Verifier->new();
while (read(STDIN, my $piece, 65536)) { $verifier->PRINT($piece); }
$verifier->CLOSE;
for my $signature ($verifier->signatures) {
    my $result = $signature->result;
    print $signature->selector, " ", $result eq "pass" ? "pass" : $signature->result_detail, "\n";
}
"""


class DkimKey:
    """A private key in a PEM file, and the record that publishes it. kind: rsa or ed25519."""

    def __init__(self, folder, selector, domain, kind="rsa", bits=2048):
        self.selector, self.domain, self.kind = selector, domain, kind
        self.file = os.path.join(str(folder), f"{selector}.{domain}.key")
        options = ["-pkeyopt", f"rsa_keygen_bits:{bits}"] if kind == "rsa" else []
        openssl("genpkey", "-algorithm", kind.upper(), *options, "-out", self.file)
        os.chmod(self.file, 0o600)
        openssl("pkey", "-in", self.file, "-pubout", "-outform", "DER", "-out", self.file + ".pub")
        with open(self.file + ".pub", "rb") as file:
            public = file.read()
        # RFC 8463 section 4: the 32 octets alone, which are the last of the DER.
        public = public if kind == "rsa" else public[-32:]
        self.record = f"v=DKIM1; k={kind}; p={base64.b64encode(public).decode()}"

    @property
    def name(self):
        return f"{self.selector}._domainkey.{self.domain}"


def zone_text(records):
    """records: name -> TXT of any length, as lines for a zone of NameServer."""
    return "\n".join(f"{name}. TXT " + " ".join(f'"{piece}"' for piece in re.findall(
        r".{1,200}", text)) for name, text in records.items())


def selectors(message):
    """Of the DKIM-Signature fields, in their order."""
    header = re.sub(rb"\r\n(?=[ \t])", b"", message.partition(b"\r\n\r\n")[0])
    return [found.decode() for found in re.findall(
        rb"(?im)^dkim-signature[ \t]*:.*?[;\s:]s[ \t]*=[ \t]*([^;\s]+)", header)]


def dkimpy(message, server):
    """python3-dkim."""
    def text(name, timeout=5):  # pylint: disable=unused-argument
        try:
            answer = server.ask(name.decode("ascii"), "TXT").answer
        except (dns.exception.Timeout, OSError):
            return None
        return b"".join(answer[0][0].strings) if answer else None

    verdicts = {}
    for index, selector in enumerate(selectors(message)):
        try:
            good = dkim.DKIM(message, minkey=1024).verify(index, dnsfunc=text)
            verdicts[selector] = "pass" if good else "fail"
        except dkim.DKIMException as error:
            verdicts[selector] = f"{type(error).__name__}: {error}"
    return verdicts


def mail_dkim(message, server):
    """Perl's Mail::DKIM."""
    done = subprocess.run([PERL, "-e", _PERL, str(server.port)], input=message,
                          capture_output=True, timeout=60 * PATIENCE, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return dict(line.split(" ", 1) for line in done.stdout.decode().splitlines())


def opendkim(message, records, folder):
    """records: as for zone_text()."""
    folder = str(folder)
    _write(folder, "records", "".join(f"{k} {v}\n" for k, v in records.items()).encode())
    _write(folder, "opendkim.conf", f"TestDNSData file:{folder}/records\nMode v\n".encode())
    _write(folder, "message", message)
    done = subprocess.run([OPENDKIM, "-x", f"{folder}/opendkim.conf", "-vv", "-t",
                           f"{folder}/message"], capture_output=True, text=True,
                          timeout=60 * PATIENCE, check=False)
    told = done.stdout + done.stderr
    verdicts = dict((selector, verdict) for verdict, selector in re.findall(
        r"dkim=(\w+)[^;]*? header\.s=(\S+)", told))
    assert verdicts or not selectors(message), told
    return verdicts


def _write(folder, name, octets):
    with open(os.path.join(folder, name), "wb") as out:
        out.write(octets)
