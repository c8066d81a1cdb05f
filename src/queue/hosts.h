/* SPDX-License-Identifier: Apache-2.0
 *
 * hosts - what the ready queue's files need of hosts.c
 */
#pragma once
#include "ringpost/queue.h"

struct queue_host *hosts_get(struct queue_hosts *hosts, const struct queue_plan *plan,
                             const struct address *address);
void hosts_look(struct queue_hosts *hosts, struct queue_host *host); /* frees it when useless */
bool host_is_paused(const struct queue_host *host, instant now);
bool host_is_busy(const struct queue_host *host); /* enough connections are finding out */
void hosts_wake(struct queue_hosts *hosts, struct list *waiters, bool all);
