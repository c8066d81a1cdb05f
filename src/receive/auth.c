/* SPDX-License-Identifier: Apache-2.0
 *
 * auth - a session's AUTH: the dialog with `auth` beside the frame that smtp_server gives it
 *
 * While a password is hashed elsewhere, or a failure is to take its time, the session waits as it
 * does for a commit: nothing of its input is read.
 */
#include "internal.h"

static void accept_user(struct session *session, struct bytes name)
{
    session_forget_user(session);
    session->user = base_alloc(name.len + 1);
    memcpy(session->user, name.data, name.len);
    smtp_server_authenticated(&session->smtp);
}

static void refuse_user(struct session *session, struct bytes reply)
{
    char line[200];
    struct text text;
    text_init(&text, line, sizeof(line));
    text_put(&text, reply);
    smtp_server_refuse(&session->smtp, line);
}

static void take_answer(struct session *session, enum auth_verdict verdict,
                        const struct auth_answer *answer)
{
    switch (verdict) {
    case AUTH_WAIT:
        session->asking_auth = true;
        return;
    case AUTH_SAY:
        smtp_server_challenge(&session->smtp, answer->text);
        return;
    case AUTH_ACCEPTED:
        accept_user(session, answer->text);
        break;
    case AUTH_REFUSED:
        refuse_user(session, answer->text);
        break;
    }
    auth_dialog_end(&session->dialog);
}

static void on_answer(void *context, enum auth_verdict verdict, const struct auth_answer *answer)
{
    struct session *session = context;
    session->asking_auth = false;
    take_answer(session, verdict, answer);
    session_go_on(session);
}

void session_auth(struct session *session, struct smtp_server_out *out)
{
    struct auth_answer answer;
    enum auth_verdict verdict;
    if (out->auth.first) {
        session->dialog = auth_dialog_begin(session->receive->auth, out->auth.mechanism,
                                            &session->client, on_answer, session);
    }
    if (out->auth.has_response) {
        verdict = auth_dialog_feed(session->dialog, out->auth.response, &answer);
    } else {
        verdict = auth_dialog_ask(session->dialog, &answer);
    }
    smtp_server_wipe(out);
    take_answer(session, verdict, &answer);
}

void session_auth_over(struct session *session)
{
    session->asking_auth = false;
    if (session->dialog != NULL) auth_dialog_end(&session->dialog);
}

void session_auth_late(struct session *session)
{
    session_auth_over(session);
    smtp_server_refuse(&session->smtp, "454 4.7.0 Temporary authentication failure");
}

void session_forget_user(struct session *session)
{
    base_free(session->user);
    session->user = NULL;
}

const char *session_sender_fault(const struct session *session, struct bytes reverse_path)
{
    if (session->user == NULL) return NULL;
    /* Looked up each time: a reload may have changed or removed the user. */
    const struct auth_users *users = auth_current_users(session->receive->auth);
    const struct auth_user *user =
        users != NULL ? auth_users_find(users, bytes_of(session->user)) : NULL;
    if (user == NULL) return "530 5.7.0 Authentication required: the user is not known any more";
    if (auth_user_may_send(user, reverse_path)) return NULL;
    return "553 5.7.1 Not a sender address of the authenticated user";
}
