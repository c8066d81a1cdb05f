/* SPDX-License-Identifier: Apache-2.0
 *
 * directory - the mail domains of the world, their hosts, and what DNS says of them
 *
 *     site k        hosts h<2k>.mx.test and h<2k+1>.mx.test, addresses 10.0.<host>.1
 *     domain i      d<i>.test; of site i modulo the number of sites
 *     s.test        where senders live: DSNs go there; a site of its own
 *     null.test     other senders, at a domain that accepts no mail
 *     h66, h67      next hops that ask for a login: at ports 587 and, with TLS at once, 465
 */
#pragma once
#include "sim.h"

enum domain_kind {
    DOMAIN_PLAIN = 0, /* two mail hosts */
    DOMAIN_ALIAS,     /* CNAME to a plain one's name */
    DOMAIN_NULL_MX,   /* RFC 7505: accepts no mail */
    DOMAIN_ABSENT,    /* NXDOMAIN */
};
enum {
    SITES_MAX = 32,
    SENDER_SITE = SITES_MAX,
    LOGIN_SITE,
    HOSTS_MAX = 2 * LOGIN_SITE + 2,
};

uint32_t directory_sites(void); /* without the senders' */
enum domain_kind directory_kind(uint32_t domain);
uint32_t directory_site(uint32_t domain);
struct address directory_address(uint32_t host); /* port 25, with one at LOGIN_SITE another */
bool directory_has_route(void); /* the configuration has a static route to site 1 */
struct address directory_address6(uint32_t host); /* family 0: it has none */
bool directory_has_lied_about_senders(void);
bool directory_has_lied(void); /* DNS has told something that is not so */
