/* SPDX-License-Identifier: Apache-2.0
 *
 * tls - a session goes over to TLS, at once or by STARTTLS
 */
#include "internal.h"

/* For the alert to leave. */
static const duration FAREWELL = DURATION_S(2);

void session_start_tls(struct session *session)
{
    const wall_ms now = ring_wall(session->receive->worker->ring);
    stream_start_tls(&session->stream, tls_accept(session->terms->options.tls, now));
}

static void count(struct session *session)
{
    struct metrics *metrics = &session->receive->worker->metrics;
    struct tls_info info;
    tls_get_info(stream_tls(&session->stream), &info);
    metrics_add(metrics, METRICS_TLS_IN, 1);
    metrics_add(metrics, METRICS_TLS_IN_RESUMED, info.resumed);
}

void session_handshake_failed(struct session *session, const char *why)
{
    struct worker *worker = session->receive->worker;
    metrics_add(&worker->metrics, METRICS_TLS_IN_FAILED, 1);
    event_log(&worker->events, EVENT_INFO, "receive", "%s: session %s: TLS handshake failed: %s",
              session->client_text, session->id_text, why);
}

void session_on_secure(struct stream *stream, const char *error)
{
    struct session *session = CONTAINER_OF(stream, struct session, stream);
    if (error != NULL) {
        session_handshake_failed(session, error);
        session_part_by(session, FAREWELL);
        stream_finish(stream);
        return;
    }
    count(session);
    session_forget_user(session);
    smtp_server_secured(&session->smtp);
    session_go_on(session);
}
