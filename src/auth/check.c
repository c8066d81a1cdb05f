/* SPDX-License-Identifier: Apache-2.0
 *
 * check - passwords compared by the background threads, each once; one worker's part
 */
#include "dialog.h"

struct auth_options auth_options_default(void)
{
    return (struct auth_options){
        .failures_per_client_max = 10,
        .failures_per_user_max = 100,
        .failure_window = DURATION_S(600),
        .cache_time = DURATION_S(300),
    };
}

struct auth *auth_create(struct worker *worker, struct auth_shared *shared,
                         const struct auth_options *options)
{
    struct auth *auth = base_alloc(sizeof(*auth));
    auth->worker = worker;
    auth->shared = shared;
    auth->options = *options;
    list_init(&auth->checks);
    return auth;
}

void auth_configure(struct auth *auth, const struct auth_options *options)
{
    auth->options = *options;
    auth->generation += 1; /* checks under way are of the old ones: nothing of them is kept */
    auth_cache_clear(&auth->cache);
}

const struct auth_users *auth_current_users(const struct auth *auth)
{
    return auth->options.users;
}

bool auth_is_idle(const struct auth *auth)
{
    return auth->dialogs == 0 && list_is_empty(&auth->checks);
}

void auth_destroy(struct auth **auth)
{
    ASSERT(auth_is_idle(*auth));
    auth_cache_clear(&(*auth)->cache);
    base_free(*auth);
    *auth = NULL;
}

/* ---- one check
 * ------------------------------------------------------------------------------------
 */

/* Name and password are never in the cache, only their HMAC. A NUL is in neither. */
static void key_of(const struct auth_dialog *dialog, uint8_t key[AUTH_KEY_LEN])
{
    const struct auth_exchange *exchange = &dialog->exchange;
    char data[sizeof(uint64_t) + AUTH_NAME_MAX + 1 + AUTH_PASSWORD_MAX];
    uint8_t mac[DIGEST_SHA256_LEN];
    size_t len = sizeof(uint64_t);
    memcpy(data, &dialog->auth->generation, len);
    memcpy(data + len, exchange->name, exchange->name_len);
    len += exchange->name_len;
    data[len++] = '\0';
    memcpy(data + len, exchange->password, exchange->password_len);
    len += exchange->password_len;
    auth_shared_mac(dialog->auth->shared, (struct bytes){data, len}, mac);
    memcpy(key, mac, AUTH_KEY_LEN);
    explicit_bzero(data, sizeof(data));
}

bool auth_check_is_cached(const struct auth_dialog *dialog)
{
    uint8_t key[AUTH_KEY_LEN];
    const struct auth *auth = dialog->auth;
    if (!dialog->exchange.known) return false;
    key_of(dialog, key);
    return auth_cache_has(&auth->cache, key, ring_now(auth->worker->ring));
}

/* On a background thread. */
static void compare(struct worker_task *task)
{
    struct auth_check *check = CONTAINER_OF(task, struct auth_check, task);
    const struct bytes password = {check->password, check->password_len};
    check->matches = auth_secret_verify(&check->secret, password);
}

static void free_check(struct auth_check *check)
{
    list_remove(&check->link);
    base_free_secret(check, sizeof(*check));
}

static void compared(struct worker_task *task, struct worker *worker)
{
    struct auth_check *check = CONTAINER_OF(task, struct auth_check, task);
    struct auth *auth = check->auth;
    const instant now = ring_now(worker->ring);
    const bool good = check->matches && check->known;
    struct list *node;
    metrics_add(&worker->metrics, METRICS_AUTH_HASHED, 1);
    if (good && check->generation == auth->generation)
        auth_cache_put(&auth->cache, check->key, now, now + auth->options.cache_time);
    while ((node = list_pop_front(&check->waiting)) != NULL) /* each may end others */
        auth_dialog_checked(CONTAINER_OF(node, struct auth_dialog, link), good);
    free_check(check);
}

static struct auth_check *find_check(struct auth *auth, const uint8_t key[AUTH_KEY_LEN])
{
    LIST_FOR_EACH(node, &auth->checks)
    {
        struct auth_check *check = CONTAINER_OF(node, struct auth_check, link);
        if (memcmp(check->key, key, AUTH_KEY_LEN) == 0) return check;
    }
    return NULL;
}

static struct auth_check *new_check(const struct auth_dialog *dialog,
                                    const uint8_t key[AUTH_KEY_LEN])
{
    const struct auth_exchange *exchange = &dialog->exchange;
    struct auth_check *check = base_alloc(sizeof(*check));
    check->auth = dialog->auth;
    check->task.work = compare;
    check->task.done = compared;
    check->generation = dialog->auth->generation;
    check->secret = exchange->secret;
    check->known = exchange->known;
    check->password_len = exchange->password_len;
    memcpy(check->key, key, AUTH_KEY_LEN);
    memcpy(check->password, exchange->password, exchange->password_len);
    list_init(&check->waiting);
    list_push_back(&dialog->auth->checks, &check->link);
    return check;
}

bool auth_check_begin(struct auth_dialog *dialog)
{
    uint8_t key[AUTH_KEY_LEN];
    struct auth *auth = dialog->auth;
    key_of(dialog, key);
    struct auth_check *check = find_check(auth, key);
    if (check == NULL) {
        check = new_check(dialog, key);
        if (!worker_offload(auth->worker, &check->task)) {
            free_check(check);
            return false;
        }
    }
    list_push_back(&check->waiting, &dialog->link);
    return true;
}
