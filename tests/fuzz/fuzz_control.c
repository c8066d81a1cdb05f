/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_control - any octets as a request of the control socket; what is understood survives a
 * print and another parse
 */
#include "control.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct control_request request, again;
    char words[200], line[4096];
    struct text why, printed;
    text_init(&why, words, sizeof(words));
    text_init(&printed, line, sizeof(line));
    if (!control_request_parse((struct bytes){(const char *)data, size}, &request, &why)) {
        if (why.len == 0) abort();
        return 0;
    }
    if (request.limit == 0 || request.command >= CONTROL_COMMAND_COUNT) abort();
    if (!control_request_print(&request, &printed)) abort();
    if (!control_request_parse((struct bytes){line, printed.len - 1}, &again, &why)) abort();
    if (again.id != request.id || again.limit != request.limit || again.all != request.all ||
        again.by_site != request.by_site || strcmp(again.domain, request.domain) != 0) {
        abort();
    }
    return 0;
}
