/* SPDX-License-Identifier: Apache-2.0
 *
 * trace - the Received field, and Date and Message-ID where the injector left them out
 */
#include "internal.h"

static void put_literal(struct text *out, const struct address *address)
{
    char ip[ADDRESS_TEXT_MAX];
    text_put(out, address->family == 6 ? BYTES("[IPv6:") : BYTES("["));
    text_put(out, bytes_of(address_print_ip(address, ip)));
    text_put(out, BYTES("]"));
}

/* A comment: the protocol's name (ESMTPS) says no more than that there was TLS. */
static void put_tls(const struct session *session, struct text *out)
{
    struct tls_info info;
    if (stream_tls(&session->stream) == NULL) return;
    tls_get_info(stream_tls(&session->stream), &info);
    text_printf(out, "\r\n\t(using %s with cipher %s)", info.version, info.cipher);
    if (info.peer_name[0] == '\0') return; /* the client has shown no certificate */
    text_printf(out, "\r\n\t(client certificate %s: %s)", info.peer_name,
                info.verified ? "verified" : info.reason);
}

/* RFC 5321 section 4.4. The for-clause names a recipient only when there is no other, who would
 * learn of it. */
static void put_received(const struct session *session, const char *id, wall_ms now,
                         struct text *out)
{
    const struct smtp_server_options *options = &session->terms->options.smtp;
    text_put(out, BYTES("Received: from "));
    text_put(out, smtp_server_helo(&session->smtp));
    text_put(out, BYTES(" ("));
    put_literal(out, &session->client);
    text_put(out, BYTES(")"));
    put_tls(session, out);
    text_put(out, BYTES("\r\n\tby "));
    text_put(out, options->hostname);
    text_put(out, BYTES(" (Ringpost) with "));
    text_put(out, bytes_of(smtp_protocol_name(smtp_server_protocol(&session->smtp))));
    text_put(out, BYTES(" id "));
    text_put(out, bytes_of(id));
    if (session->recipients == 1) {
        text_put(out, BYTES("\r\n\tfor <"));
        text_put(out, (struct bytes){session->first_recipient, session->first_recipient_len});
        text_put(out, BYTES(">"));
    }
    text_put(out, BYTES(";\r\n\t"));
    smtp_date_format(now, out);
    text_put(out, BYTES("\r\n"));
}

void trace_write(const struct session *session, uint64_t id, wall_ms now, struct text *out)
{
    const struct receive_listener_options *options = &session->terms->options;
    const struct smtp_server_header *header = smtp_server_header(&session->smtp);
    char id_text[EVENT_ID_TEXT_MAX];
    event_id_print(id, id_text);

    put_received(session, id_text, now, out);
    if (options->add_date && !header->has_date) {
        text_put(out, BYTES("Date: "));
        smtp_date_format(now, out);
        text_put(out, BYTES("\r\n"));
    }
    if (options->add_message_id && !header->has_message_id) {
        text_put(out, BYTES("Message-ID: <"));
        text_put(out, bytes_of(id_text));
        text_put(out, BYTES("@"));
        text_put(out, options->smtp.hostname);
        text_put(out, BYTES(">\r\n"));
    }
    if (header->no_header) text_put(out, BYTES("\r\n"));
    ASSERT(!out->cut); /* names and address are bounded: TRACE_MAX has room for all */
}
