// SPDX-License-Identifier: Apache-2.0
//
// corpus - the inputs of the benchmarks: made from a seed, alike in every run
//
// A text is a random sequence of words, frequent ones first, as Zipf's law has it: a branch
// predictor cannot learn it by heart, however often it is run through.
#include "bench.h"
#include "corpus_words.h"
#include <algorithm>
#include <map>

namespace bench
{

namespace
{

class Random
{
  public:
    explicit Random(uint64_t seed) : state(seed) {}
    uint64_t next() // SplitMix64
    {
        uint64_t z = state += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
    }
    unsigned below(unsigned limit) { return unsigned(next() % limit); }
    unsigned between(unsigned low, unsigned high) { return low + below(high - low + 1); }

  private:
    uint64_t state;
};

// The word of rank r comes about 1/r as often as the first: the product of two evenly spread
// numbers prefers small ones nearly like that.
std::string_view word(Random &random, const Words &words)
{
    const auto count = unsigned(words.size());
    return words[random.below(random.below(count) + 1)];
}

bool is_capital_of_two(unsigned char lead, unsigned char trail)
{
    return (lead == 0xc3 && trail >= 0xa0) || (lead == 0xd0 && trail >= 0xb0) || lead == 0xd1;
}

// The first letter of a sentence; other scripts than Latin and Cyrillic do not occur.
std::string capital(std::string_view word)
{
    std::string out(word);
    const auto first = (unsigned char)out[0];
    if (first >= 'a' && first <= 'z') {
        out[0] = char(first - 32);
    } else if (out.size() > 1 && is_capital_of_two(first, (unsigned char)out[1])) {
        const auto trail = (unsigned char)out[1];
        if (first == 0xd1) { // U+0440 to U+044F to U+0420 to U+042F; U+0451 to U+0401
            out[0] = char(0xd0);
            out[1] = trail == 0x91 ? char(0x81) : char(trail + 0x20);
        } else {
            out[1] = char(trail - 0x20);
        }
    }
    return out;
}

std::string number(Random &random)
{
    return std::to_string(random.below(2) != 0 ? random.below(100) : random.between(1000, 99999));
}

std::string sentence(Random &random, const Words &words, unsigned count)
{
    std::string out = capital(word(random, words));
    for (unsigned i = 1; i < count; i++) {
        const unsigned dice = random.below(100);
        if (dice < 7) out += ",";
        out += " ";
        if (dice < 97) {
            out += word(random, words);
        } else {
            out += number(random);
        }
    }
    static constexpr std::string_view ends[] = {".", ".", ".", ".", ".", ".", "!", "?", ":", "..."};
    return out.append(ends[random.below(10)]);
}

std::string paragraph(Random &random, const Words &words)
{
    std::string out;
    for (unsigned count = random.between(1, 6); count > 0; count--) {
        out += sentence(random, words, random.between(4, 20));
        if (count > 1) out += " ";
    }
    return out;
}

// Breaks lines at the last space that lets them have at most width octets.
std::string wrapped(const std::string &text, size_t width)
{
    std::string out;
    size_t at = 0;
    while (text.size() - at > width) {
        size_t space = text.rfind(' ', at + width);
        if (space == std::string::npos || space <= at) space = text.find(' ', at);
        if (space == std::string::npos) break;
        out.append(text, at, space - at).append("\r\n");
        at = space + 1;
    }
    return out.append(text, at).append("\r\n");
}

// English as programs wrap it at 72 columns, with quoted lines and signatures.
std::string ascii_piece(Random &random)
{
    const unsigned dice = random.below(10);
    const std::string text = paragraph(random, english);
    if (dice == 0) return "> " + wrapped(sentence(random, english, 8), 70);
    if (dice == 1) return "https://www.example.com/" + number(random) + "/index.html\r\n\r\n";
    return wrapped(text, 72) + "\r\n";
}

// Western European and Russian text has a line a paragraph, as most programs send it today.
std::string latin_piece(Random &random)
{
    const Words *const languages[] = {&french, &german, &spanish};
    return paragraph(random, *languages[random.below(3)]) + "\r\n\r\n";
}

std::string cyrillic_piece(Random &random)
{
    return paragraph(random, russian) + "\r\n\r\n";
}

std::string html_piece(Random &random)
{
    const Frame &frame = html_frames[random.below(unsigned(html_frames.size()))];
    const Words &words = random.below(4) == 0 ? german : english;
    std::string out;
    for (const std::string_view part : {frame.before, std::string_view("%T"), frame.after}) {
        for (size_t i = 0; i < part.size(); i++) {
            if (part.substr(i, 2) == "%N") {
                out += std::to_string(random.between(1, 9999999));
                i += 1;
            } else if (part.substr(i, 2) == "%T") {
                out += sentence(random, words, random.between(2, 2 * frame.words));
                i += 1;
            } else {
                out += part[i];
            }
        }
    }
    return out + "\r\n";
}

std::string base64_piece(Random &random)
{
    static constexpr char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (int i = 0; i < 76; i++)
        out += alphabet[random.below(64)];
    return out + "\r\n";
}

// As on the wire: no line is a dot alone, which would end the data, even if it is cut in front.
std::string dots_piece(Random &random)
{
    const bool dotted = random.below(4) != 0;
    std::string out = dotted ? ".." : "";
    for (unsigned count = random.between(dotted, 4); count > 0; count--) {
        out += word(random, english);
        out += " ";
    }
    return out + "\r\n";
}

const std::map<std::string, std::string (*)(Random &)> pieces = {
    {"ascii", ascii_piece}, {"latin", latin_piece},   {"cyrillic", cyrillic_piece},
    {"html", html_piece},   {"base64", base64_piece}, {"dots", dots_piece},
};

} // namespace

Buffer scratch(size_t size)
{
    static const Buffer shared = buffer(0);
    if (shared->size() < size) shared->resize(size);
    return shared;
}

Buffer random_octets(size_t size)
{
    Random random(1);
    const Buffer octets = buffer(size);
    for (char &octet : *octets)
        octet = char(random.next() >> 32);
    return octets;
}

Buffer text(const std::string &kind, size_t size)
{
    static std::map<std::string, std::string> made; // the longest so far: shorter ones begin it
    std::string &whole = made[kind];
    if (whole.size() < size) {
        Random random(2);
        whole.clear();
        while (whole.size() < size)
            whole += pieces.at(kind)(random);
    }
    const Buffer octets = buffer(size);
    std::copy_n(whole.begin(), size, octets->begin());
    return octets;
}

std::vector<std::string> subjects(const std::string &kind)
{
    std::vector<std::string> fields;
    std::string field;
    for (const char octet : *text(kind, 64 << 10)) {
        if (field.size() >= SUBJECT - 4 && (octet & 0xc0) != 0x80) {
            fields.push_back(field);
            field.clear();
        }
        if (octet != '\r' && octet != '\n') field.push_back(octet);
    }
    return fields;
}

std::shared_ptr<const QpPieces> qp_pieces(const std::string &kind, size_t size)
{
    const auto pieces = std::make_shared<QpPieces>();
    const Buffer plain = text(kind, spanned(size)), out = buffer(codec_qp_encoded_max(size));
    pieces->size = size;
    for (size_t at = 0; at + size <= plain->size(); at += size) {
        const size_t len = codec_qp_encode(plain->data() + at, size, out->data(), 0);
        pieces->begins.push_back(pieces->encoded.size());
        pieces->encoded.insert(pieces->encoded.end(), out->data(), out->data() + len);
    }
    pieces->begins.push_back(pieces->encoded.size());
    return pieces;
}

Buffer base64_text(const Buffer &octets, const std::string &layout)
{
    if (layout == "plain") {
        const Buffer out = buffer(codec_base64_encoded_len(octets->size(), 0));
        codec_base64_encode(octets->data(), octets->size(), out->data());
        return out;
    }
    const size_t line = layout.find("64") == std::string::npos ? 76 : 64;
    const Buffer out = buffer(codec_base64_encoded_len(octets->size(), line));
    codec_base64_encode_lines(octets->data(), octets->size(), out->data(), line);
    if (layout[0] == 'l') out->erase(std::remove(out->begin(), out->end(), '\r'), out->end());
    return out;
}

} // namespace bench
