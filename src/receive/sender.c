/* SPDX-License-Identifier: Apache-2.0
 *
 * sender - does the sender's domain accept mail at all? (RFC 7505 section 4.2)
 *
 * A sender whose domain has a null MX can never be told of a failure. Only that clear word of DNS
 * refuses; whatever else comes of the lookup lets the mail in, and so does an answer that is late:
 * then nobody else waits for a while either, so that an outage of DNS does not slow down the
 * applications.
 */
#include "internal.h"

static const duration WAIT_MAX = DURATION_S(1), PAUSE = DURATION_S(10), FINE_FOR = DURATION_S(60);

static bool is_null_mx(struct dns_route *route)
{
    const bool null_mx = route->status == DNS_NULL_MX;
    dns_route_put(&route);
    return null_mx;
}

static void on_route(struct dns_request *request, struct dns_route *route)
{
    struct session *session = CONTAINER_OF(request, struct session, sender_request);
    session->asking_dns = false;
    session_sender_known(session, is_null_mx(route));
}

static enum sender_verdict remember_fine(struct sender_fine *fine, uint64_t hash, instant now)
{
    *fine = (struct sender_fine){.hash = hash, .until = now + FINE_FOR};
    return SENDER_FINE;
}

enum sender_verdict sender_check(struct session *session, struct bytes domain)
{
    struct receive *receive = session->receive;
    const instant now = ring_now(receive->worker->ring);
    if (domain.len == 0 || domain.data[0] == '[' || !session->smtp.relay_allowed ||
        !session->terms->options.refuse_null_mx || now < receive->sender_pause) {
        return SENDER_FINE;
    }
    const uint64_t hash = hash_bytes(receive->sender_seed, domain);
    struct sender_fine *fine = &receive->sender_fine[hash % SENDER_FINE_COUNT];
    if (fine->hash == hash && now < fine->until) return SENDER_FINE;
    struct dns *dns = receive->callbacks.sender_dns(receive->context, domain);
    if (dns == NULL) return remember_fine(fine, hash, now);
    session->sender_request = (struct dns_request){.on_route = on_route};
    struct dns_route *route = dns_route_get(dns, DNS_BY_MX, domain, &session->sender_request);
    if (route != NULL) return is_null_mx(route) ? SENDER_NULL_MX : remember_fine(fine, hash, now);
    session->asking_dns = true;
    session->ask_until = now + WAIT_MAX;
    return SENDER_ASKING;
}

void sender_cancel(struct session *session)
{
    if (!session->asking_dns) return;
    session->asking_dns = false;
    dns_request_cancel(&session->sender_request);
}

void sender_is_late(struct session *session)
{
    struct receive *receive = session->receive;
    sender_cancel(session);
    receive->sender_pause = ring_now(receive->worker->ring) + PAUSE;
    session_sender_known(session, false);
}
