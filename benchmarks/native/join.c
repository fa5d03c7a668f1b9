// Clients that create and join rooms over TCP in the dialect `classic`, so many at once, each on a connection of its own.
//
//   join PORT AT_ONCE < SEATS      a line a seat: 1 (create) or 2 (join), room, user; a room's creation comes first
//
// Prints a line a seat, in their order: its token. Then `rate N`: seats a second, from the first connection to the last
// token. Joins begin when all rooms are there. Ends with a line on standard error if one is refused.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CREATE 1
#define JOIN 2
#define TOKEN_SIZE 32
#define HEADER_SIZE 32
#define NAME_SIZE 255
#define PATIENCE_MS 30000
#define EVENTS 256

typedef struct {
    char room[NAME_SIZE + 1], user[NAME_SIZE + 1], token[TOKEN_SIZE + 1];
    int operation, fd, listed;
} seat_t;

static seat_t *seats;
static size_t count;
static int epoll;
static struct sockaddr_in listener;

static void fail(const char *what, const seat_t *seat) {
    fprintf(stderr, "%s: %s in %s: %s\n", what, seat->user, seat->room, strerror(errno));
    exit(1);
}

static void read_seats(void) {
    size_t room_for = 1024;
    seats = calloc(room_for, sizeof *seats);
    seat_t *seat = seats;
    while (scanf("%d %255s %255s", &seat->operation, seat->room, seat->user) == 3) {
        if (++count == room_for) seats = realloc(seats, (room_for *= 2) * sizeof *seats);
        seat = &seats[count];
        memset(seat, 0, sizeof *seat);
    }
}

static void say(seat_t *seat, const uint8_t *data, size_t size) {
    if (send(seat->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size) fail("can not send", seat);
}

static void begin(size_t at) {
    seat_t *seat = &seats[at];
    int on = 1;
    seat->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(seat->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (seat->fd < 0 || connect(seat->fd, (struct sockaddr *)&listener, sizeof listener)) fail("can not connect", seat);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = at};
    epoll_ctl(epoll, EPOLL_CTL_ADD, seat->fd, &event);
    size_t room = seat->operation == CREATE ? strlen(seat->room) : 0, user = strlen(seat->user);
    uint8_t request[HEADER_SIZE + 2 * NAME_SIZE] = {(uint8_t)room, (uint8_t)seat->operation, 0};
    request[HEADER_SIZE - 1] = (uint8_t)user;
    memcpy(request + HEADER_SIZE, seat->room, room);
    memcpy(request + HEADER_SIZE + room, seat->user, user);
    say(seat, request, HEADER_SIZE + room + user);
}

// Takes what has come for a seat; returns whether its client is done.
static int hear(seat_t *seat) {
    char answer[4096];
    ssize_t size = recv(seat->fd, answer, sizeof answer, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return 0;
    if (size <= 0) fail("no answer", seat);
    if (seat->operation == JOIN && !seat->listed) {
        if (answer[0] != '[') fail("no list of rooms", seat);
        seat->listed = 1;
        say(seat, (uint8_t *)seat->room, strlen(seat->room));
        return 0;
    }
    if (size != TOKEN_SIZE) fail("no token", seat);
    memcpy(seat->token, answer, TOKEN_SIZE);
    close(seat->fd);
    return 1;
}

// Lets all clients of one operation have their turn, at most `at_once` at a time.
static void go(int operation, size_t at_once) {
    size_t next = 0, open = 0;
    struct epoll_event events[EVENTS];
    for (;;) {
        for (; next < count && open < at_once; next++)
            if (seats[next].operation == operation) {
                begin(next);
                open++;
            }
        if (!open) return;
        int heard = epoll_wait(epoll, events, EVENTS, PATIENCE_MS);
        if (heard <= 0) {
            fprintf(stderr, "%zu clients had no answer for %d s\n", open, PATIENCE_MS / 1000);
            exit(1);
        }
        for (int at = 0; at < heard; at++) open -= (size_t)hear(&seats[events[at].data.u64]);
    }
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    listener = (struct sockaddr_in){AF_INET, htons((uint16_t)atoi(argv[1])), {htonl(INADDR_LOOPBACK)}, {0}};
    read_seats();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    double start = now();
    go(CREATE, (size_t)atoi(argv[2]));
    go(JOIN, (size_t)atoi(argv[2]));
    double took = now() - start;
    for (size_t at = 0; at < count; at++) puts(seats[at].token);
    printf("rate %.1f\n", (double)count / took);
    return 0;
}
