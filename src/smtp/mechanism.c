/* SPDX-License-Identifier: Apache-2.0
 *
 * mechanism - names of SASL mechanisms that AUTH may ask for (RFC 4954 section 4)
 */
#include "ringpost/smtp.h"

static const struct {
    const char *name;
    enum smtp_mechanism mechanism;
} mechanisms[] = {
    {"PLAIN", SMTP_MECHANISM_PLAIN},
    {"LOGIN", SMTP_MECHANISM_LOGIN},
    {"SCRAM-SHA-256", SMTP_MECHANISM_SCRAM_SHA_256},
};

uint32_t smtp_mechanism_parse(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_COUNT(mechanisms); i++) {
        if (bytes_equal_nocase(name, bytes_of(mechanisms[i].name))) return mechanisms[i].mechanism;
    }
    return 0;
}

const char *smtp_mechanism_name(enum smtp_mechanism mechanism)
{
    for (size_t i = 0; i < ARRAY_COUNT(mechanisms); i++) {
        if (mechanisms[i].mechanism == mechanism) return mechanisms[i].name;
    }
    UNREACHABLE("smtp_mechanism_name: not one enum smtp_mechanism");
}
