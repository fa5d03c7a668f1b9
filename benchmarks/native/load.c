// A load generator that knows exactly what it got: one socket a member, each message numbered and stamped.
//
//   load MEMBERS [--server IP:PORT] [--cpu N] [--size BYTES] [--spread SIGMA] [--echo 0|1] [--spin 0|1]
//
// MEMBERS has one line a member: ROOM SENDS HEAD BEFORE AFTER FD, the room's number, whether the member sends, a
// datagram's head, what stands between that and the text and what stands behind the text (hex, - for nothing), and a
// descriptor that is connected already (a byte stream; -1: open a UDP socket connected to --server). The head alone
// makes the address known. A text ends in a mark that the receiver finds wherever the server puts it:
//
//   |@@| run: 2 | room: 5 | number in its room: 6 |   all hex
//
// Texts have --size bytes; with a --spread, their lengths are log-normal, with that median and this deviation of the
// logarithm, and at least those of a mark. The same lengths come in each run.
//
// Commands on standard input, an answer of one line of JSON each: `register`; `run RATE WARM SECONDS DRAIN MAX PID…`
// (RATE messages a second in all; MAX bounds their number; the processor time of each PID is read at both ends of the
// window); `quit`. Everything is kept: each receiver's sequence of message numbers is
// compared with what was sent after the run, so losses, doubles and order are counted, not estimated.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MARK_SIZE 15
#define MOST_TEXT 1900
#define LENGTHS 65536
#define SLOT_SIZE 4352
#define VECTOR 16
#define EVENTS 512
#define SENDS_A_TURN 32
#define MAX_PIDS 64
#define RECEIVE_BUFFER (4 << 20)
// Latencies: 64 steps to each power of two of nanoseconds, so a figure is within 1.6 %.
#define STEPS 64
#define BUCKETS (64 * STEPS)

typedef struct {
    uint32_t room, local, sequence;
    int fd;
    bool sends, stream;
    uint16_t head_size, before_size, after_size, kept;
    uint8_t *head, *before, *after;
    uint8_t *carry;
    uint32_t *heard, heard_size, heard_capacity;
} member_t;

typedef struct {
    uint64_t sent;
    uint32_t sender, sequence;
    bool failed;
} message_t;

typedef struct {
    uint32_t *members, count, senders;
    message_t *messages;
    uint32_t said, capacity;
} room_t;

static member_t *members;
static uint32_t member_count, *schedule, schedule_size;
static room_t *rooms;
static uint32_t room_count;
static int epoll_fd, text_size = 100;
static uint16_t lengths[LENGTHS];
static uint32_t length_at;
static uint8_t run_number;
static bool echo_back = true, spin;
static struct sockaddr_in server;

static uint64_t histogram[BUCKETS], heard_in_window, slowest, bytes_heard;
static uint64_t window_from, window_to, drops_before;

static void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *must(void *pointer) {
    if (!pointer) die("memory");
    return pointer;
}

static uint64_t now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static uint64_t process_ns(pid_t pid) {
    struct timespec at;
    // The kernel's encoding of another process's clock; clock_getcpuclockid(3) gives the same.
    if (clock_gettime((clockid_t)(((unsigned)~pid << 3) | 2), &at)) return 0;
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

// --- hexadecimal -----------------------------------------------------------------------------------------------------

static int8_t digit_of[256];

static void write_hex(uint8_t *at, uint64_t value, int digits) {
    for (int place = digits - 1; place >= 0; place--, value >>= 4) at[place] = (uint8_t)"0123456789abcdef"[value & 15];
}

static bool read_hex(const uint8_t *at, int digits, uint64_t *value) {
    uint64_t read = 0;
    int bad = 0;
    for (int place = 0; place < digits; place++) {
        int8_t digit = digit_of[at[place]];
        bad |= digit;
        read = read << 4 | (uint64_t)(digit & 15);
    }
    *value = read;
    return bad >= 0;
}

static uint8_t *read_bytes(const char *text, uint16_t *size) {
    size_t length = text[0] == '-' ? 0 : strlen(text) / 2;
    uint8_t *bytes = must(malloc(length + 1));
    for (size_t at = 0; at < length; at++) {
        uint64_t value;
        if (!read_hex((const uint8_t *)text + 2 * at, 2, &value)) die("members: not hex");
        bytes[at] = (uint8_t)value;
    }
    *size = (uint16_t)length;
    return bytes;
}

// --- members ---------------------------------------------------------------------------------------------------------

static void open_member(member_t *member, int fd) {
    member->stream = fd >= 0;
    if (fd < 0) {
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) die("socket");
        int size = RECEIVE_BUFFER;
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
        if (connect(fd, (struct sockaddr *)&server, sizeof server)) die("connect");
    } else {
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        member->carry = must(malloc(MARK_SIZE));
    }
    member->fd = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)(member - members)};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
}

static void read_members(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) die(path);
    static char head[2048], before[2048], after[2048];
    uint32_t room, sends, capacity = 0;
    int fd;
    while (fscanf(file, "%u %u %2047s %2047s %2047s %d", &room, &sends, head, before, after, &fd) == 6) {
        if (member_count == capacity) {
            capacity = capacity ? 2 * capacity : 1024;
            members = must(realloc(members, capacity * sizeof *members));
        }
        member_t *member = &members[member_count++];
        *member = (member_t){.room = room, .sends = sends, .fd = fd};
        member->head = read_bytes(head, &member->head_size);
        member->before = read_bytes(before, &member->before_size);
        member->after = read_bytes(after, &member->after_size);
        if (room >= room_count) room_count = room + 1;
    }
    fclose(file);
    rooms = must(calloc(room_count + 1, sizeof *rooms));
    for (uint32_t at = 0; at < member_count; at++) {
        room_t *home = &rooms[members[at].room];
        members[at].local = home->count++;
        home->senders += members[at].sends;
    }
    for (uint32_t at = 0; at < room_count; at++)
        rooms[at].members = must(malloc((rooms[at].count + 1) * sizeof(uint32_t)));
    uint32_t largest = 0;
    for (uint32_t at = 0; at < member_count; at++) {
        rooms[members[at].room].members[members[at].local] = at;
        if (members[at].local >= largest) largest = members[at].local + 1;
        open_member(&members[at], members[at].fd);
    }
    // Neighbours in time are in different rooms, as among people who do not wait for each other.
    schedule = must(malloc((member_count + 1) * sizeof *schedule));
    for (uint32_t local = 0; local < largest; local++)
        for (uint32_t at = 0; at < room_count; at++)
            if (local < rooms[at].count && members[rooms[at].members[local]].sends)
                schedule[schedule_size++] = rooms[at].members[local];
}

// --- receiving -------------------------------------------------------------------------------------------------------

static void note_latency(uint64_t latency) {
    if (latency > slowest) slowest = latency;
    if (!latency) latency = 1;
    int power = 63 - __builtin_clzll(latency);
    uint64_t step = power >= 6 ? (latency >> (power - 6)) & (STEPS - 1) : 0;
    histogram[(uint64_t)power * STEPS + step]++;
}

static void hear(member_t *member, const uint8_t *mark, uint64_t now) {
    uint64_t run, room, number;
    if (!read_hex(mark + 2, 2, &run) || !read_hex(mark + 4, 5, &room) || !read_hex(mark + 9, 6, &number) ||
        run != run_number || room != member->room || number >= rooms[room].said)
        return;
    uint64_t sent = rooms[room].messages[number].sent;
    if (member->heard_size == member->heard_capacity) {
        member->heard_capacity = member->heard_capacity ? 2 * member->heard_capacity : 64;
        member->heard = must(realloc(member->heard, member->heard_capacity * sizeof *member->heard));
    }
    member->heard[member->heard_size++] = (uint32_t)number;
    if (now >= window_from && now < window_to) heard_in_window++;
    if (sent >= window_from && sent < window_to) note_latency(now > sent ? now - sent : 1);
}

static void scan(member_t *member, const uint8_t *data, size_t size, uint64_t now) {
    static uint8_t joined[MARK_SIZE + (1 << 16)];
    memcpy(joined, member->carry, member->kept);
    memcpy(joined + member->kept, data, size);
    size += member->kept;
    size_t at = 0;
    while (at + MARK_SIZE <= size) {
        const uint8_t *found = memmem(joined + at, size - at, "@@", 2);
        if (!found || found + MARK_SIZE > joined + size) break;
        hear(member, found, now);
        at = (size_t)(found - joined) + MARK_SIZE;
    }
    size_t tail = size - at;
    if (tail >= MARK_SIZE) tail = MARK_SIZE - 1;
    memcpy(member->carry, joined + size - tail, tail);
    member->kept = (uint16_t)tail;
}

static void receive(member_t *member) {
    static uint8_t data[VECTOR * SLOT_SIZE];
    static struct iovec parts[VECTOR];
    static struct mmsghdr headers[VECTOR];
    if (member->stream) {
        ssize_t size = recv(member->fd, data, 1 << 16, 0);
        if (size == 0) epoll_ctl(epoll_fd, EPOLL_CTL_DEL, member->fd, NULL);
        if (size > 0) {
            bytes_heard += (uint64_t)size;
            scan(member, data, (size_t)size, now_ns());
        }
        return;
    }
    if (!headers[0].msg_hdr.msg_iov)
        for (int slot = 0; slot < VECTOR; slot++) {
            parts[slot] = (struct iovec){data + slot * SLOT_SIZE, SLOT_SIZE};
            headers[slot].msg_hdr.msg_iov = &parts[slot];
            headers[slot].msg_hdr.msg_iovlen = 1;
        }
    int count = recvmmsg(member->fd, headers, VECTOR, MSG_DONTWAIT, NULL);
    uint64_t now = now_ns();
    for (int slot = 0; slot < count; slot++) {
        unsigned size = headers[slot].msg_len;
        const uint8_t *mark = data + slot * SLOT_SIZE + size - MARK_SIZE;
        bytes_heard += size;
        if (size >= MARK_SIZE && mark[0] == '@' && mark[1] == '@') hear(member, mark, now);
    }
}

/// Receive whatever comes until `until`, or once if that is over.
static void listen_until(uint64_t until) {
    static struct epoll_event events[EVENTS];
    uint64_t now = now_ns();
    struct timespec wait = {0, 0};
    if (until > now && !spin) {
        wait.tv_sec = (time_t)((until - now) / 1000000000u);
        wait.tv_nsec = (long)((until - now) % 1000000000u);
    }
    int ready = epoll_pwait2(epoll_fd, events, EVENTS, &wait, NULL);
    for (int at = 0; at < ready; at++) receive(&members[events[at].data.u32]);
}

// --- sending ---------------------------------------------------------------------------------------------------------

static bool send_all(const member_t *member, const uint8_t *data, size_t size) {
    ssize_t sent = send(member->fd, data, size, MSG_NOSIGNAL);
    if (!member->stream) return sent == (ssize_t)size;
    size_t done = sent > 0 ? (size_t)sent : 0;
    while (done < size && (sent > 0 || errno == EAGAIN)) {
        struct pollfd writable = {member->fd, POLLOUT, 0};
        if (poll(&writable, 1, 1000) <= 0) return false;
        sent = send(member->fd, data + done, size - done, MSG_NOSIGNAL);
        if (sent > 0) done += (size_t)sent;
    }
    return done == size;
}

static bool say(member_t *member) {
    static uint8_t datagram[8192];
    room_t *room = &rooms[member->room];
    if (room->said == room->capacity) {
        room->capacity = room->capacity ? 2 * room->capacity : 64;
        room->messages = must(realloc(room->messages, room->capacity * sizeof *room->messages));
    }
    uint32_t number = room->said++;
    uint8_t *at = datagram;
    memcpy(at, member->head, member->head_size);
    at += member->head_size;
    memcpy(at, member->before, member->before_size);
    at += member->before_size;
    size_t before_mark = lengths[length_at++ % LENGTHS] - MARK_SIZE;
    memset(at, '.', before_mark);
    at += before_mark;
    uint64_t now = now_ns();
    at[0] = at[1] = '@';
    write_hex(at + 2, run_number, 2);
    write_hex(at + 4, member->room, 5);
    write_hex(at + 9, number, 6);
    at += MARK_SIZE;
    memcpy(at, member->after, member->after_size);
    at += member->after_size;
    room->messages[number].sent = now;
    bool failed = !send_all(member, datagram, (size_t)(at - datagram));
    room->messages[number] = (message_t){now, member->local, member->sequence++, failed};
    return !failed;
}

static uint64_t drops(void) {
    uint64_t dropped = 0;
    for (uint32_t at = 0; at < member_count; at++) {
        uint32_t info[SK_MEMINFO_VARS];
        socklen_t size = sizeof info;
        if (!getsockopt(members[at].fd, SOL_SOCKET, SO_MEMINFO, info, &size)) dropped += info[SK_MEMINFO_DROPS];
    }
    return dropped;
}

static void do_register(void) {
    uint64_t start = now_ns();
    for (uint32_t at = 0; at < member_count; at++) {
        if (!members[at].stream) send(members[at].fd, members[at].head, members[at].head_size, MSG_NOSIGNAL);
        while (now_ns() < start + (uint64_t)(at + 1) * 50000u) listen_until(start + (uint64_t)(at + 1) * 50000u);
    }
    uint64_t until = now_ns() + 500000000u;
    while (now_ns() < until) listen_until(until);
    drops_before = drops();
    printf("{\"members\": %u, \"rooms\": %u}\n", member_count, room_count);
}

// --- what became of it all -------------------------------------------------------------------------------------------

typedef struct {
    uint64_t wanted, lost, doubled, disordered, fifo_broken;
} verdict_t;

/// Judge one room: is there one order in which all of its members heard what they heard?
static void judge(room_t *room, verdict_t *verdict) {
    uint32_t said = room->said, count = room->count;
    if (!said) return;
    uint32_t *holders = must(calloc(said, sizeof *holders)), *heads = must(calloc(said, sizeof *heads));
    int32_t *waiting = must(malloc(said * sizeof *waiting)), *next = must(malloc(count * sizeof *next));
    uint32_t *at = must(calloc(count, sizeof *at)), *ready = must(malloc(said * sizeof *ready));
    uint8_t *seen = must(malloc(said));
    memset(waiting, -1, said * sizeof *waiting);
    for (uint32_t local = 0; local < count; local++) {
        member_t *member = &members[room->members[local]];
        uint32_t kept = 0;
        int64_t *last = must(malloc((count + 1) * sizeof *last));
        memset(last, -1, (count + 1) * sizeof *last);
        memset(seen, 0, said);
        for (uint32_t place = 0; place < member->heard_size; place++) {
            uint32_t number = member->heard[place];
            message_t *message = &room->messages[number];
            if (seen[number]) {
                verdict->doubled++;
                continue;
            }
            seen[number] = 1;
            holders[number]++;
            member->heard[kept++] = number;
            if (last[message->sender] > (int64_t)message->sequence) verdict->fifo_broken++;
            last[message->sender] = message->sequence;
        }
        member->heard_size = kept;
        for (uint32_t number = 0; number < said; number++) {
            message_t *message = &room->messages[number];
            if (message->failed || (!echo_back && message->sender == local)) continue;
            verdict->wanted++;
            verdict->lost += !seen[number];
        }
        free(last);
    }
    uint32_t ready_size = 0, taken = 0, held = 0;
    for (uint32_t number = 0; number < said; number++) held += holders[number] > 0;
    for (uint32_t local = 0; local < count; local++) {
        member_t *member = &members[room->members[local]];
        if (!member->heard_size) continue;
        uint32_t head = member->heard[0];
        next[local] = waiting[head];
        waiting[head] = (int32_t)local;
        if (++heads[head] == holders[head]) ready[ready_size++] = head;
    }
    while (taken < ready_size) {
        int32_t local = waiting[ready[taken++]];
        while (local >= 0) {
            int32_t other = next[local];
            member_t *member = &members[room->members[local]];
            if (++at[local] < member->heard_size) {
                uint32_t head = member->heard[at[local]];
                next[local] = waiting[head];
                waiting[head] = local;
                if (++heads[head] == holders[head]) ready[ready_size++] = head;
            }
            local = other;
        }
    }
    verdict->disordered += held - taken;
    free(holders), free(heads), free(waiting), free(next), free(at), free(ready), free(seen);
}

static double percentile(double share) {
    uint64_t total = 0, sum = 0;
    for (int at = 0; at < BUCKETS; at++) total += histogram[at];
    for (int at = 0; at < BUCKETS; at++) {
        sum += histogram[at];
        if (total && (double)sum >= share * (double)total) {
            int power = at / STEPS, step = at % STEPS;
            return (double)(power >= 6 ? (uint64_t)(STEPS + step) << (power - 6) : 1u << power) / 1000.0;
        }
    }
    return 0.0;
}

static void do_run(double rate, double warm, double seconds, double drain, uint64_t most, pid_t *pids, int pid_count) {
    for (uint32_t at = 0; at < member_count; at++) members[at].heard_size = members[at].sequence = 0;
    for (uint32_t at = 0; at < room_count; at++) rooms[at].said = 0;
    memset(histogram, 0, sizeof histogram);
    heard_in_window = slowest = bytes_heard = 0;
    uint64_t planned = schedule_size ? (uint64_t)(rate * (warm + seconds)) : 0, sent = 0, failed = 0;
    if (planned > most) planned = most;
    run_number++;
    length_at = 0;
    uint64_t start = now_ns() + 1000000u, begin[MAX_PIDS] = {0}, end[MAX_PIDS] = {0};
    window_from = start + (uint64_t)(warm * 1e9);
    window_to = window_from + (uint64_t)(seconds * 1e9);
    uint64_t until = window_to + (uint64_t)(drain * 1e9), last_heard = 0, began = 0, ended = 0;
    for (;;) {
        uint64_t now = now_ns();
        if (!began && now >= window_from) {
            for (int at = 0; at < pid_count; at++) begin[at] = process_ns(pids[at]);
            began = now;
        }
        if (!ended && now >= window_to) {
            for (int at = 0; at < pid_count; at++) end[at] = process_ns(pids[at]);
            ended = now;
        }
        if (now >= until) break;
        uint64_t due = until;
        for (int turn = 0; sent < planned; turn++) {
            due = start + (uint64_t)((double)sent * 1e9 / rate);
            if (due > now || turn == SENDS_A_TURN) break;
            failed += !say(&members[schedule[sent % schedule_size]]);
            sent++;
            due = until;
        }
        if (!began && due > window_from) due = window_from;
        if (!ended && due > window_to) due = window_to;
        uint64_t before = bytes_heard;
        listen_until(due);
        if (bytes_heard != before) last_heard = now_ns();
        // All has come: there is nothing to wait for.
        if (ended && sent == planned && schedule_size && now_ns() > last_heard + 250000000u) break;
    }
    verdict_t verdict = {0};
    for (uint32_t at = 0; at < room_count; at++) judge(&rooms[at], &verdict);
    uint64_t dropped = drops();
    printf("{\"send_failed\": %lu, \"wanted\": %lu, \"lost\": %lu, \"doubled\": %lu, \"disordered\": %lu,"
           " \"fifo_broken\": %lu, \"dropped_here\": %lu, \"heard_in_window\": %lu,",
           failed, verdict.wanted, verdict.lost, verdict.doubled, verdict.disordered, verdict.fifo_broken,
           dropped - drops_before, heard_in_window);
    drops_before = dropped;
    printf(" \"wall\": %.6f, \"p50\": %.1f, \"p99\": %.1f, \"slowest\": %.1f, \"cpu\": [",
           (double)(ended - began) / 1e9, percentile(0.5), percentile(0.99), (double)slowest / 1000.0);
    for (int at = 0; at < pid_count; at++) printf("%s%.6f", at ? ", " : "", (double)(end[at] - begin[at]) / 1e9);
    printf("]}\n");
}

int main(int count, char **words) {
    int cpu = -1;
    double spread = 0.0;
    const char *host = NULL;
    if (count < 2) {
        fprintf(stderr, "usage: load MEMBERS [--server IP:PORT] [--cpu N] [--size BYTES]"
                        " [--spread SIGMA] [--echo 0|1] [--spin 0|1]\n");
        return 2;
    }
    for (int at = 2; at + 1 < count; at += 2) {
        if (!strcmp(words[at], "--server")) host = words[at + 1];
        else if (!strcmp(words[at], "--cpu")) cpu = atoi(words[at + 1]);
        else if (!strcmp(words[at], "--size")) text_size = atoi(words[at + 1]);
        else if (!strcmp(words[at], "--spread")) spread = atof(words[at + 1]);
        else if (!strcmp(words[at], "--echo")) echo_back = atoi(words[at + 1]);
        else if (!strcmp(words[at], "--spin")) spin = atoi(words[at + 1]);
    }
    if (text_size < MARK_SIZE || text_size > 4000) text_size = MARK_SIZE;
    srand48(1);
    for (int at = 0; at < LENGTHS; at++) {
        double normal = sqrt(-2.0 * log(1.0 - drand48())) * cos(2.0 * M_PI * drand48());
        double length = spread > 0.0 ? fmin(fmax(text_size * exp(spread * normal), MARK_SIZE), MOST_TEXT) : text_size;
        lengths[at] = (uint16_t)length;
    }
    if (host) {
        char ip[64];
        const char *colon = strrchr(host, ':');
        if (!colon || colon - host > 63) die("--server IP:PORT");
        memcpy(ip, host, (size_t)(colon - host));
        ip[colon - host] = 0;
        server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
        if (inet_pton(AF_INET, ip, &server.sin_addr) != 1) die("--server IP:PORT");
    }
    for (int at = 0; at < 256; at++) digit_of[at] = -1;
    for (int at = 0; at < 16; at++) digit_of[(uint8_t)"0123456789abcdef"[at]] = (int8_t)at;
    if (cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        if (sched_setaffinity(0, sizeof set, &set)) die("sched_setaffinity");
    }
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    setvbuf(stdout, NULL, _IOLBF, 0);
    read_members(words[1]);
    printf("{\"members\": %u, \"rooms\": %u, \"senders\": %u}\n", member_count, room_count, schedule_size);
    static char line[4096];
    while (fgets(line, sizeof line, stdin)) {
        char *rest = strchr(line, ' ');
        if (!strncmp(line, "register", 8)) {
            do_register();
        } else if (!strncmp(line, "run ", 4) && rest) {
            double numbers[4];
            pid_t pids[MAX_PIDS];
            int pid_count = 0;
            for (int at = 0; at < 4; at++) numbers[at] = strtod(rest, &rest);
            uint64_t most = strtoull(rest, &rest, 10);
            for (long pid; pid_count < MAX_PIDS && (pid = strtol(rest, &rest, 10)) > 0;) pids[pid_count++] = (pid_t)pid;
            do_run(numbers[0], numbers[1], numbers[2], numbers[3], most, pids, pid_count);
        } else {
            break;
        }
    }
    return 0;
}
