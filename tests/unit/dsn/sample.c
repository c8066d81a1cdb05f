/* SPDX-License-Identifier: Apache-2.0
 *
 * sample - prints one of some reports: sample NAME; test_parse.py reads them with another parser
 */
#include "ringpost/dsn.h"
#include <stdio.h>
#include <stdlib.h>

static struct dsn_recipient recipients[3];
static struct bytes pieces[3];
static struct dsn dsn;

static void base(void)
{
    recipients[0] = (struct dsn_recipient){
        .address = BYTES("bob@b.example"),
        .orcpt = BYTES("rfc822;Bob+2BOriginal@b.example"),
        .action = DSN_FAILED,
        .code = 550,
        .status = {5, 1, 1},
        .text = BYTES("The email account that you tried to reach does not exist. Please try "
                      "double-checking the recipient's address for typos or unnecessary spaces."),
        .remote = BYTES("mx.b.example"),
        .last_attempt = INT64_C(1795244739000),
    };
    pieces[0] = BYTES("Received: from a by relay.example; Sat, 21 Nov 2026 07:05:39 +0000\r\nSub");
    pieces[1] = BYTES("ject: hello\r\nFrom: alice@a.example\r\n\r");
    pieces[2] = BYTES("\n.first line\r\nlast line\r\n");
    dsn = (struct dsn){
        .reporting_mta = BYTES("relay.example"),
        .sender = BYTES("alice@a.example"),
        .id = BYTES("4aF.0001-dsn"),
        .now = INT64_C(1795244740000),
        .arrival = INT64_C(1795244700000),
        .envid = BYTES("QQ+2B314"),
        .recipients = recipients,
        .recipient_count = 1,
        .original = pieces,
        .original_count = 3,
        .original_complete = true,
    };
}

static void mixed(void)
{
    dsn.recipient_count = 3;
    recipients[1] = recipients[2] = recipients[0];
    recipients[1].address = BYTES("carol@b.example");
    recipients[1].action = DSN_DELAYED;
    recipients[1].status = (struct smtp_enhanced){4, 2, 2};
    recipients[1].code = 452;
    recipients[1].text = BYTES("full");
    recipients[1].orcpt = BYTES("");
    recipients[1].will_retry_until = INT64_C(1795680000000);
    recipients[2].address = BYTES("dave@c.example");
    recipients[2].orcpt = BYTES("x400;/S+3D+2FD");
    recipients[2].expired = true;
    recipients[2].local = true;
    recipients[2].code = 421;
    recipients[2].status = (struct smtp_enhanced){4, 4, 1};
    recipients[2].remote = BYTES("");
    recipients[2].text = BYTES("connection to mx.c.example timed out");
}

/* What a stranger may say and what a client may inject, all at once. */
static void hostile(void)
{
    static char text[4000];
    static const char evil[] = "\r\n\r\n--=_4aF.0001-dsn_0\r\nContent-Type: text/html\r\n\r\n<b>\0"
                               "\x1b[31m\xff\xfe\xc3\xa4\x7f Action: delivered\r\nStatus: 2.0.0 ";
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i < 2000 ? evil[i % (sizeof(evil) - 1)] : 'w'; /* and a word without end */
    recipients[0].text = (struct bytes){text, sizeof(text)};
    recipients[0].remote = BYTES("mx\r\nAction: delivered");
    recipients[0].address = BYTES("\"bob\r\nAction: delivered\"@b.example");
    recipients[0].orcpt = BYTES("rfc822;a+0D+0AAction:+20delivered");
    dsn.envid = BYTES("a+0D+0AX: y");
    dsn.sender = BYTES("alice\r\nBcc: eve@e.example\r\n\r\n@a.example");
    pieces[1] = BYTES("--=_4aF.0001-dsn_0--\r\nX: =_4aF.0001-dsn_1\r\n\r");
}

static void utf8_recipient(void)
{
    recipients[0].address = BYTES("j\xc3\xbcrgen@b.example");
    recipients[0].orcpt = BYTES("utf-8;j\\x{FC}rgen@b.example");
    recipients[0].text = BYTES("J\xc3\xbcrgen is unknown");
    pieces[1] = BYTES("ject: gr\xc3\xbc\xc3\x9f\x65\r\n\r");
}

static void utf8_sender(void)
{
    utf8_recipient();
    recipients[0].orcpt = BYTES("utf-8;j\xc3\xbcrgen@b.example");
    dsn.sender = BYTES("\xe4\xb8\xad@a.example");
}

static void long_header(void)
{
    static char line[3000];
    memset(line, 'x', sizeof(line));
    line[1500] = ' ';
    pieces[0] = BYTES("Subject: ");
    pieces[1] = (struct bytes){line, sizeof(line)};
    pieces[2] = BYTES("\r\nX: trailing \r\nY: a=b\xff\r\n\r\nbody\r\n");
}

static const struct {
    const char *name;
    void (*change)(void);
    uint8_t ret;
} samples[] = {
    {"failed", base, 0},
    {"full", base, SMTP_RET_FULL},
    {"mixed", mixed, SMTP_RET_HDRS},
    {"hostile", hostile, 0},
    {"hostile-full", hostile, SMTP_RET_FULL},
    {"utf8-recipient", utf8_recipient, 0},
    {"utf8-recipient-full", utf8_recipient, SMTP_RET_FULL},
    {"utf8-sender", utf8_sender, 0},
    {"utf8-sender-full", utf8_sender, SMTP_RET_FULL},
    {"long-header", long_header, SMTP_RET_FULL},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
        if (argc != 2 || strcmp(argv[1], samples[i].name) != 0) continue;
        base();
        samples[i].change();
        dsn.ret = samples[i].ret;
        const size_t size = dsn_measure(&dsn);
        char *memory = malloc(size + 1);
        if (memory == NULL) return 1;
        struct text out;
        text_init(&out, memory, size + 1);
        (void)dsn_write(&dsn, &out);
        const bool whole = fwrite(out.data, 1, out.len, stdout) == out.len;
        free(memory);
        return whole ? 0 : 1;
    }
    return 2;
}
