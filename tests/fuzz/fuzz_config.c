/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_config - any octets as a configuration file: errors or a configuration, nothing else
 */
#include "ringpost/config.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count_message(void *context, bool error, const char *text)
{
    unsigned *errors = context;
    if (text[0] == '\0') abort();
    *errors += error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned errors = 0;
    const struct config_report report = {count_message, &errors};
    struct config *config =
        config_parse((struct bytes){(const char *)data, size}, "f", "host.example.com", &report);
    if ((config == NULL) != (errors > 0)) abort(); /* never without a word */
    config_free(&config);
    return 0;
}
