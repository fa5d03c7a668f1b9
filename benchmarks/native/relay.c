// What C can do: a relay that looks up a token's room and sends the text on to all of it. It checks nothing, keeps
// nothing and orders nothing: the floor that a chat service is measured against.
//
//   relay MEMBERS      MEMBERS as for load.c; a member's token is the end of its head
//
// Prints `ready udp 127.0.0.1:PORT`; ends by a signal.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH 64
#define SLOT_SIZE 4096
#define TOKEN_SIZE 32
#define BUFFER (8 << 20)

typedef struct {
    struct mmsghdr *headers;
    struct sockaddr_in *names;
    uint32_t count;
} room_t;

typedef struct {
    uint8_t token[TOKEN_SIZE];
    room_t *room;
    struct sockaddr_in address;
    int32_t slot;
} member_t;

static struct iovec text;
static member_t **table;
static uint32_t mask;

static uint32_t hash(const uint8_t *token) {
    uint64_t value;
    memcpy(&value, token, sizeof value);
    return (uint32_t)(value * 0x9e3779b97f4a7c15u >> 32);
}

static member_t *find(const uint8_t *token) {
    for (uint32_t at = hash(token) & mask; table[at]; at = (at + 1) & mask)
        if (!memcmp(table[at]->token, token, TOKEN_SIZE)) return table[at];
    return NULL;
}

static void read_members(const char *path) {
    static char head[2048], before[2048], after[2048];
    uint32_t number, sends, count = 0;
    int fd, peak = 0;
    FILE *file = fopen(path, "r");
    if (!file) exit(1);
    while (fscanf(file, "%u %u %2047s %2047s %2047s %d", &number, &sends, head, before, after, &fd) == 6) {
        count++;
        if ((int)number >= peak) peak = (int)number + 1;
    }
    rewind(file);
    for (mask = 1024; mask < 4 * count; mask *= 2) continue;
    table = calloc(mask--, sizeof *table);
    room_t *rooms = calloc((size_t)peak + 1, sizeof *rooms);
    member_t *members = calloc(count + 1, sizeof *members);
    while (fscanf(file, "%u %u %2047s %2047s %2047s %d", &number, &sends, head, before, after, &fd) == 6) {
        unsigned room_size, value;
        member_t *member = members++;
        sscanf(head, "%2x", &room_size);
        for (int at = 0; at < TOKEN_SIZE; at++) {
            sscanf(head + 2 * (2 + room_size + (unsigned)at), "%2x", &value);
            member->token[at] = (uint8_t)value;
        }
        member->room = &rooms[number];
        member->slot = -1;
        member->room->count++;
        uint32_t at = hash(member->token) & mask;
        while (table[at]) at = (at + 1) & mask;
        table[at] = member;
    }
    for (int at = 0; at < peak; at++) {
        rooms[at].headers = calloc(rooms[at].count + 1, sizeof *rooms[at].headers);
        rooms[at].names = calloc(rooms[at].count + 1, sizeof *rooms[at].names);
        rooms[at].count = 0;
    }
    fclose(file);
}

static void locate(member_t *member, const struct sockaddr_in *address) {
    room_t *room = member->room;
    if (member->slot < 0) {
        member->slot = (int32_t)room->count++;
        room->headers[member->slot].msg_hdr = (struct msghdr){
            .msg_name = &room->names[member->slot],
            .msg_namelen = sizeof(struct sockaddr_in),
            .msg_iov = &text,
            .msg_iovlen = 1,
        };
    }
    member->address = room->names[member->slot] = *address;
}

int main(int count, char **words) {
    static uint8_t data[BATCH][SLOT_SIZE];
    static struct sockaddr_in names[BATCH];
    static struct iovec parts[BATCH];
    static struct mmsghdr headers[BATCH];
    if (count != 2) return 2;
    read_members(words[1]);
    int fd = socket(AF_INET, SOCK_DGRAM, 0), size = BUFFER;
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t own_size = sizeof own;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(fd, (struct sockaddr *)&own, sizeof own) || getsockname(fd, (struct sockaddr *)&own, &own_size)) return 1;
    printf("ready udp 127.0.0.1:%u\n", ntohs(own.sin_port));
    fflush(stdout);
    for (int slot = 0; slot < BATCH; slot++) parts[slot] = (struct iovec){data[slot], SLOT_SIZE};
    for (;;) {
        for (int slot = 0; slot < BATCH; slot++)
            headers[slot].msg_hdr = (struct msghdr){
                .msg_name = &names[slot], .msg_namelen = sizeof names[slot], .msg_iov = &parts[slot], .msg_iovlen = 1};
        int heard = recvmmsg(fd, headers, BATCH, MSG_WAITFORONE, NULL);
        for (int slot = 0; slot < heard; slot++) {
            uint8_t *datagram = data[slot];
            uint32_t token_at = 2u + datagram[0], text_at = token_at + datagram[1];
            if (headers[slot].msg_len < text_at || datagram[1] != TOKEN_SIZE) continue;
            member_t *member = find(datagram + token_at);
            if (!member) continue;
            if (memcmp(&member->address, &names[slot], sizeof names[slot])) locate(member, &names[slot]);
            text = (struct iovec){datagram + text_at, headers[slot].msg_len - text_at};
            if (!text.iov_len) continue;
            for (uint32_t done = 0; done < member->room->count;) {
                int sent = sendmmsg(fd, member->room->headers + done, member->room->count - done, 0);
                done += sent > 0 ? (uint32_t)sent : errno != EINTR;
            }
        }
    }
}
