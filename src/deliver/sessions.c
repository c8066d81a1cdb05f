/* SPDX-License-Identifier: Apache-2.0
 *
 * sessions - of TLS, to be resumed: what a receiver gave us with the last connection
 *
 * A resumed handshake costs about half of a full one, on both sides. One session a key, the newest;
 * several connections may begin with the same one.
 */
#include "internal.h"

struct session {
    struct list link;
    struct tls_session *tls;
    uint64_t hash;
    uint32_t key_len;
    char key[];
};

void sessions_init(struct deliver_sessions *sessions)
{
    table_init(&sessions->table);
    list_init(&sessions->list);
}

static bool equal_key(const void *item, const void *key)
{
    const struct session *session = item;
    return bytes_equal((struct bytes){session->key, session->key_len}, *(const struct bytes *)key);
}

static struct session *find(const struct deliver_sessions *sessions, uint64_t hash,
                            struct bytes key)
{
    return table_find(&sessions->table, hash, equal_key, &key);
}

static void drop(struct deliver_sessions *sessions, struct session *session)
{
    list_remove(&session->link);
    table_remove(&sessions->table, session->hash, session);
    tls_session_free(&session->tls);
    base_free(session);
}

void sessions_drop(struct deliver_sessions *sessions)
{
    LIST_FOR_EACH_SAFE(node, &sessions->list)
    {
        drop(sessions, CONTAINER_OF(node, struct session, link));
    }
}

void sessions_deinit(struct deliver_sessions *sessions)
{
    sessions_drop(sessions);
    table_deinit(&sessions->table);
}

const struct tls_session *sessions_find(struct deliver_sessions *sessions, struct bytes key)
{
    struct session *session = find(sessions, hash_bytes(0, key), key);
    if (session == NULL) return NULL;
    list_remove(&session->link);
    list_push_back(&sessions->list, &session->link);
    return session->tls;
}

void sessions_keep(struct deliver_sessions *sessions, struct bytes key, struct tls_session *tls)
{
    const uint64_t hash = hash_bytes(0, key);
    struct session *session = find(sessions, hash, key);
    if (session != NULL) drop(sessions, session);
    if (sessions->table.count >= SESSIONS_MAX) {
        drop(sessions, CONTAINER_OF(sessions->list.next, struct session, link));
    }
    session = base_alloc(sizeof(*session) + key.len);
    session->tls = tls;
    session->hash = hash;
    session->key_len = (uint32_t)key.len;
    memcpy(session->key, key.data, key.len);
    list_push_back(&sessions->list, &session->link);
    table_add(&sessions->table, hash, session);
}

void sessions_forget(struct deliver_sessions *sessions, struct bytes key)
{
    struct session *session = find(sessions, hash_bytes(0, key), key);
    if (session != NULL) drop(sessions, session);
}
