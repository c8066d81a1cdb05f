/* SPDX-License-Identifier: Apache-2.0
 *
 * account - the product's account of a run against the model's
 */
#pragma once
#include "sim.h"

/* complete: nothing may be missing either. */
void account_check(bool complete);
