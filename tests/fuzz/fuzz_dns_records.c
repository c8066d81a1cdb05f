/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_dns_records - DNS messages of records of every type, with RDATA of any length, 0 included
 *
 * The input chooses header, question and records; each record may be right, or have RDATA that is
 * too short, too long, or a name that ends elsewhere. What a right answer holds is known here: all
 * of that must come out, and of the others nothing.
 */
#include "answer.h"
#include "choices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGE_MAX = 8192, RECORDS_MAX = 60, NAMES = 6, HOSTS = 4 };

/* The first is the one asked for; the last two are no hosts. */
static const char *const names[NAMES] = {"q.example",  "a.example", "b.example",
                                         "mx.example", "",          "192.0.2.1"};

struct builder {
    struct choices *choices;
    uint8_t data[MESSAGE_MAX];
    size_t len;
    size_t name_at[NAMES]; /* where one was written; 0: nowhere yet */
    uint16_t counts[3];
    enum dns_type type;
    /* What must come out. */
    bool sound;      /* the message can be read to its end, without aliases */
    unsigned seen;   /* records of the type and the name asked for */
    unsigned usable; /* of these */
};

static void put_u8(struct builder *builder, unsigned value)
{
    ASSERT(builder->len < sizeof(builder->data));
    builder->data[builder->len++] = (uint8_t)value;
}
static void put_u16(struct builder *builder, unsigned value)
{
    put_u8(builder, value >> 8 & 0xff);
    put_u8(builder, value & 0xff);
}
static void put_u32(struct builder *builder, uint32_t value)
{
    put_u16(builder, value >> 16);
    put_u16(builder, value & 0xffff);
}

/* ---- names ------------------------------------------------------------------------------------
 */

static void put_plain_name(struct builder *builder, unsigned name)
{
    const char *text = names[name];
    builder->name_at[name] = builder->len;
    while (*text != '\0') {
        const size_t len = strcspn(text, ".");
        put_u8(builder, (unsigned)len);
        for (size_t i = 0; i < len; i++)
            put_u8(builder, (unsigned char)text[i] ^ (choose_one_in(builder->choices, 16) &&
                                                              text[i] >= 'a' && text[i] <= 'z'
                                                          ? 32 /* upper case is the same */
                                                          : 0));
        text += len + (text[len] == '.');
    }
    put_u8(builder, 0);
}

static void put_name(struct builder *builder, unsigned name)
{
    if (builder->name_at[name] == 0 || choose_one_in(builder->choices, 3)) {
        put_plain_name(builder, name);
    } else {
        put_u16(builder, 0xc000 | (unsigned)builder->name_at[name]);
    }
}

/* A name that cannot be read: forward, to itself, cut, an unknown kind of label, too long. */
static void put_bad_name(struct builder *builder)
{
    switch (choose_below(builder->choices, 5)) {
    case 0:
        put_u16(builder, 0xc000 | (unsigned)(builder->len & 0x3fff));
        break;
    case 1:
        put_u16(builder, 0xffff);
        break;
    case 2:
        put_u8(builder, 0xc0);
        break;
    case 3:
        put_u8(builder, 0x41);
        break;
    default:
        for (unsigned i = 0; i < 5; i++) {
            put_u8(builder, 63);
            for (unsigned octet = 0; octet < 63; octet++)
                put_u8(builder, 'x');
        }
        put_u8(builder, 0);
    }
}

/* ---- records ----------------------------------------------------------------------------------
 */

static void put_octets(struct builder *builder, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        put_u8(builder, choose_octet(builder->choices));
}

/* Each returns whether the RDATA is right. */
static bool put_address(struct builder *builder, unsigned right)
{
    const unsigned len =
        choose_one_in(builder->choices, 3) ? choose_below(builder->choices, 40) : right;
    put_octets(builder, len);
    return len == right;
}

static bool put_target(struct builder *builder, unsigned before)
{
    const unsigned how = choose_below(builder->choices, 8);
    if (how == 6) { /* short, or nothing at all */
        put_octets(builder, choose_below(builder->choices, before + 1));
        return false;
    }
    put_octets(builder, before);
    if (how == 7) {
        put_bad_name(builder);
        return false;
    }
    const unsigned name = choose_below(builder->choices, NAMES);
    put_name(builder, name);
    if (how == 5) put_octets(builder, 1 + choose_below(builder->choices, 4));
    return how != 5 && name < HOSTS;
}

static bool put_soa(struct builder *builder)
{
    put_name(builder, choose_below(builder->choices, NAMES));
    const bool right = put_target(builder, 0);
    put_octets(builder, right ? 20 : choose_below(builder->choices, 24));
    return right;
}

static bool put_rdata(struct builder *builder, unsigned type)
{
    switch (type) {
    case DNS_TYPE_A:
        return put_address(builder, 4);
    case DNS_TYPE_AAAA:
        return put_address(builder, 16);
    case DNS_TYPE_MX:
        return put_target(builder, 2);
    case DNS_TYPE_CNAME:
        return put_target(builder, 0);
    case DNS_TYPE_SOA:
        return put_soa(builder);
    default:
        put_octets(builder, choose_below(builder->choices, 20));
        return true;
    }
}

static void put_record(struct builder *builder, unsigned section)
{
    static const unsigned types[] = {
        DNS_TYPE_MX, DNS_TYPE_A, DNS_TYPE_AAAA, DNS_TYPE_CNAME, DNS_TYPE_SOA, 16, 0, 65535};
    struct choices *choices = builder->choices;
    const unsigned kind = choose_below(choices, ARRAY_COUNT(types) + 4);
    const unsigned type = kind < ARRAY_COUNT(types) ? types[kind] : (unsigned)builder->type;
    const unsigned owner = choose_one_in(choices, 3) ? choose_below(choices, NAMES) : 0;
    const bool bad_owner = choose_one_in(choices, 32), in_class = !choose_one_in(choices, 16);
    if (bad_owner)
        put_bad_name(builder);
    else
        put_name(builder, owner);
    put_u16(builder, type);
    put_u16(builder, in_class ? 1 : 3);
    put_u32(builder, choose_one_in(choices, 8) ? UINT32_MAX : choose_octet(choices));
    put_u16(builder, 0);
    const size_t start = builder->len;
    const bool right = put_rdata(builder, type);
    const bool lie = choose_one_in(choices, 32);
    const size_t len = lie ? choose_octet(choices) : builder->len - start;
    builder->data[start - 2] = (uint8_t)(len >> 8);
    builder->data[start - 1] = (uint8_t)len;
    builder->counts[section] += 1;

    if (lie || bad_owner || (type == DNS_TYPE_CNAME && section == 0)) builder->sound = false;
    if (section == 0 && owner == 0 && in_class && type == (unsigned)builder->type) {
        builder->seen += 1;
        builder->usable += right;
    }
}

/* ---- the message ------------------------------------------------------------------------------
 */

static void build(struct builder *builder)
{
    struct choices *choices = builder->choices;
    static const enum dns_type types[] = {DNS_TYPE_MX, DNS_TYPE_A, DNS_TYPE_AAAA};
    static const unsigned flags[] = {0x8180, 0x8180, 0x8180, 0x8183, 0x8182,
                                     0x8185, 0x8380, 0x0180, 0x8980};
    const unsigned flag = CHOOSE_FROM(choices, flags);
    builder->type = CHOOSE_FROM(choices, types);
    builder->sound = flag == 0x8180;
    put_u16(builder, 0x1234);
    put_u16(builder, flag);
    put_u16(builder, 1);
    for (unsigned i = 0; i < 3; i++)
        put_u16(builder, 0);
    put_plain_name(builder, 0);
    put_u16(builder, (unsigned)builder->type);
    put_u16(builder, 1);
    for (unsigned i = 0; i < RECORDS_MAX && choices_left(choices); i++) {
        unsigned section = choose_one_in(choices, 4) ? 1 : 0;
        if (builder->counts[1] > 0) section = 1; /* the sections follow each other */
        if (sizeof(builder->data) - builder->len < 1200) break;
        put_record(builder, section);
    }
    for (unsigned i = 0; i < 3; i++) {
        builder->data[6 + 2 * i] = (uint8_t)(builder->counts[i] >> 8);
        builder->data[7 + 2 * i] = (uint8_t)builder->counts[i];
    }
}

static void check_kept(const struct builder *builder, const struct dns_answer *answer)
{
    const bool mx = builder->type == DNS_TYPE_MX;
    ASSERT(answer->exists && answer->seen == builder->seen && answer->alias_count == 0);
    ASSERT((mx ? answer->address_count : answer->mx_count) == 0);
    ASSERT((mx ? answer->mx_count : answer->address_count) <= builder->usable);
    /* Equal ones count once: but one that is right must come out. */
    ASSERT(((mx ? answer->mx_count : answer->address_count) > 0) == (builder->usable > 0));
    ASSERT(!answer->null_mx || (mx && answer->seen == 1 && answer->mx_count == 0));
    for (unsigned i = 0; i < answer->mx_count; i++) {
        const struct bytes name = {answer->mx[i].name, answer->mx[i].name_len};
        bool known = false;
        for (unsigned other = 0; other < HOSTS; other++)
            known |= bytes_equal(name, bytes_of(names[other]));
        ASSERT(known);
        ASSERT(i == 0 || answer->mx[i].preference >= answer->mx[i - 1].preference);
    }
    for (unsigned i = 0; i < answer->address_count; i++)
        ASSERT(answer->addresses[i].family == (builder->type == DNS_TYPE_A ? 4 : 6));
    if (builder->seen > 0) ASSERT(!answer->has_soa);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct builder builder;
    struct choices choices = {data, size};
    struct dns_answer answer;
    memset(&builder, 0, sizeof(builder));
    builder.choices = &choices;
    build(&builder);

    char *exact = base_alloc(builder.len); /* so that a sanitizer sees a read beyond */
    memcpy(exact, builder.data, builder.len);
    const enum dns_error error = dns_answer_parse((struct bytes){exact, builder.len},
                                                  bytes_of(names[0]), builder.type, &answer);
    if (builder.sound) {
        ASSERT(error == DNS_ERROR_NONE);
        check_kept(&builder, &answer);
    }
    base_free(exact);
    return 0;
}
