/* SPDX-License-Identifier: Apache-2.0
 *
 * proxy - ringpost-delay: a TCP proxy that makes loopback as long as a network path
 *
 * Every octet leaves on the other side a fixed time after it came in, in order, however many are on
 * their way: the latency of a long path without a limit of its rate. What it does not show is what
 * TCP itself does on such a path (slow start, loss). The connection to the target starts one and a
 * half round trips late, as the SYN, its answer and the first ACK would have needed.
 *
 * One delay for all makes time simple: what came first is due first, so two queues (octets and
 * connects) replace timers, and epoll's timeout is the first one's due time.
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CHUNK_SIZE 65536u
#define EVENTS_MAX 256

struct pair;

/* Octets that were read at one time. length 0: the sender's end of stream. */
struct chunk {
    struct tool_link link; /* all chunks on their way, by due time; first: a link is a chunk */
    struct chunk *next;    /* the next of the same direction */
    struct half *half;
    uint64_t due_ns;
    uint32_t length;
    uint32_t done;
    bool is_due;
    char data[];
};

/* One direction: from → delay → to. */
struct half {
    struct pair *pair;
    int *from;
    int *to;
    struct chunk *first;
    struct chunk *last;
    size_t buffered;
    bool read_ended;
    bool write_ended;
    bool write_blocked;
};

struct pair {
    struct tool_link link; /* waiting for its connect, or closed and waiting to be freed */
    uint64_t connect_ns;
    int client;
    int server;            /* -1 until its connect */
    uint32_t client_asked; /* the events that epoll watches for */
    uint32_t server_asked;
    bool connected;
    bool closed;
    struct half up;
    struct half down;
};

static struct {
    struct tool_address listen;
    struct tool_address target;
    uint64_t delay_ns; /* one way */
    size_t buffer_max; /* one direction of one connection */
    uint64_t now_ns;
    int epoll;
    int listener;
    struct tool_link chunks;
    struct tool_link connects;
    struct tool_link closed;
    uint64_t connections;
    uint64_t octets_up;
    uint64_t octets_down;
} proxy = {.delay_ns = 50 * TOOL_NS_PER_MS, .buffer_max = 16u << 20};

static volatile sig_atomic_t stop_asked;

static void on_stop_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

/* Asks epoll for what a side can use now. A descriptor that can use nothing leaves epoll, which
 * would otherwise report a hang-up in a tight loop until what is on its way is through. */
static void interest_set(struct pair *pair, int fd, uint32_t *asked, const struct half *in,
                         const struct half *out)
{
    if (fd < 0 || pair->closed) return;
    struct epoll_event event = {.data.ptr = pair};
    if (!in->read_ended && in->buffered < proxy.buffer_max) event.events |= EPOLLIN;
    if (out->write_blocked) event.events |= EPOLLOUT;
    if (fd == pair->server && !pair->connected) event.events = EPOLLOUT;
    if (event.events == *asked) return;
    const int change = event.events == 0 ? EPOLL_CTL_DEL
                       : *asked == 0     ? EPOLL_CTL_ADD
                                         : EPOLL_CTL_MOD;
    epoll_ctl(proxy.epoll, change, fd, &event);
    *asked = event.events;
}

static void interests_set(struct pair *pair)
{
    interest_set(pair, pair->client, &pair->client_asked, &pair->up, &pair->down);
    interest_set(pair, pair->server, &pair->server_asked, &pair->down, &pair->up);
}

static void chunk_free(struct chunk *chunk)
{
    tool_list_remove(&chunk->link);
    free(chunk);
}

/* Memory stays until the end of the turn: later events of it may name the pair. */
static void pair_close(struct pair *pair)
{
    if (pair->closed) return;
    pair->closed = true;
    close(pair->client);
    if (pair->server >= 0) close(pair->server);
    struct half *halves[] = {&pair->up, &pair->down};
    for (size_t i = 0; i < 2; i++) {
        while (halves[i]->first != NULL) {
            struct chunk *next = halves[i]->first->next;
            chunk_free(halves[i]->first);
            halves[i]->first = next;
        }
    }
    tool_list_remove(&pair->link);
    tool_list_append(&proxy.closed, &pair->link);
}

static void half_read(struct half *half)
{
    while (!half->pair->closed && !half->read_ended && half->buffered < proxy.buffer_max) {
        char data[CHUNK_SIZE];
        const ssize_t got = read(*half->from, data, sizeof data);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (got < 0) {
            pair_close(half->pair);
            return;
        }
        struct chunk *chunk = malloc(sizeof *chunk + (size_t)got);
        if (chunk == NULL) tool_die("no memory");
        *chunk = (struct chunk){
            .half = half, .due_ns = proxy.now_ns + proxy.delay_ns, .length = (uint32_t)got};
        memcpy(chunk->data, data, (size_t)got);
        if (half->last != NULL && half->first != NULL) {
            half->last->next = chunk;
        } else {
            half->first = chunk;
        }
        half->last = chunk;
        half->buffered += (size_t)got;
        half->read_ended = got == 0;
        tool_list_append(&proxy.chunks, &chunk->link);
    }
}

static void half_write(struct half *half)
{
    half->write_blocked = false;
    while (!half->pair->closed && half->first != NULL && half->first->is_due) {
        struct chunk *chunk = half->first;
        if (*half->to < 0 || !half->pair->connected) {
            half->write_blocked = true;
            return;
        }
        if (chunk->length == 0) {
            shutdown(*half->to, SHUT_WR);
            half->write_ended = true;
        } else {
            const ssize_t put = send(*half->to, chunk->data + chunk->done,
                                     chunk->length - chunk->done, MSG_NOSIGNAL);
            if (put < 0 && (errno == EAGAIN || errno == EINTR)) {
                half->write_blocked = true;
                return;
            }
            if (put < 0) {
                pair_close(half->pair);
                return;
            }
            chunk->done += (uint32_t)put;
            if (chunk->done < chunk->length) continue;
        }
        half->buffered -= chunk->length;
        *(half == &half->pair->up ? &proxy.octets_up : &proxy.octets_down) += chunk->length;
        half->first = chunk->next;
        chunk_free(chunk);
    }
    if (half->pair->up.write_ended && half->pair->down.write_ended) pair_close(half->pair);
}

static void pair_accept(void)
{
    const int on = 1;
    for (;;) {
        const int client = accept4(proxy.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0) return;
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct pair *pair = tool_alloc(sizeof *pair);
        pair->client = client;
        pair->server = -1;
        pair->up = (struct half){.pair = pair, .from = &pair->client, .to = &pair->server};
        pair->down = (struct half){.pair = pair, .from = &pair->server, .to = &pair->client};
        pair->connect_ns = proxy.now_ns + proxy.delay_ns * 3;
        tool_list_append(&proxy.connects, &pair->link);
        interests_set(pair);
        proxy.connections += 1;
    }
}

static void pair_connect(struct pair *pair)
{
    const int on = 1;
    tool_list_remove(&pair->link);
    pair->server =
        socket(proxy.target.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (pair->server < 0) {
        pair_close(pair);
        return;
    }
    setsockopt(pair->server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    interests_set(pair);
    if (connect(pair->server, (const struct sockaddr *)&proxy.target.storage,
                proxy.target.length) != 0 &&
        errno != EINPROGRESS) {
        pair_close(pair);
    }
}

static void on_event(struct pair *pair)
{
    if (pair->closed) return;
    if (pair->server >= 0 && !pair->connected) {
        int error = 0;
        socklen_t length = sizeof error;
        struct sockaddr_storage peer;
        socklen_t peer_length = sizeof peer;
        getsockopt(pair->server, SOL_SOCKET, SO_ERROR, &error, &length);
        if (error != 0) {
            pair_close(pair);
            return;
        }
        pair->connected = getpeername(pair->server, (struct sockaddr *)&peer, &peer_length) == 0;
    }
    half_read(&pair->up);
    if (pair->connected) half_read(&pair->down);
    half_write(&pair->up);
    half_write(&pair->down);
    interests_set(pair);
}

/* Lets out what is due; returns when the next is, 0: nothing is on its way. */
static uint64_t run_due(void)
{
    uint64_t next = 0;
    while (proxy.connects.next != &proxy.connects) {
        struct pair *pair = (struct pair *)proxy.connects.next;
        next = pair->connect_ns;
        if (next > proxy.now_ns) break;
        next = 0;
        pair_connect(pair);
    }
    while (proxy.chunks.next != &proxy.chunks) {
        struct chunk *chunk = (struct chunk *)proxy.chunks.next;
        if (chunk->due_ns > proxy.now_ns) {
            if (next == 0 || chunk->due_ns < next) next = chunk->due_ns;
            break;
        }
        struct pair *pair = chunk->half->pair;
        tool_list_remove(&chunk->link);
        chunk->is_due = true;
        half_write(chunk->half);
        interests_set(pair);
    }
    return next;
}

static void wait_events(uint64_t deadline_ns)
{
    struct epoll_event events[EVENTS_MAX];
    struct timespec span = {.tv_nsec = 500 * 1000 * 1000}; /* a stop signal is seen by then */
    if (deadline_ns != 0) {
        const uint64_t now = tool_now_ns();
        const uint64_t wait = deadline_ns > now ? deadline_ns - now : 0;
        if (wait < TOOL_NS_PER_S / 2) span = (struct timespec){.tv_nsec = (long)wait};
    }
    const int count = epoll_pwait2(proxy.epoll, events, EVENTS_MAX, &span, NULL);
    proxy.now_ns = tool_now_ns();
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == NULL) {
            pair_accept();
        } else {
            on_event(events[i].data.ptr);
        }
    }
}

static void closed_free(void)
{
    while (proxy.closed.next != &proxy.closed) {
        struct pair *pair = (struct pair *)proxy.closed.next;
        tool_list_remove(&pair->link);
        free(pair);
    }
}

static void listener_open(void)
{
    const int on = 1;
    proxy.listener =
        socket(proxy.listen.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    proxy.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (proxy.listener < 0 || proxy.epoll < 0) tool_die("socket or epoll: %s", strerror(errno));
    setsockopt(proxy.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(proxy.listener, (const struct sockaddr *)&proxy.listen.storage, proxy.listen.length) !=
            0 ||
        listen(proxy.listener, 4096) != 0) {
        tool_die("listen: %s", strerror(errno));
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(proxy.epoll, EPOLL_CTL_ADD, proxy.listener, &event);
}

static const char help[] =
    "Usage: ringpost-delay [options] listen-host:port target-host:port\n"
    "Passes TCP connections on to the target, every octet a fixed time late and in order.\n"
    "\n"
    "  --rtt-ms N      round trip time: half of it each way (100)\n"
    "  --buffer N      octets on their way at most, in one direction of one connection\n"
    "                  (16777216); beyond it the sender has to wait\n"
    "\n"
    "Prints a JSON summary when it is ended by SIGTERM or SIGINT.\n";

static void options_parse(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"rtt-ms", required_argument, NULL, 'r'},
        {"buffer", required_argument, NULL, 'b'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    for (;;) {
        const int id = getopt_long(argc, argv, "h", long_options, NULL);
        if (id == -1) break;
        if (id == 'r') {
            proxy.delay_ns =
                (uint64_t)(tool_decimal("--rtt-ms", optarg, 0, 1e6) / 2 * (double)TOOL_NS_PER_MS);
        } else if (id == 'b') {
            proxy.buffer_max = tool_number("--buffer", optarg, 1, 1u << 30);
        } else {
            fputs(help, id == 'h' ? stdout : stderr);
            exit(id == 'h' ? 0 : 2);
        }
    }
    if (optind != argc - 2) {
        fputs(help, stderr);
        exit(2);
    }
    tool_address_parse(&proxy.listen, argv[optind]);
    tool_address_parse(&proxy.target, argv[optind + 1]);
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_stop_signal};
    tool_name_set("ringpost-delay");
    options_parse(argc, argv);
    tool_files_raise();
    tool_list_init(&proxy.chunks);
    tool_list_init(&proxy.connects);
    tool_list_init(&proxy.closed);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    listener_open();
    uint64_t deadline_ns = 0;
    while (stop_asked == 0) {
        wait_events(deadline_ns);
        deadline_ns = run_due();
        closed_free();
    }
    printf("{\"connections\": %llu, \"octets_up\": %llu, \"octets_down\": %llu, ",
           (unsigned long long)proxy.connections, (unsigned long long)proxy.octets_up,
           (unsigned long long)proxy.octets_down);
    tool_cpu_json(stdout);
    printf("}\n");
    return 0;
}
