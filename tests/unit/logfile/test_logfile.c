/* SPDX-License-Identifier: Apache-2.0
 *
 * test_logfile - on a real ring and real files: order, rotation, cleaning, disks that fail
 */
#include "ringpost/logfile.h"
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
/* after those above, as it wants */
#include <cmocka.h>

struct fixture {
    struct ring *ring;
    char folder[64];
    struct event_sink sink;  /* whose buffers are written */
    struct event_sink words; /* of the logfile itself */
    uint32_t returned;
    struct logfile *logfile;
};
static struct fixture fixture;

static int set_up(void **state)
{
    char why[256];
    (void)state;
    const struct ring_options options = {.entries = 64};
    fixture = (struct fixture){.folder = "/tmp/ringpost-logfile.XXXXXX"};
    fixture.ring = ring_create(&options, why, sizeof(why));
    if (fixture.ring == NULL) {
        print_message("%s\n", why);
        return -1;
    }
    ring_enter_thread(fixture.ring);
    ring_turn(fixture.ring, 0, 1); /* the clock stands at now */
    event_sink_init(&fixture.sink, &(struct event_options){.level = EVENT_INFO, .account = true});
    event_sink_init(&fixture.words, &(struct event_options){.level = EVENT_DEBUG});
    return mkdtemp(fixture.folder) == NULL;
}

static void empty_sink(struct event_sink *sink)
{
    for (unsigned stream = 0; stream < EVENT_STREAM_COUNT; stream++) {
        struct event_buffer *buffer = event_take(sink, (enum event_stream)stream, true);
        while (buffer != NULL) {
            struct inbox_node *next = buffer->node.next;
            event_return(sink, buffer);
            buffer = next == NULL ? NULL : CONTAINER_OF(next, struct event_buffer, node);
        }
    }
    event_sink_deinit(sink);
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    assert_true(logfile_destroy(&fixture.logfile));
    empty_sink(&fixture.sink);
    empty_sink(&fixture.words);
    ring_destroy(&fixture.ring);
    snprintf(command, sizeof(command), "rm -rf '%s'", fixture.folder);
    return system(command);
}

static void on_written(void *context, struct event_buffer *buffer)
{
    assert_ptr_equal(context, &fixture);
    fixture.returned += 1;
    event_return(buffer->sink, buffer);
}

static struct logfile_options log_options(const char *name)
{
    struct logfile_options options = {.keep = 0};
    snprintf(options.path, sizeof(options.path), "%s/%s", fixture.folder, name);
    return options;
}

static struct logfile_options account_options(void)
{
    struct logfile_options options = log_options("account");
    options.folder = true;
    return options;
}

static void start(const struct logfile_options *options)
{
    fixture.logfile = logfile_create(fixture.ring, options, on_written, &fixture, &fixture.words);
}

static void turn_for(duration span)
{
    const instant end = ring_clock(fixture.ring) + span;
    do {
        ring_turn(fixture.ring, MIN(end, ring_timers_next(fixture.ring)), 64);
        ring_timers_run(fixture.ring, 64);
    } while (ring_now(fixture.ring) < end);
}

static void turn_until_idle(void)
{
    const instant end = ring_clock(fixture.ring) + DURATION_S(5);
    while (!logfile_is_idle(fixture.logfile) && ring_now(fixture.ring) < end) {
        ring_turn(fixture.ring, MIN(end, ring_timers_next(fixture.ring)), 64);
        ring_timers_run(fixture.ring, 64);
    }
    assert_true(logfile_is_idle(fixture.logfile));
}

/* One buffer with one line, in either stream's form. */
static void send(const char *text)
{
    event_log(&fixture.sink, EVENT_INFO, "t", "%s", text);
    struct event_buffer *buffer = event_take(&fixture.sink, EVENT_LOG, true);
    assert_non_null(buffer);
    assert_null(buffer->node.next);
    const uint32_t returned = fixture.returned;
    logfile_write(fixture.logfile, buffer);
    assert_int_equal(fixture.returned, returned); /* never from inside */
}

static void send_and_wait(const char *text)
{
    send(text);
    turn_until_idle();
}

static const char *read_file(const char *path)
{
    static char text[1 << 20];
    FILE *file = fopen(path, "r");
    text[0] = '\0';
    if (file == NULL) return text;
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    return text;
}

static const char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof(path), "%s/%s", fixture.folder, name);
    return path;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in a folder, sorted, joined by spaces. */
static const char *names_in(const char *folder, int *count)
{
    static char text[8192];
    char *names[128];
    *count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        assert_true(*count < 128);
        names[(*count)++] = strdup(entry->d_name);
    }
    closedir(dir);
    qsort(names, (size_t)*count, sizeof(names[0]), by_name);
    text[0] = '\0';
    for (int i = 0; i < *count; i++) {
        strcat(strcat(text, i > 0 ? " " : ""), names[i]);
        free(names[i]);
    }
    return text;
}

static void make_file(const char *name, size_t size)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    for (size_t i = 0; i < size; i++)
        fputc('x', file);
    fclose(file);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void lines_arrive_in_order_behind_what_was_there(void **state)
{
    const struct logfile_options options = log_options("log");
    (void)state;
    make_file("log", 3);
    start(&options);
    for (int i = 0; i < 50; i++) {
        char text[32];
        snprintf(text, sizeof(text), "line %02d", i);
        send(text); /* without waiting: they queue up */
    }
    turn_until_idle();
    assert_int_equal(fixture.returned, 50);
    const char *at = read_file(options.path);
    assert_memory_equal(at, "xxx", 3);
    for (int i = 0; i < 50; i++) {
        char text[32];
        snprintf(text, sizeof(text), "line %02d\n", i);
        at = strstr(at, text);
        assert_non_null(at);
    }
    assert_int_equal(logfile_lines_lost(fixture.logfile), 0);
}

/* What goes to standard error between the two calls. */
static int caught[2], saved_stderr;

static void catch_stderr(void)
{
    assert_int_equal(pipe(caught), 0);
    saved_stderr = dup(2);
    dup2(caught[1], 2);
    close(caught[1]);
}

static const char *caught_text(void)
{
    static char text[4096];
    dup2(saved_stderr, 2);
    close(saved_stderr);
    const int flags = fcntl(caught[0], F_GETFL);
    fcntl(caught[0], F_SETFL, flags | O_NONBLOCK);
    const ssize_t len = read(caught[0], text, sizeof(text) - 1);
    text[MAX(len, 0)] = '\0';
    close(caught[0]);
    return text;
}

static void standard_error_can_be_the_log(void **state)
{
    const struct logfile_options options = {.keep = 0};
    (void)state;
    catch_stderr();
    start(&options);
    send_and_wait("to the terminal");
    logfile_reopen(fixture.logfile);
    send_and_wait("again");
    const char *text = caught_text();
    assert_non_null(strstr(text, "to the terminal\n"));
    assert_non_null(strstr(text, "again\n"));
}

/* ---- rotation -------------------------------------------------------------------------------- */

static void a_full_log_is_renamed_and_old_ones_deleted(void **state)
{
    struct logfile_options options = log_options("log");
    int count;
    (void)state;
    options.rotate_size = 60; /* two lines */
    options.keep = 3;
    make_file("log.20200101T000000000", 1);
    make_file("log.old", 1); /* not ours */
    make_file("logger.20200101T000000000", 1);
    start(&options);
    for (int i = 0; i < 20; i++) {
        send_and_wait("a line of some length");
        turn_for(DURATION_MS(2)); /* names differ by the millisecond */
    }
    const char *names = names_in(fixture.folder, &count);
    assert_null(strstr(names, "log.20200101T000000000 "));
    assert_non_null(strstr(names, "log.old"));
    assert_non_null(strstr(names, "logger.20200101T000000000"));
    assert_int_equal(count, 1 + 3 + 2);
    assert_true(strlen(read_file(options.path)) > 0);
}

static void a_log_renamed_by_others_is_opened_again(void **state)
{
    const struct logfile_options options = log_options("log");
    (void)state;
    start(&options);
    send_and_wait("first");
    char old[512];
    snprintf(old, sizeof(old), "%s", path_of("log.1"));
    assert_int_equal(rename(options.path, old), 0);
    send_and_wait("second");
    logfile_reopen(fixture.logfile);
    send_and_wait("third");
    assert_non_null(strstr(read_file(old), "second\n"));
    assert_null(strstr(read_file(old), "third"));
    assert_non_null(strstr(read_file(options.path), "third\n"));
}

static void an_account_file_has_its_time_as_its_name(void **state)
{
    const struct logfile_options options = account_options();
    int count;
    (void)state;
    start(&options);
    names_in(options.path, &count);
    assert_int_equal(count, 0); /* no file without a record */
    send_and_wait("one");
    send_and_wait("two");
    const char *name = names_in(options.path, &count);
    assert_int_equal(count, 1);
    assert_int_equal(strlen(name), strlen("account-20260131T120000123.jsonl"));
    assert_memory_equal(name, "account-2", 9);
    assert_string_equal(name + strlen(name) - 6, ".jsonl");
}

static void an_account_file_is_ended_by_size_and_by_age(void **state)
{
    struct logfile_options options = account_options();
    int count;
    (void)state;
    options.rotate_size = 1;
    start(&options);
    send_and_wait("one");
    turn_for(DURATION_MS(2));
    send_and_wait("two");
    names_in(options.path, &count);
    assert_int_equal(count, 2);
    options.rotate_size = 0;
    options.rotate_age = DURATION_S(3600);
    logfile_configure(fixture.logfile, &options); /* the file stays the same */
    send_and_wait("three");
    names_in(options.path, &count);
    assert_int_equal(count, 2);
    options.rotate_age = DURATION_MS(20);
    logfile_configure(fixture.logfile, &options);
    turn_for(DURATION_MS(40));
    send_and_wait("four");
    names_in(options.path, &count);
    assert_int_equal(count, 3);
}

static void old_account_files_go_by_age_and_by_size(void **state)
{
    struct logfile_options options = account_options();
    int count;
    (void)state;
    assert_int_equal(mkdir(options.path, 0755), 0);
    make_file("account/account-20200101T000000000.jsonl", 10); /* too old */
    make_file("account/account-20990101T000000001.jsonl", 600);
    make_file("account/account-20990101T000000002.jsonl", 600);
    make_file("account/account-20990101T000000003.jsonl", 300);
    make_file("account/account-20990101T000000003.jsonl.gz", 9); /* somebody else's */
    make_file("account/notes", 9);
    options.keep_age = DURATION_S(86400);
    options.keep_size = 1000;
    start(&options);
    assert_string_equal(names_in(options.path, &count),
                        "account-20990101T000000002.jsonl account-20990101T000000003.jsonl "
                        "account-20990101T000000003.jsonl.gz notes");
}

static void the_file_being_written_is_never_deleted(void **state)
{
    struct logfile_options options = account_options();
    int count;
    (void)state;
    options.rotate_size = 1;
    options.keep_size = 1;
    options.keep = 1;
    start(&options);
    for (int i = 0; i < 5; i++) {
        send_and_wait("a record");
        turn_for(DURATION_MS(2));
    }
    logfile_tick(fixture.logfile);
    send_and_wait("the last one");
    const char *name = names_in(options.path, &count);
    assert_int_equal(count, 1);
    char path[1024] = "account/";
    strncat(path, name, sizeof(path) - strlen(path) - 1);
    assert_non_null(strstr(read_file(path_of(path)), "the last one\n"));
}

static void a_new_path_is_taken_over(void **state)
{
    struct logfile_options options = log_options("one");
    (void)state;
    start(&options);
    send("first");
    options = log_options("two");
    logfile_configure(fixture.logfile, &options); /* while the first is being written */
    send_and_wait("second");
    assert_non_null(strstr(read_file(path_of("one")), "first\n"));
    assert_non_null(strstr(read_file(path_of("two")), "second\n"));
    assert_null(strstr(read_file(path_of("two")), "first\n"));
}

/* ---- disks that fail ------------------------------------------------------------------------- */

static const char *own_words(void)
{
    static char text[EVENT_BUFFER_SIZE + 1];
    text[0] = '\0';
    struct event_buffer *buffer = event_take(&fixture.words, EVENT_LOG, true);
    if (buffer == NULL) return text;
    memcpy(text, buffer->data, buffer->len);
    text[buffer->len] = '\0';
    event_return(&fixture.words, buffer);
    return text;
}

static void a_full_disk_costs_a_line_and_the_rest_goes_to_standard_error(void **state)
{
    struct logfile_options options = {.path = "/dev/full"};
    (void)state;
    catch_stderr();
    start(&options);
    send("one");
    send("two");
    send("three");
    turn_until_idle();
    assert_int_equal(fixture.returned, 3);
    assert_int_equal(logfile_lines_lost(fixture.logfile), 1);
    assert_non_null(strstr(own_words(), "No space left on device"));
    send_and_wait("four");
    assert_int_equal(fixture.returned, 4);
    assert_string_equal(own_words(), ""); /* said once */
    const char *text = caught_text();
    assert_null(strstr(text, "one\n"));
    assert_non_null(strstr(text, "two\n"));
    assert_non_null(strstr(text, "four\n"));
    options = log_options("log"); /* the operator moves it */
    logfile_configure(fixture.logfile, &options);
    send_and_wait("five");
    assert_int_equal(logfile_lines_lost(fixture.logfile), 1);
    assert_non_null(strstr(read_file(options.path), "five\n"));
    assert_non_null(strstr(own_words(), "1 lines were lost"));
}

/* The limit of file sizes stands for a disk that takes a part of a write. */
static void no_half_line_stays(void **state)
{
    const struct logfile_options options = log_options("log");
    struct rlimit limit, low = {.rlim_cur = 100, .rlim_max = RLIM_INFINITY};
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    low.rlim_max = limit.rlim_max;
    start(&options);
    send_and_wait("first");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    send_and_wait("a line that does not fit into what is left of the hundred octets that a file "
                  "may have");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(logfile_lines_lost(fixture.logfile), 1);
    const char *text = read_file(options.path);
    assert_non_null(strstr(text, "first\n"));
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_null(strstr(text, "fit"));
}

static void a_log_that_was_taken_away_is_no_trouble_when_it_is_full(void **state)
{
    struct logfile_options options = log_options("log");
    (void)state;
    options.rotate_size = 10;
    start(&options);
    send_and_wait("first");
    assert_int_equal(remove(options.path), 0);
    send_and_wait("second");
    assert_non_null(strstr(read_file(options.path), "second\n"));
}

static void a_missing_folder_is_tried_again(void **state)
{
    struct logfile_options options = log_options("missing/account");
    (void)state;
    options.folder = true;
    start(&options);
    send_and_wait("lost");
    assert_int_equal(fixture.returned, 1);
    assert_int_equal(logfile_lines_lost(fixture.logfile), 1);
    assert_non_null(strstr(own_words(), "No such file or directory"));
    assert_int_equal(mkdir(path_of("missing"), 0755), 0);
    logfile_configure(fixture.logfile, &options); /* at once, instead of in a few seconds */
    send_and_wait("kept");
    assert_int_equal(logfile_lines_lost(fixture.logfile), 1);
}

static void without_its_folder_the_log_is_on_standard_error(void **state)
{
    const struct logfile_options options = {.path = "/nonexistent/log", .keep_age = 1};
    (void)state;
    catch_stderr();
    fixture.logfile = logfile_create(fixture.ring, &options, on_written, &fixture, NULL);
    send_and_wait("not lost");
    logfile_tick(fixture.logfile);
    assert_int_equal(fixture.returned, 1);
    assert_int_equal(logfile_lines_lost(fixture.logfile), 0);
    assert_non_null(strstr(caught_text(), "not lost\n"));
}

/* Each failure is a line for the log itself: it must not ask for the next one. */
static void a_log_that_cannot_be_renamed_grows_on(void **state)
{
    struct logfile_options options = log_options("log");
    char long_name[256], *end = options.path + strlen(options.path);
    (void)state;
    options.rotate_size = 200;
    memset(long_name, 'x', 250); /* no room for the time */
    long_name[250] = '\0';
    strcpy(end, long_name);
    start(&options);
    for (int i = 0; i < 20; i++)
        send_and_wait("a line of some length that fills the file");
    int told = 0;
    for (const char *at = own_words(); (at = strstr(at, "renaming")) != NULL; at++)
        told++;
    assert_in_range(told, 1, 10);
    assert_int_equal(logfile_lines_lost(fixture.logfile), 0);
}

static void an_account_folder_that_was_removed_is_made_again(void **state)
{
    struct logfile_options options = account_options();
    char command[128];
    int count;
    (void)state;
    start(&options);
    send_and_wait("first");
    snprintf(command, sizeof(command), "rm -r '%s/account'", fixture.folder);
    assert_int_equal(system(command), 0);
    logfile_reopen(fixture.logfile);
    send_and_wait("second");
    (void)names_in(options.path, &count);
    assert_int_equal(count, 1);
    assert_int_equal(logfile_lines_lost(fixture.logfile), 0);
}

static void destroy_writes_what_waits(void **state)
{
    const struct logfile_options options = log_options("log");
    (void)state;
    start(&options);
    for (int i = 0; i < 20; i++)
        send("waiting");
    assert_true(logfile_destroy(&fixture.logfile));
    assert_null(fixture.logfile);
    assert_int_equal(fixture.returned, 20);
    int count = 0;
    for (const char *at = read_file(options.path); (at = strstr(at, "waiting")) != NULL; at++)
        count++;
    assert_int_equal(count, 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_arrive_in_order_behind_what_was_there),
        TEST(standard_error_can_be_the_log),
        TEST(a_full_log_is_renamed_and_old_ones_deleted),
        TEST(a_log_renamed_by_others_is_opened_again),
        TEST(an_account_file_has_its_time_as_its_name),
        TEST(an_account_file_is_ended_by_size_and_by_age),
        TEST(old_account_files_go_by_age_and_by_size),
        TEST(the_file_being_written_is_never_deleted),
        TEST(a_new_path_is_taken_over),
        TEST(a_full_disk_costs_a_line_and_the_rest_goes_to_standard_error),
        TEST(no_half_line_stays),
        TEST(a_log_that_was_taken_away_is_no_trouble_when_it_is_full),
        TEST(a_log_that_cannot_be_renamed_grows_on),
        TEST(an_account_folder_that_was_removed_is_made_again),
        TEST(a_missing_folder_is_tried_again),
        TEST(without_its_folder_the_log_is_on_standard_error),
        TEST(destroy_writes_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
