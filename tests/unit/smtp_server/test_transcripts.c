/* SPDX-License-Identifier: Apache-2.0
 *
 * test_transcripts - whole sessions: what goes in, which replies come, what the driver is told
 *
 * Each runs in one piece, octet by octet and in random pieces, with answers at once and later; all
 * must give the same record.
 */
#include "toy_driver.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum tweak {
    PLAIN = 0,
    STRANGER = 1,   /* may not relay */
    SMALL = 2,      /* messages of up to 100 octets */
    FEW_RCPTS = 4,  /* two */
    FEW_ERRORS = 8, /* three */
    NO_LINE_MAX = 16,
    NO_EXTENSIONS = 32,
    NO_SIZE_MAX = 64,
    TLS = 128,       /* STARTTLS is offered */
    MUST_TLS = 256,  /* ... and required */
    AUTH = 512,      /* offered, with TLS */
    CLEAR = 1024,    /* ... and without it for those who may relay */
    NO_SCRAM = 2048, /* of AUTH, only PLAIN and LOGIN */
};

struct transcript {
    const char *name;
    struct bytes input;
    const char *replies; /* beginnings, separated by '|'; the greeting and EHLO reply included */
    const char *events;  /* must be in the record; NULL = do not care */
    unsigned tweaks;
    bool no_end; /* no END may be in the record */
};
#define IN(text)                                                                                   \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
#define START     "EHLO client.example\r\n"
#define ENVELOPE  START "MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\n"
#define ENVELOPED "220 |250-|250 2.1.0|250 2.1.5|"
#define QUIT      "QUIT\r\n"
#define LONG_64   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LONG_512  LONG_64 LONG_64 LONG_64 LONG_64 LONG_64 LONG_64 LONG_64 LONG_64
#define LONG      LONG_512 LONG_512 LONG_512 LONG_512

static const struct transcript transcripts[] = {
    {"greeting and quit", IN(QUIT), "220 |221 2.0.0", "CLOSE"},
    {"a message", IN(ENVELOPE "DATA\r\nSubject: x\r\n\r\nhello\r\n.\r\n" QUIT),
     ENVELOPED "354 |250 2.0.0 Ok: queued as 0A1B|221", "END size=21"},
    {"an empty message", IN(ENVELOPE "DATA\r\n.\r\n" QUIT), ENVELOPED "354 |250 2.0.0|221",
     "END size=0"},
    {"stuffed dots", IN(ENVELOPE "DATA\r\n..\r\n...a\r\n.b\r\n.\r\n"), ENVELOPED "354 |250 2.0.0",
     "END size=11 hash"},
    {"leading dot flag", IN(ENVELOPE "DATA\r\na\r\n..b\r\n.\r\n"), ENVELOPED "354 |250", "flags=2"},
    {"8-bit flag", IN(ENVELOPE "DATA\r\nS: x\r\n\r\n\xc3\xa4\r\n.\r\n"), ENVELOPED "354 |250",
     "flags=1"},
    {"8-bit header flag", IN(ENVELOPE "DATA\r\nS: \xc3\xa4\r\n\r\n\r\n.\r\n"), ENVELOPED "354 |250",
     "flags=9"},
    {"HELO", IN("HELO client\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n"),
     "220 |250 localhost|250|250|354|250", "protocol=SMTP\n"},
    {"HELO knows no parameters", IN("HELO c\r\nMAIL FROM:<a@b> SIZE=1\r\n"), "220|250 |555 5.5.4",
     NULL},
    {"EHLO protocol", IN(ENVELOPE "DATA\r\n.\r\n"), ENVELOPED "354|250", "protocol=ESMTP\n"},
    {"UTF8SMTP protocol",
     IN(START "MAIL FROM:<\xc3\xa4@b> SMTPUTF8\r\nRCPT TO:<\xc3\xb6@d>\r\nDATA\r\n.\r\n"),
     "220|250-|250|250|354|250", "protocol=UTF8SMTP\n"},
    {"two messages pipelined",
     IN(ENVELOPE "DATA\r\n1\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<c@d>\r\nDATA\r\n22\r\n.\r\n" QUIT),
     ENVELOPED "354|250|250|250|354|250|221", "MAIL  size=0"},
    {"order: no EHLO", IN("MAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\n" START),
     "220|503 5.5.1|503 5.5.1|503 5.5.1|250-", NULL},
    {"order: RCPT, DATA without MAIL", IN(START "RCPT TO:<a@b>\r\nDATA\r\n"),
     "220|250-|503 5.5.1|503 5.5.1", NULL},
    {"order: MAIL twice", IN(ENVELOPE "MAIL FROM:<c@d>\r\nDATA\r\n.\r\n"),
     ENVELOPED "503 5.5.1|354|250", "END"},
    {"order: DATA without RCPT", IN(START "MAIL FROM:<a@b>\r\nDATA\r\nRCPT TO:<c@d>\r\n"),
     "220|250-|250|503 5.5.1|250", NULL},
    {"DATA after refused RCPT",
     IN(START "MAIL FROM:<a@b>\r\nRCPT TO:<nobody@d>\r\nDATA\r\nRSET\r\n"),
     "220|250-|250|550 5.1.1|554 5.5.1|250 2.0.0", "ABORT"},
    {"RSET", IN(ENVELOPE "RSET\r\nDATA\r\nMAIL FROM:<>\r\n"),
     ENVELOPED "250 2.0.0|503 5.5.1|250 2.1.0", "ABORT"},
    {"RSET before EHLO", IN("RSET\r\nMAIL FROM:<>\r\n"), "220|250 2.0.0|503", NULL},
    {"EHLO again resets", IN(ENVELOPE START "DATA\r\n"), ENVELOPED "250-|503 5.5.1", "ABORT"},
    {"a bad EHLO resets nothing", IN(ENVELOPE "EHLO\r\nEHLO a b\r\nDATA\r\n.\r\n"),
     ENVELOPED "501 5.5.4|501 5.5.4|354|250", "END"},
    {"EHLO literals",
     IN("EHLO [fe80::1]\r\nEHLO [x\r\nEHLO x]\r\nEHLO []\r\nEHLO [[x]]\r\nEHLO a[b]\r\n"),
     "220|250-|501|501|501|501|501", NULL},
    {"EHLO names",
     IN("EHLO [127.0.0.1]\r\nEHLO [IPv6:::1]\r\nEHLO my_host-1\r\nEHLO (x\r\nEHLO "
        "a\"b\r\nHELO \xc3\xa4\r\n"),
     "220|250-|250-|250-|501|501|501", NULL},
    {"QUIT in a transaction", IN(ENVELOPE QUIT), ENVELOPED "221", "ABORT"},
    {"NOOP HELP VRFY", IN("NOOP\r\nNOOP x y\r\nHELP\r\nHELP MAIL\r\nVRFY a@b\r\nVRFY\r\n"),
     "220|250 2.0.0|250|214 2.0.0|214|252 2.1.5|501 5.5.4", NULL},
    {"VRFY with UTF-8 disturbs nothing",
     IN(ENVELOPE "VRFY \xc3\xa4\xff\r\nVRFY <x@y> SMTPUTF8\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n"),
     ENVELOPED "252|252|250|354|250", "END"},
    {"not implemented",
     IN("EXPN x\r\nTURN\r\nSEND FROM:<a>\r\nSOML\r\nSAML\r\nETRN x\r\nSTARTTLS\r\n"),
     "220|502 5.5.1|502|502|502|502|502|502", NULL},
    {"not known", IN("FOO\r\n\r\nMAILX\r\n123\r\n\xff\r\nMAIL:x\r\n"),
     "220|500 5.5.1|500|500|500 5.5.2|500|500", NULL},
    {"verbs in any case", IN("ehlo x\r\nmail from:<a@b>\r\nRcpt To:<c@d>\r\ndata\r\n.\r\nquit\r\n"),
     "220|250-|250|250|354|250|221", NULL},
    {"blanks", IN(START "MAIL FROM: <a@b> \r\nRCPT  TO:  <c@d>  NOTIFY=NEVER \t\r\nDATA \r\n.\r\n"),
     "220|250-|250|250|354|250", NULL},
    {"arguments where none belong", IN(START "RSET x\r\nQUIT x\r\nDATA x\r\n"),
     "220|250-|501 5.5.4|501 5.5.4|503", NULL},
    {"bare LF ends no command", IN("NOOP\nNOOP\r\nNOOP\r\n"), "220|500 5.5.2|250", NULL},
    {"bare CR ends no command", IN("NOOP\rNOOP\r\nNOOP\r\r\nNOOP\r\n"), "220|500 5.5.2|500|250",
     NULL},
    {"controls in commands", IN("NOOP \0\r\nNOOP \x01\r\nEHLO a\tb\r\nNOOP \x7f\r\n"),
     "220|500 5.5.2|500 5.5.2|500 5.5.2|500 5.5.2", NULL},
    {"control in a path", IN(START "MAIL FROM:<\"a\x01\"@b>\r\nMAIL FROM:<a@b\0>\r\n"),
     "220|250-|500|500", NULL},

    {"path syntax",
     IN(START "MAIL FROM:a@b\r\nMAIL FROM:<a>\r\nMAIL FROM:<a@b\r\nMAIL FROM:<a@b>x\r\nMAIL "
              "TO:<a@b>\r\nMAIL\r\nMAIL FROM:<a b@c>\r\n"),
     "220|250-|501 5.1.7|501 5.1.7|501 5.1.7|501 5.5.4|501 5.1.7|501 5.5.4|501 5.1.7", NULL},
    {"recipient syntax",
     IN(START "MAIL FROM:<>\r\nRCPT TO:<>\r\nRCPT TO:<a>\r\nRCPT FROM:<a@b>\r\n"),
     "220|250-|250|501 5.1.3|501 5.1.3|501 5.1.3", NULL},
    {"Postmaster", IN(START "MAIL FROM:<>\r\nRCPT TO:<PostMaster>\r\n"), "220|250-|250|250 2.1.5",
     "RCPT PostMaster"},
    {"quoted local part",
     IN(START "MAIL FROM:<\"a b\\\"c\"@d>\r\nRCPT TO:<\"x>y\"@[192.0.2.1]>\r\n"),
     "220|250-|250|250", "RCPT \"x>y\"@[192.0.2.1] "},
    {"source route", IN(START "MAIL FROM:<@x,@y:a@b>\r\nRCPT TO:<@x:c@d>\r\n"), "220|250-|250|250",
     "MAIL a@b "},
    {"UTF-8 address without SMTPUTF8",
     IN(START "MAIL FROM:<\xc3\xa4@b>\r\nMAIL FROM:<a@b>\r\nRCPT "
              "TO:<\xc3\xa4@b>\r\n"),
     "220|250-|553 5.6.7|250|553 5.6.7", NULL},
    {"parameters",
     IN(START
        "MAIL FROM:<a@b> SIZE=99 BODY=8BITMIME RET=HDRS ENVID=e+2Bf SMTPUTF8\r\nRCPT TO:<c@d> "
        "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c+3Dd\r\n"),
     "220|250-|250|250", "MAIL a@b size=99 body=1 ret=2 envid=e+2Bf utf8=1\n"},
    {"recipient parameters",
     IN(START "MAIL FROM:<>\r\nRCPT TO:<c@d> ORCPT=rfc822;x NOTIFY=NEVER\r\n"), "220|250-|250|250",
     "RCPT c@d notify=1 orcpt=rfc822;x\n"},
    {"bad parameters",
     IN(START "MAIL FROM:<> FOO\r\nMAIL FROM:<> SIZE=x\r\nMAIL FROM:<> SIZE=1 SIZE=1\r\nMAIL "
              "FROM:<> BODY=BINARY\r\nMAIL FROM:<> RET=x\r\nMAIL FROM:<> ENVID=+0D+0A\r\nMAIL "
              "FROM:<> AUTH=<>\r\nMAIL FROM:<> SIZE=123456789012345678901\r\n"),
     "220|250-|555 5.5.4|501 5.5.4|501|501 5.5.4|501|501|555|501", NULL},
    {"bad recipient parameters",
     IN(START "MAIL FROM:<>\r\nRCPT TO:<a@b> FOO=1\r\nRCPT TO:<a@b> NOTIFY=NEVER,DELAY\r\nRCPT "
              "TO:<a@b> ORCPT=x\r\nRCPT TO:<a@b> ORCPT=utf-8;\xc3\xa4\r\n"),
     "220|250-|250|555 5.5.4|501|501|501", NULL},
    {"extensions off",
     IN(START "MAIL FROM:<> RET=FULL\r\nMAIL FROM:<> SMTPUTF8\r\nMAIL FROM:<> "
              "BODY=8BITMIME\r\nMAIL FROM:<> BODY=BINARYMIME\r\nBDAT 3\r\nNOOMAIL "
              "FROM:<>\r\n"),
     "220|250-|555|555|555|504 5.5.4|502 5.5.1|250", NULL, NO_EXTENSIONS},
    {"recipient parameters with DSN off",
     IN(START "MAIL FROM:<>\r\nRCPT TO:<a@b> NOTIFY=NEVER\r\n"),
     "220|250-|250|555 5.5.4 DSN is not offered", NULL, NO_EXTENSIONS},
    {"HELO knows no parameters of recipients",
     IN("HELO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<a@b> NOTIFY=NEVER\r\n"),
     "220|250 |250|555 5.5.4 Parameters need EHLO", NULL},
    {"addresses that are too long",
     IN(START "MAIL FROM:<" LONG_512 "@b>\r\nMAIL FROM:<a@b>\r\nRCPT TO:<" LONG_512 "@b>\r\n"),
     "220|250-|501 5.1.7 Sender address too long|250|501 5.1.3 Recipient address too long", NULL},
    {"SIZE too big", IN(START "MAIL FROM:<> SIZE=101\r\nMAIL FROM:<> SIZE=100\r\n"),
     "220|250-|552 5.3.4|250", NULL, SMALL},
    {"SIZE of 20 digits", IN(START "MAIL FROM:<> SIZE=99999999999999999999\r\n"),
     "220|250-|552 5.3.4", NULL},
    {"SIZE without limit", IN(START "MAIL FROM:<> SIZE=99999999999999999999\r\n"), "220|250-|250",
     NULL, NO_SIZE_MAX},

    {"relay denied",
     IN(START "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<Postmaster>\r\nDATA\r\n"),
     "220|250-|250|550 5.7.1|550 5.7.1|554", NULL, STRANGER, true},
    {"too many recipients",
     IN(ENVELOPE "RCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nRCPT TO:<g@h>\r\nDATA\r\n.\r\n"),
     ENVELOPED "250|452 4.5.3|452 4.5.3|354|250", "END", FEW_RCPTS},
    {"too many errors", IN("A\r\nB\r\nC\r\nD\r\nE\r\n"), "220|500|500|500|421 4.7.0", "CLOSE",
     FEW_ERRORS},
    {"errors are forgotten with a message",
     IN("A\r\nB\r\nC\r\n" ENVELOPE "DATA\r\n.\r\nA\r\nB\r\nC\r\nD\r\n"),
     "220|500|500|500|250-|250|250|354|250|500|500|500|421", "CLOSE", FEW_ERRORS},
    {"too many errors in a transaction", IN(ENVELOPE "A\r\nA\r\nA\r\nA\r\n"),
     ENVELOPED "500|500|500|421 4.7.0", "ABORT\nS: 421", FEW_ERRORS},
    {"HTTP", IN("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "220|421 4.7.0", "CLOSE"},
    {"HTTP POST", IN("POST / HTTP/1.1\r\n\r\nEHLO x\r\n"), "220|421", "CLOSE"},
    {"other HTTP", IN("CONNECT x:25 HTTP/1.1\r\n\r\nEHLO x\r\n"), "220|421", "CLOSE"},

    {"HTTP in an overlong line", IN("POST /" LONG " HTTP/1.1\r\n\r\nEHLO x\r\n"), "220|421",
     "CLOSE"},
    {"HTTP with a bare LF", IN("POST / HTTP/1.1\nHost: x\n\nEHLO x\r\n"), "220|421", "CLOSE"},
    {"HTTP with a tab", IN("GET\t/ HTTP/1.1\r\n\r\nEHLO x\r\n"), "220|421", "CLOSE"},
    {"HTTP by an unknown method", IN("SEARCH / HTTP/1.1\r\n\r\nEHLO x\r\n"), "220|421", "CLOSE"},
    {"not HTTP", IN("NOOP / HTTP/1.1\r\n"), "220|250", NULL},

    {"behind a refused MAIL nothing counts",
     IN(START "MAIL FROM:<busy@b>\r\nRCPT TO:<a@b>\r\nRCPT TO:<a@b>\r\nRCPT TO:<a@b>\r\n"
              "RCPT TO:<a@b>\r\nDATA\r\nBDAT 2 LAST\r\n\r\nMAIL FROM:<a@b>\r\n"),
     "220|250-|452|503|503|503|503|503|503|250", NULL, FEW_ERRORS},
    {"behind a MAIL that is too big nothing counts",
     IN(START "MAIL FROM:<> SIZE=101\r\nRCPT TO:<a@b>\r\nRCPT TO:<a@b>\r\nRCPT TO:<a@b>\r\n"
              "RCPT TO:<a@b>\r\nRSET\r\nDATA\r\nDATA\r\nDATA\r\nDATA\r\n"),
     "220|250-|552|503|503|503|503|250|503|503|503|421", NULL, SMALL | FEW_ERRORS},

    {"driver: 452 to MAIL", IN(START "MAIL FROM:<busy@b>\r\nMAIL FROM:<a@b>\r\n"),
     "220|250-|452 4.3.1|250", NULL},
    {"driver: 421 to MAIL", IN(START "MAIL FROM:<gone@b>\r\nMAIL FROM:<a@b>\r\n"),
     "220|250-|421 4.3.2", "CLOSE"},
    {"driver: 421 to RCPT", IN(START "MAIL FROM:<a@b>\r\nRCPT TO:<gone@b>\r\n"),
     "220|250-|250|421 4.3.2", "ABORT\nS: 421"},
    {"driver: one recipient refused", IN(ENVELOPE "RCPT TO:<nobody@b>\r\nDATA\r\n.\r\n"),
     ENVELOPED "550 5.1.1|354|250", "END"},
    {"driver: 452 to DATA",
     IN(START "MAIL FROM:<full@b>\r\nRCPT TO:<a@b>\r\nDATA\r\nMAIL FROM:<>\r\n"),
     "220|250-|250|250|452 4.3.1|250", NULL, 0, true},
    {"driver: 451 to END",
     IN(START "MAIL FROM:<broken@b>\r\nRCPT TO:<a@b>\r\nDATA\r\n.\r\nMAIL FROM:<>\r\n"),
     "220|250-|250|250|354|451 4.3.0|250", "END"},
    {"driver: 452 to BDAT",
     IN(START "MAIL FROM:<full@b>\r\nRCPT TO:<a@b>\r\nBDAT 6\r\nQUIT\r\nBDAT 2\r\nxxBDAT 0 "
              "LAST\r\nMAIL FROM:<>\r\n"),
     "220|250-|250|250|452 4.3.1|503 5.5.1|503 5.5.1|250", NULL, 0, true},

    {"BDAT", IN(ENVELOPE "BDAT 7 LAST\r\nS: x\r\n\nQUIT\r\n"), ENVELOPED "550 5.5.2|221", "ABORT",
     0, true},
    {"BDAT LAST", IN(ENVELOPE "BDAT 8 LAST\r\nS: x\r\n\r\nQUIT\r\n"), ENVELOPED "250 2.0.0|221",
     "END size=8"},
    {"BDAT chunks", IN(ENVELOPE "BDAT 5\r\nS: x\rBDAT 3\r\n\n\r\nBDAT 0 LAST\r\n" QUIT),
     ENVELOPED "250 2.0.0|250 2.0.0|250 2.0.0 Ok: queued|221", "END size=8"},
    {"BDAT keeps dots", IN(ENVELOPE "BDAT 11 LAST\r\n.\r\n..\r\n...\rQUIT\r\n"),
     ENVELOPED "550 5.5.2|221", "ABORT", 0, true},
    {"BDAT with dots", IN(ENVELOPE "BDAT 7 LAST\r\n.\r\n..\r\nQUIT\r\n"), ENVELOPED "250|221",
     "END size=7 hash"},
    {"BDAT without final CRLF", IN(ENVELOPE "BDAT 1 LAST\r\nxQUIT\r\n"), ENVELOPED "250|221",
     "flags=4"},
    {"binary body",
     IN(START "MAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<c@d>\r\nBDAT 15 LAST\r\nA: b\r\n\r\n\r\n"
              "\n\0\r.\xff" QUIT),
     "220|250-|250|250|250 2.0.0|221", "END size=15 "},
    {"binary body, long line",
     IN(START "MAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<c@d>\r\nBDAT 2052 LAST\r\n\r\n" LONG
              "\r\n" QUIT),
     "220|250-|250|250|250 2.0.0|221", "END size=2052 "},
    {"binary body, header with a bare LF",
     IN(START
        "MAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<c@d>\r\nBDAT 10 LAST\r\nA: b\nC\r\n\r\n" QUIT),
     "220|250-|250|250|550 5.6.0|221", "ABORT"},
    {"binary body, header with a bare CR",
     IN(START
        "MAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<c@d>\r\nBDAT 10 LAST\r\nA: b\rC\r\n\r\n" QUIT),
     "220|250-|250|250|550 5.6.0|221", "ABORT"},
    {"binary body, header with NUL",
     IN(START
        "MAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<c@d>\r\nBDAT 10 LAST\r\nA: b\0C\r\n\r\n" QUIT),
     "220|250-|250|250|550 5.6.0|221", "ABORT"},
    {"binary body, header that ends in CR",
     IN(START "MAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<c@d>\r\nBDAT 5 LAST\r\nA: b\r" QUIT),
     "220|250-|250|250|550 5.6.0|221", "ABORT"},
    {"binary body, no header",
     IN(START "MAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<c@d>\r\nBDAT 5 LAST\r\n\0\n\r\r\0" QUIT),
     "220|250-|250|250|250 2.0.0|221", "END size=5 "},
    {"binary body, DATA",
     IN(START "MAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<c@d>\r\nDATA\r\nBDAT 1 LAST\r\n\n" QUIT),
     "220|250-|250|250|503 5.5.1|250 2.0.0|221", "END size=1 "},
    {"BDAT 0 LAST alone", IN(ENVELOPE "BDAT 0 LAST\r\n" QUIT), ENVELOPED "250|221", "END size=0"},
    {"BDAT without anything",
     IN("BDAT 6\r\nQUIT\r\nNOOP\r\n" START "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"),
     "220|503 5.5.1|250|250-|503 5.5.1|250", NULL},
    {"BDAT without RCPT",
     IN(START "MAIL FROM:<>\r\nBDAT 6\r\nQUIT\r\nRCPT TO:<a@b>\r\nBDAT 0 LAST\r\n"),
     "220|250-|250|503 5.5.1|250|250", "END size=0"},
    {"BDAT in HELO",
     IN("HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nBDAT 6 LAST\r\nQUIT\r\nDATA\r\n"),
     "220|250|250|250|503 5.5.1|354", NULL},
    {"DATA, MAIL, RCPT after BDAT",
     IN(ENVELOPE "BDAT 1\r\nxDATA\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nBDAT 0 LAST\r\n"),
     ENVELOPED "250|503 5.5.1|503 5.5.1|503 5.5.1|250", "END size=1"},
    {"RSET after BDAT", IN(ENVELOPE "BDAT 1\r\nxRSET\r\nBDAT 1\r\nxNOOP\r\n"),
     ENVELOPED "250|250|503|250", "ABORT", 0, true},
    {"BDAT after a failed one",
     IN(ENVELOPE "BDAT 2\r\n\n\nBDAT 6\r\nQUIT\r\nNOOP\r\nRCPT TO:<a@b>\r\nRSET\r\nMAIL "
                 "FROM:<>\r\n"),
     ENVELOPED "550 5.5.2|503 5.5.1|250|503|250|250", "ABORT", 0, true},
    {"LAST ends a failed transaction",
     IN(ENVELOPE "BDAT 2\r\n\n\nBDAT 6 LAST\r\nQUIT\r\nMAIL FROM:<>\r\n"),
     ENVELOPED "550 5.5.2|503 5.5.1|250 2.1.0", "ABORT", 0, true},
    {"BDAT CR at the very end", IN(ENVELOPE "BDAT 2\r\nx\rBDAT 0 LAST\r\n" QUIT),
     ENVELOPED "250|550 5.5.2|221", "ABORT", 0, true},
    {"BDAT size missing", IN(ENVELOPE "BDAT\r\nMAIL FROM:<evil@x>\r\n"), ENVELOPED "501 5.5.4",
     "closing connection\r\nCLOSE", 0, true},
    {"BDAT bad size", IN(ENVELOPE "BDAT -1\r\nQUIT\r\n"), ENVELOPED "501 5.5.4", "CLOSE", 0, true},
    {"BDAT hex size", IN(ENVELOPE "BDAT 0x10 LAST\r\nQUIT\r\n"), ENVELOPED "501", "CLOSE"},
    {"BDAT size over 64 bits", IN(ENVELOPE "BDAT 18446744073709551616\r\nQUIT\r\n"),
     ENVELOPED "501", "CLOSE"},
    {"BDAT no LAST", IN(ENVELOPE "BDAT 1 FIRST\r\nQUIT\r\n"), ENVELOPED "501", "CLOSE"},
    {"BDAT with a tab", IN(ENVELOPE "BDAT\t1\r\nQUIT\r\n"), ENVELOPED "501", "CLOSE"},
    {"BDAT with a bare CR", IN(ENVELOPE "BDAT 1\r LAST\r\nQUIT\r\n"), ENVELOPED "501", "CLOSE"},
    {"BDAT too big at once", IN(ENVELOPE "BDAT 101\r\n"), ENVELOPED "", "ABORT", SMALL, true},
    {"BDAT too big together",
     IN(ENVELOPE
        "BDAT 60\r\n"
        "123456789012345678901234567890123456789012345678901234567890"
        "BDAT 41 LAST\r\n12345678901234567890123456789012345678901NOOP\r\nMAIL FROM:<>\r\n"),
     ENVELOPED "250|552 5.3.4|250|250", "ABORT", SMALL, true},
    {"BDAT huge", IN(ENVELOPE "BDAT 18446744073709551615\r\nQUIT\r\nQUIT\r\n"), ENVELOPED "",
     "ABORT", 0, true},
    {"BDAT huge second", IN(ENVELOPE "BDAT 1\r\nxBDAT 18446744073709551615\r\nQUIT\r\n"),
     ENVELOPED "250", NULL, NO_SIZE_MAX, true},

    {"DATA too big",
     IN(ENVELOPE
        "DATA\r\n0123456789012345678901234567890123456789012345678901234567890123456789\r\n"
        "0123456789012345678901234567890123456789\r\n.\r\nNOOP\r\n"),
     ENVELOPED "354|552 5.3.4|250", "ABORT", SMALL, true},
    {"two faults, one reply: the smuggling",
     IN(ENVELOPE
        "DATA\r\n0123456789012345678901234567890123456789012345678901234567890123456789\r\n"
        "0123456789012345678901234567890123456789\r\n\n\0\r\n.\r\nNOOP\r\n"),
     ENVELOPED "354|550 5.5.2|250", "ABORT", SMALL, true},
    {"NUL", IN(ENVELOPE "DATA\r\na\0b\r\n.\r\n"), ENVELOPED "354|550 5.6.0", "ABORT", 0, true},
    {"loop", IN(ENVELOPE "DATA\r\nReceived: 1\r\nreceived : 2\r\nX: y\r\nRECEIVED: 3\r\n\r\n.\r\n"),
     ENVELOPED "354|554 5.4.6", "ABORT", FEW_RCPTS, true},
    {"no loop in the body",
     IN(ENVELOPE "DATA\r\nReceived: 1\r\n\r\nReceived: 2\r\nReceived: 3\r\n.\r\n"),
     ENVELOPED "354|250", "received=1", FEW_RCPTS},
    {"too many Return-Paths",
     IN(ENVELOPE "DATA\r\nReturn-Path: 1\r\nReturn-Path: 2\r\nReturn-Path: 3\r\nReturn-Path: 4\r\n"
                 "Return-Path: 5\r\nReturn-Path: 6\r\nReturn-Path: 7\r\nReturn-Path: 8\r\n"
                 "Return-Path: 9\r\n.\r\n"),
     ENVELOPED "354|550 5.6.0", "ABORT", 0, true},
    {"facts",
     IN(ENVELOPE "DATA\r\nDate: x\r\nReturn-Path: <a@b>\r\n\tmore\r\nfrom:y\r\nMessage-ID:\r\n"
                 "\r\nbody\r\n.\r\n"),
     ENVELOPED "354|250", "cuts=1 date=1 id=1 from=1 none=0"},
    {"no header", IN(ENVELOPE "DATA\r\nhello\r\nDate: x\r\nReturn-Path: y\r\nReceived: z\r\n.\r\n"),
     ENVELOPED "354|250", "len=0 received=0 cuts=0 date=0 id=0 from=0 none=1"},

/* Each variant hides a second message behind something that another server may take for the end
 * of data. Here it is content, and refused for the bare CR or LF. */
#define SMUGGLED(end) IN(ENVELOPE "DATA\r\nx" end "MAIL FROM:<evil@x>\r\n\r\n.\r\nQUIT\r\n")
#define REFUSED       ENVELOPED "354|550 5.5.2|221", "ABORT", 0, true
    {"smuggling LF . LF", SMUGGLED("\n.\n"), REFUSED},
    {"smuggling LF . CRLF", SMUGGLED("\n.\r\n"), REFUSED},
    {"smuggling LF . CR", SMUGGLED("\n.\r"), REFUSED},
    {"smuggling CRLF . LF", SMUGGLED("\r\n.\n"), REFUSED},
    {"smuggling CRLF . CR", SMUGGLED("\r\n.\r"), REFUSED},
    {"smuggling CR . CR", SMUGGLED("\r.\r"), REFUSED},
    {"smuggling CR . LF", SMUGGLED("\r.\n"), REFUSED},
    {"smuggling CR . CRLF", SMUGGLED("\r.\r\n"), REFUSED},
    {"smuggling CRLF . CRCRLF", SMUGGLED("\r\n.\r\r\n"), REFUSED},
    {"smuggling CRCRLF . CRLF", SMUGGLED("\r\r\n.\r\r\n"), REFUSED},
    {"smuggling LFCR . LFCR", SMUGGLED("\n\r.\n\r"), REFUSED},
    {"smuggling LF . CRLF first", IN(ENVELOPE "DATA\r\n\n.\r\nQUIT\r\n.\r\nQUIT\r\n"), REFUSED},
    {"smuggling . LF first", IN(ENVELOPE "DATA\r\n.\nQUIT\r\n.\r\nQUIT\r\n"), REFUSED},
    {"smuggling CRLF NUL . CRLF", SMUGGLED("\r\n\0.\r\n"), ENVELOPED "354|550 5.6.0|221", "ABORT",
     0, true},
    {"smuggling CRLF . NUL CRLF", SMUGGLED("\r\n.\0\r\n"), ENVELOPED "354|550 5.6.0|221", "ABORT",
     0, true},
#define CHUNK(end) IN(ENVELOPE "BDAT 8 LAST\r\nabcde" end "QUIT\r\n")
#define NOT_TAKEN  ENVELOPED "550 5.5.2|221", "ABORT", 0, true
    {"BDAT smuggling LF . LF", CHUNK("\n.\n"), NOT_TAKEN},
    {"BDAT smuggling CR . CR", CHUNK("\r.\r"), NOT_TAKEN},
    {"BDAT smuggling LF . CR", CHUNK("\n.\r"), NOT_TAKEN},
    {"BDAT smuggling CR . LF", CHUNK("\r.\n"), NOT_TAKEN},
    {"BDAT LFCRLF", CHUNK("\n\r\n"), NOT_TAKEN},
    {"BDAT CRCRLF", CHUNK("\r\r\n"), NOT_TAKEN},
    {"BDAT NUL", CHUNK("\0\r\n"), ENVELOPED "550 5.6.0|221", "ABORT", 0, true},

    {"STARTTLS", IN(START "STARTTLS\r\n" ENVELOPE "DATA\r\n.\r\n" QUIT),
     "220|250-|220 2.0.0|250-|250|250|354|250|221", "protocol=ESMTPS\n", TLS},
    {"STARTTLS in any case, with a blank", IN(START "starttls \r\n" START), "220|250-|220|250-",
     "TLS\n", TLS},
    {"STARTTLS before EHLO", IN("STARTTLS\r\n" START), "220|220 2.0.0|250-", "TLS\n", TLS},
    {"STARTTLS forgets", IN(START "STARTTLS\r\nMAIL FROM:<a@b>\r\nSTARTTLS\r\n" START),
     "220|250-|220|503 5.5.1|503 5.5.1|250-", NULL, TLS},
    {"STARTTLS twice", IN(START "STARTTLS\r\n" START "STARTTLS\r\nNOOP\r\n"),
     "220|250-|220|250-|503 5.5.1|250", NULL, TLS},
    {"STARTTLS in a transaction", IN(ENVELOPE "STARTTLS\r\nDATA\r\n.\r\n"),
     ENVELOPED "503 5.5.1|354|250", "protocol=ESMTP\n", TLS},
    {"STARTTLS with an argument", IN(START "STARTTLS now\r\nNOOP\r\n"), "220|250-|501 5.5.4|250",
     NULL, TLS},
    {"STARTTLS in content", IN(ENVELOPE "DATA\r\nSTARTTLS\r\n.\r\n"), ENVELOPED "354|250", "END",
     TLS},
    {"HELO and TLS",
     IN("HELO c\r\nSTARTTLS\r\nHELO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
        "DATA\r\n.\r\n"),
     "220|250|220|250|250|250|354|250", "protocol=SMTP\n", TLS},
    {"SMTPUTF8 and TLS",
     IN(START "STARTTLS\r\n" START "MAIL FROM:<> SMTPUTF8\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n"),
     "220|250-|220|250-|250|250|354|250", "protocol=UTF8SMTPS\n", TLS},

    {"TLS required",
     IN(START "NOOP\r\nMAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\nRSET\r\nVRFY x\r\nHELP\r\n"
              "HELO c\r\nAUTH PLAIN AHVzZXIAcGFzcw==\r\nBDAT 6\r\nQUIT\r\nXYZZY\r\n"
              "STARTTLS\r\n" ENVELOPE "DATA\r\n.\r\n"),
     "220|250-|250|530 5.7.0|530|530|530|530|530|530|530|530|500|220|250-|250|250|354|250",
     "protocol=ESMTPS", MUST_TLS | AUTH},
    {"TLS required, QUIT", IN(QUIT), "220|221", "CLOSE", MUST_TLS},
    {"TLS required, refused commands count", IN("RSET\r\nRSET\r\nRSET\r\nRSET\r\n"),
     "220|530|530|530|421 4.7.0", "CLOSE", MUST_TLS | FEW_ERRORS},

    {"AUTH PLAIN, response at once", IN(START "AUTH PLAIN AHVzZXIAcGFzcw==\r\n" QUIT),
     "220|250-|235 2.7.0|221", "AUTH PLAIN first=1 has=1 len=10", CLEAR},
    {"AUTH PLAIN, response later", IN(START "auth plain\r\nAHVzZXIAcGFzcw==\r\n" QUIT),
     "220|250-|334 \r\n|235 2.7.0|221", "AUTH PLAIN first=0 has=1 len=10", CLEAR},
    {"AUTH LOGIN", IN(START "AUTH LOGIN\r\ndXNlcg==\r\ncGFzcw==\r\n" QUIT),
     "220|250-|334 VXNlcm5hbWU6\r\n|334 UGFzc3dvcmQ6\r\n|235|221", NULL, CLEAR},
    {"AUTH LOGIN, user at once", IN(START "AUTH LOGIN dXNlcg==\r\ncGFzcw==\r\n" QUIT),
     "220|250-|334 UGFzc3dvcmQ6|235|221", NULL, CLEAR},
    {"AUTH with long challenges",
     IN(START "AUTH SCRAM-SHA-256 YQ==\r\nYQ==\r\nYQ==\r\nYQ==\r\n" QUIT),
     "220|250-|334 AAAA|334 AAAA|334 AAAA|235|221", NULL, CLEAR},
    {"AUTH, empty response", IN(START "AUTH SCRAM-SHA-256 =\r\nYQ==\r\n\r\nYQ==\r\n" QUIT),
     "220|250-|334 AAAA|334 AAAA|334 AAAA|235|221", "first=1 has=1 len=0", CLEAR},
    {"AUTH, verdicts",
     IN(START "AUTH PLAIN YQ==\r\nAUTH PLAIN YnVzeQ==\r\nAUTH PLAIN YnVzeQ==\r\n"
              "AUTH PLAIN\r\nYQ==\r\nAUTH PLAIN AHVzZXIAcGFzcw==\r\n"),
     "220|250-|535 5.7.8|454 4.7.0|454|334|535|235", NULL, CLEAR},
    {"AUTH, too many failures",
     IN(START "AUTH PLAIN YQ==\r\nAUTH PLAIN YQ==\r\nAUTH LOGIN\r\nYQ==\r\nYQ==\r\n"
              "AUTH PLAIN AHVzZXIAcGFzcw==\r\n"),
     "220|250-|535 5.7.8|535|334|334|535", "S: 535 5.7.8 Authentication failed\r\n421 4.7.0",
     CLEAR},
    {"AUTH cancelled", IN(START "AUTH PLAIN\r\n*\r\nNOOP\r\nAUTH LOGIN\r\n*\r\n"),
     "220|250-|334|501 5.7.0|250|334|501 5.7.0", "AUTH OVER\nS: 501", CLEAR},
    {"AUTH cancelled too often",
     IN(START "AUTH PLAIN\r\n*\r\nAUTH PLAIN\r\n*\r\nAUTH PLAIN\r\n*"
              "\r\nAUTH PLAIN\r\n*\r\n" QUIT),
     "220|250-|334|501|334|501|334|501|334|421 4.7.0", "AUTH OVER\nS: 421", CLEAR | FEW_ERRORS},
    {"AUTH, not base64",
     IN(START "AUTH PLAIN AHVzZXIAcGFzcw=\r\nAUTH PLAIN AHVz ZXIAcGFzcw==\r\nAUTH PLAIN\r\n!\r\n"
              "AUTH PLAIN\r\nNOOP\r\nAUTH PLAIN\r\n=\r\nAUTH PLAIN\r\nYQ==\n\r\nNOOP\r\n"),
     "220|250-|501 5.5.2|501 5.5.2|334|501 5.5.2|334|535|334|501 5.5.2|334|501 5.5.2|250",
     "AUTH OVER", CLEAR},
    {"AUTH syntax",
     IN(START "AUTH\r\nAUTH GSSAPI\r\nAUTH CRAM-MD5 YQ==\r\nAUTH  PLAIN  AHVzZXIAcGFzcw==\r\n"),
     "220|250-|501 5.5.4|504 5.5.4|504 5.5.4|235", NULL, CLEAR},
    {"AUTH, mechanism that is not offered", IN(START "AUTH SCRAM-SHA-256 YQ==\r\n"),
     "220|250-|504 5.5.4", NULL, CLEAR | NO_SCRAM},
    {"AUTH order",
     IN("AUTH PLAIN AHVzZXIAcGFzcw==\r\nHELO c\r\nAUTH PLAIN AHVzZXIAcGFzcw==\r\n" ENVELOPE
        "AUTH PLAIN AHVzZXIAcGFzcw==\r\nRSET\r\nAUTH PLAIN AHVzZXIAcGFzcw==\r\n"
        "AUTH PLAIN AHVzZXIAcGFzcw==\r\n" ENVELOPE "AUTH PLAIN YQ==\r\nDATA\r\n.\r\n"),
     "220|503 5.5.1|250|503 5.5.1|250-|250|250|503 5.5.1|250|235|503 5.5.1|250-|250|250|503 5.5.1|"
     "354|250",
     "protocol=ESMTPA\n", CLEAR},
    {"AUTH stays for the session",
     IN(START "AUTH PLAIN AHVzZXIAcGFzcw==\r\n" ENVELOPE "DATA\r\n.\r\nMAIL FROM:<> SMTPUTF8\r\n"
              "RCPT TO:<a@b>\r\nDATA\r\n.\r\n"),
     "220|250-|235|250-|250|250|354|250|250|250|354|250", "protocol=UTF8SMTPA\n", CLEAR},
    {"AUTH in clear", IN(START "AUTH PLAIN AHVzZXIAcGFzcw==\r\nAUTH GSSAPI\r\nNOOP\r\n"),
     "220|250-|538 5.7.11|538|250", NULL, TLS | AUTH},
    {"AUTH in clear by a stranger", IN(START "AUTH PLAIN AHVzZXIAcGFzcw==\r\n"),
     "220|250-|538 5.7.11", NULL, CLEAR | STRANGER},
    {"AUTH with TLS",
     IN(START "STARTTLS\r\n" START "AUTH PLAIN AHVzZXIAcGFzcw==\r\n" ENVELOPE
              "DATA\r\n.\r\nMAIL FROM:<> SMTPUTF8\r\nRCPT TO:<a@b>\r\nDATA\r\n.\r\n"),
     "220|250-|220|250-|235|250-|250|250|354|250|250|250|354|250", "protocol=UTF8SMTPSA\n",
     TLS | AUTH | STRANGER},
    {"AUTH in clear does not outlive STARTTLS",
     IN(START "AUTH PLAIN AHVzZXIAcGFzcw==\r\nSTARTTLS\r\n" ENVELOPE "DATA\r\n.\r\nRSET\r\n"
              "AUTH PLAIN AHVzZXIAcGFzcw==\r\n"),
     "220|250-|235|220|250-|250|250|354|250|250|235", "protocol=ESMTPS\n", TLS | CLEAR},
    {"AUTH is not offered", IN(START "AUTH PLAIN AHVzZXIAcGFzcw==\r\nMAIL FROM:<> AUTH=<>\r\n"),
     "220|250-|502 5.5.1|555 5.5.4", NULL, TLS},
    {"other lines may not be long", IN(START "AUTX " LONG "\r\n"), "220|250-|500 5.5.2", NULL,
     CLEAR},
    {"nor may NOOP", IN(START "NOOP " LONG "\r\nNOOP\r\n"), "220|250-|500 5.5.2|250", NULL, CLEAR},
    {"lines of AUTH are as others where it is not offered", IN(START "AUTH " LONG "\r\n"),
     "220|250-|500 5.5.6", NULL},

    {"a stranger where AUTH is offered",
     IN(START "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nMAIL FROM:<> X\r\nQUIT\r\n"),
     "220|250-|530 5.7.0|503|503|530 5.7.0|221", NULL, AUTH | STRANGER, true},
    {"AUTH= of MAIL",
     IN(START "MAIL FROM:<> AUTH=e+3Dmc2@example.com\r\nRSET\r\nMAIL FROM:<> AUTH=<>\r\nRSET\r\n"
              "MAIL FROM:<> AUTH=\r\nMAIL FROM:<> AUTH=a=b\r\nMAIL FROM:<> AUTH=+\r\nMAIL FROM:<> "
              "AUTH=<> AUTH=<>\r\nMAIL FROM:<> AUTH=<a>\r\n"),
     "220|250-|250|250|250|250|501 5.5.4|501|501|501|250", "auth=<>\n", CLEAR},
    {"AUTH= of MAIL from one that we know",
     IN(START "AUTH PLAIN AHVzZXIAcGFzcw==\r\nMAIL FROM:<> AUTH=e+3Dmc2@example.com\r\n"),
     "220|250-|235|250", "auth=e+3Dmc2@example.com\n", CLEAR},
};

static void make_options(const struct transcript *transcript, struct smtp_server_options *options)
{
    *options = smtp_server_options_default();
    if (transcript->tweaks & SMALL) options->max_message_size = 100;
    if (transcript->tweaks & NO_SIZE_MAX) options->max_message_size = 0;
    if (transcript->tweaks & FEW_RCPTS) options->max_recipients = options->max_received = 2;
    if (transcript->tweaks & FEW_ERRORS) options->max_bad_commands = 3;
    if (transcript->tweaks & NO_LINE_MAX) options->max_text_line = 0;
    if (transcript->tweaks & NO_EXTENSIONS) options->extensions = 0;
    if (transcript->tweaks & (TLS | MUST_TLS)) options->extensions |= SMTP_EXT_STARTTLS;
    options->require_tls = transcript->tweaks & MUST_TLS;
    options->auth_clear = transcript->tweaks & CLEAR;
    if (transcript->tweaks & (AUTH | CLEAR | NO_SCRAM)) {
        options->auth = SMTP_MECHANISM_PLAIN | SMTP_MECHANISM_LOGIN;
        if (!(transcript->tweaks & NO_SCRAM)) options->auth |= SMTP_MECHANISM_SCRAM_SHA_256;
    }
}

/* The replies in the record begin as listed, and there are no others. */
static void check_replies(const char *name, const char *log, const char *wanted)
{
    bool continued = false;
    for (const char *line = log; *line != '\0'; line = strchr(line, '\n') + 1) {
        const bool begins = strncmp(line, "S: ", 3) == 0;
        const char *reply = begins ? line + 3 : line;
        if (!begins && !continued) continue;
        const bool head = begins && !continued;
        /* Only EHLO has more lines, and what ends the session with a 421 behind another reply. */
        const char *end = strchr(line, '\n') + 1;
        continued = reply[3] == '-' || strncmp(end, "421 ", 4) == 0;
        if (!head) continue;
        const size_t len = strcspn(wanted, "|");
        if (len == 0 || strncmp(reply, wanted, len) != 0) {
            fail_msg("%s: wanted %.*s, got %.60s\n%s", name, (int)len, wanted, reply, log);
        }
        wanted += len + (wanted[len] == '|');
    }
    if (*wanted != '\0') fail_msg("%s: no reply %s\n%s", name, wanted, log);
}

/* Each but the greeting and those to EHLO and HELO (RFC 2034 section 3). */
static void check_enhanced(const char *name, const char *log)
{
    for (const char *line = log; *line != '\0'; line = strchr(line, '\n') + 1) {
        struct smtp_enhanced code;
        struct bytes rest;
        if (strncmp(line, "S: ", 3) != 0) continue;
        if (strncmp(line + 3, "220 ", 4) == 0 || line[3] == '3' || line[6] == '-') continue;
        if (strncmp(line + 3, "250 localhost", 13) == 0) continue;
        const struct bytes text = {line + 7, strcspn(line + 7, "\r")};
        if (!smtp_enhanced_parse(text, &code, &rest) || code.class != line[3] - '0') {
            fail_msg("%s: no enhanced code in %.60s", name, line);
        }
    }
}

static void run_transcript(struct toy_driver *toy, const struct transcript *transcript,
                           uint64_t seed, size_t piece_max, size_t room_max)
{
    struct smtp_server_options options;
    make_options(transcript, &options);
    toy_init(toy, &options, !(transcript->tweaks & STRANGER), seed, piece_max, room_max);
    toy_run(toy, transcript->input);
    toy_deinit(toy);
}

static void test_transcripts(void **state)
{
    (void)state;
    static struct toy_driver whole, split;
    for (size_t i = 0; i < ARRAY_COUNT(transcripts); i++) {
        const struct transcript *transcript = &transcripts[i];
        run_transcript(&whole, transcript, 0, 0, 0);
        check_replies(transcript->name, whole.log_data, transcript->replies);
        check_enhanced(transcript->name, whole.log_data);
        if (transcript->events != NULL && strstr(whole.log_data, transcript->events) == NULL) {
            fail_msg("%s: no %s in\n%s", transcript->name, transcript->events, whole.log_data);
        }
        if (transcript->no_end && strstr(whole.log_data, "END ") != NULL) {
            fail_msg("%s: END in\n%s", transcript->name, whole.log_data);
        }
        for (uint64_t seed = 1; seed <= 40; seed++) {
            const size_t piece_max = seed <= 2 ? 1 : seed * 2;
            run_transcript(&split, transcript, seed, piece_max, seed % 3 == 0 ? 0 : 1 + seed % 9);
            if (strcmp(whole.log_data, split.log_data) != 0) {
                fail_msg("%s: in pieces (seed %d) it gives\n%s\nnot\n%s", transcript->name,
                         (int)seed, split.log_data, whole.log_data);
            }
        }
    }
}

/* Every place where the input can be cut in two. */
static void test_each_cut(void **state)
{
    (void)state;
    static struct toy_driver whole, cut;
    for (size_t i = 0; i < ARRAY_COUNT(transcripts); i++) {
        const struct transcript *transcript = &transcripts[i];
        run_transcript(&whole, transcript, 0, 0, 0);
        for (size_t at = 1; at < transcript->input.len; at++) {
            struct smtp_server_options options;
            make_options(transcript, &options);
            toy_init(&cut, &options, !(transcript->tweaks & STRANGER), 0, 0, 0);
            cut.cut_at = at;
            toy_run(&cut, transcript->input);
            toy_deinit(&cut);
            assert_string_equal(cut.log_data, whole.log_data);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transcripts),
        cmocka_unit_test(test_each_cut),
    };
    return cmocka_run_group_tests_name("smtp_server transcripts", tests, NULL, NULL);
}
