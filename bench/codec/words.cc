// SPDX-License-Identifier: Apache-2.0
//
// words - subjects as encoded-words, and back. Plain C at every level: one "who", ours.
#include "bench.h"

namespace bench
{
namespace
{

template <class Run>
void add_each(const std::string &operation, const std::string &kind,
              const std::vector<std::string> &items, size_t text_octets, Run run)
{
    size_t next = 0;
    add(operation, "ringpost", kind, SUBJECT, text_octets / items.size(), [=]() mutable {
        const std::string &item = items[next];
        next = next + 1 == items.size() ? 0 : next + 1;
        run(item);
    });
}

void add_kind(const std::string &kind)
{
    const std::vector<std::string> subjects = bench::subjects(kind);
    std::vector<std::string> fields;
    size_t octets = 0;
    for (const std::string &subject : subjects) {
        std::string field(codec_word_encoded_max(subject.size()), '\0');
        field.resize(codec_word_encode(subject.data(), subject.size(), &field[0], 9,
                                       CODEC_WORD_TEXT, CODEC_WORD_AUTO));
        octets += field.size();
        fields.push_back(field);
    }
    const Buffer target = scratch(codec_word_encoded_max(2 * SUBJECT));
    add_each("word_encode", kind, subjects, octets, [=](const std::string &subject) {
        benchmark::DoNotOptimize(codec_word_encode(subject.data(), subject.size(), target->data(),
                                                   9, CODEC_WORD_TEXT, CODEC_WORD_AUTO));
    });
    add_each("word_decode", kind, fields, octets, [=](const std::string &field) {
        benchmark::DoNotOptimize(
            codec_word_decode(field.data(), field.size(), target->data(), target->size()));
    });
}

} // namespace

void add_words()
{
    add_kind("latin");
    add_kind("cyrillic");
}

} // namespace bench
