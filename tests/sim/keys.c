/* SPDX-License-Identifier: Apache-2.0
 *
 * keys - the use of a signing key, which may fail: the linker puts it before the product's
 */
#include "peers.h"
#include "ringpost/dkim.h"

static bool have_failed;

bool keys_have_failed(void)
{
    return have_failed;
}

bool __real_dkim_field_sign(struct dkim_field *field, uint32_t slot);
bool __wrap_dkim_field_sign(struct dkim_field *field, uint32_t slot);

bool __wrap_dkim_field_sign(struct dkim_field *field, uint32_t slot)
{
    if (!sim_fault(SIM_FAULT_KEYS, SIM_KEYS, 20)) return __real_dkim_field_sign(field, slot);
    SIM_TRACE("keys: a key fails");
    have_failed = true;
    return false;
}
