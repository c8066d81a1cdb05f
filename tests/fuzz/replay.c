/* SPDX-License-Identifier: Apache-2.0
 *
 * replay - feeds a fuzz target every file of a folder, then some mutations of each
 *
 * So the corpus is part of the ordinary test run, also where no fuzzer is at hand. The mutations
 * are seeded by the file's name: a failure repeats. Arguments: folder, mutations (200).
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_SIZE_MAX = 1 << 20, MUTATIONS_DEFAULT = 200 };

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static void run_copy(const uint8_t *data, size_t size)
{
    uint8_t *exact = calloc(1, size ? size : 1); /* exact size: a sanitizer sees an over-read */
    if (exact == NULL) abort();
    if (size > 0) memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static void mutate_and_run(const uint8_t *data, size_t size, uint64_t seed, int mutations)
{
    uint8_t *copy = malloc(size + 16);
    if (copy == NULL) abort();
    for (int i = 0; i < mutations; i++) {
        size_t len = size;
        if (size > 0) memcpy(copy, data, size);
        for (uint64_t change = next_random(&seed) % 4 + 1; change > 0 && len > 0; change--) {
            const size_t at = next_random(&seed) % len;
            switch (next_random(&seed) % 3) {
            case 0:
                copy[at] = (uint8_t)next_random(&seed);
                break;
            case 1:
                len = at; /* cut */
                break;
            default:
                copy[at] ^= (uint8_t)(1u << next_random(&seed) % 8);
            }
        }
        run_copy(copy, len);
    }
    free(copy);
}

int main(int argc, char **argv)
{
    static uint8_t data[FILE_SIZE_MAX];
    unsigned files = 0;
    run_copy(data, 0);
    if (argc < 2 || argc > 3) return 2;
    const int mutations = argc == 3 ? atoi(argv[2]) : MUTATIONS_DEFAULT;
    DIR *dir = opendir(argv[1]);
    if (dir == NULL) return perror(argv[1]), 1;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[4096];
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
        FILE *file = fopen(path, "rb");
        if (file == NULL) return perror(path), 1;
        const size_t size = fread(data, 1, sizeof(data), file);
        fclose(file);
        uint64_t seed = 1;
        for (const char *c = entry->d_name; *c; c++)
            seed = seed * 31 + (unsigned char)*c;
        run_copy(data, size);
        mutate_and_run(data, size, seed, mutations);
        files += 1;
    }
    closedir(dir);
    printf("%u corpus files\n", files);
    return files > 0 ? 0 : 1;
}
