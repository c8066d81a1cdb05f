# SPDX-License-Identifier: Apache-2.0
"""The parts of a message as others see them: a list of (type, decoded body or None if it has parts).

Python's email package, GMime (by introspection), Perl's MIME-tools.
"""
import email
import json
import subprocess

import gi

gi.require_version("GMime", "3.0")
from gi.repository import GMime  # noqa: E402  pylint: disable=wrong-import-position

GMime.init()


def ours(ringpost, data):
    def run(*arguments):
        return subprocess.run([ringpost, "mime", "show", *arguments, "-"], input=data, check=True,
                              stdout=subprocess.PIPE, timeout=60).stdout
    rows = [json.loads(line) for line in run("--json").decode().splitlines()]
    parents = {row.get("parent") for row in rows}
    return [(row["type"].lower(), None if row["number"] in parents else
             run("--part", str(row["number"]))) for row in rows], rows


def python(data):
    return [(part.get_content_type(),
             None if part.is_multipart() else part.get_payload(decode=True))
            for part in email.message_from_bytes(data).walk()]


def python_names(data):
    return [part.get_filename() for part in email.message_from_bytes(data).walk()]


def gmime_walk(entity, parts):
    kind = entity.get_content_type()
    name = f"{kind.get_media_type()}/{kind.get_media_subtype()}".lower()
    if isinstance(entity, GMime.MessagePart):
        parts.append((name, None))
        inner = entity.get_message()
        if inner is not None and inner.get_mime_part() is not None:
            gmime_walk(inner.get_mime_part(), parts)
    elif isinstance(entity, GMime.Multipart):
        parts.append((name, None))
        for number in range(entity.get_count()):
            gmime_walk(entity.get_part(number), parts)
    else:
        stream = GMime.StreamMem.new()
        content = entity.get_content()
        if content is not None:
            content.write_to_stream(stream)
        parts.append((name, bytes(stream.get_byte_array() or b"")))


def gmime(data):
    """None: GMime does not take it for a message at all."""
    parser = GMime.Parser.new_with_stream(GMime.StreamMem.new_with_buffer(data))
    parser.set_format(GMime.Format.MESSAGE)
    message = parser.construct_message(None)
    if message is None:
        return None
    parts = []
    if message.get_mime_part() is not None:
        gmime_walk(message.get_mime_part(), parts)
    return parts


PERL = r"""
use strict; use warnings; use MIME::Parser;
my $parser = MIME::Parser->new;
$parser->output_to_core(1); $parser->tmp_to_core(1);
binmode STDIN; binmode STDOUT;
my $entity = $parser->parse(\*STDIN);
sub walk {
    my ($entity) = @_;
    my @parts = $entity->parts;
    my $body = !@parts && $entity->bodyhandle ? $entity->bodyhandle->as_string : "";
    print lc($entity->effective_type), "\t", (@parts ? "-" : unpack("H*", $body) . "."), "\n";
    walk($_) for @parts;
}
walk($entity);
"""


def perl(data):
    out = subprocess.run(["perl", "-e", PERL], input=data, check=True, stdout=subprocess.PIPE,
                         timeout=60).stdout.decode()
    parts = []
    for line in out.splitlines():
        kind, body = line.split("\t")
        parts.append((kind, None if body == "-" else bytes.fromhex(body[:-1])))
    return parts
