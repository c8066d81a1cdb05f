/* SPDX-License-Identifier: Apache-2.0
 *
 * settings - the configuration of the product, and what changes in it while it runs
 *
 * With SIM_FAULT_SETTINGS there are next hops that ask for a login and users who may send from few
 * addresses; and now and then the operator changes something, rightly or wrongly, and reloads.
 */
#pragma once
#include "sim.h"

void settings_write(void); /* for the life that begins; never with a mistake in it */
const char *settings_path(void);
bool settings_are_odd(void); /* SIM_FAULT_SETTINGS */
void settings_change(void);  /* in the file: a reload has to follow */
void settings_mend(void);    /* all as it should be */

/* The login of the next hops. */
const char *settings_user(void);
const char *settings_password(void);
bool settings_password_in_clear(void);  /* auth_clear */
bool settings_password_was_wrong(void); /* at some time: a next hop may be given it */
bool settings_users_were_missing(void); /* at some time nobody could authenticate */
