// What the kernel costs: one payload to a group of addresses, sendmmsg(2) in a loop and nothing else.
//
//   sendmmsg COUNT SIZE      prints `ready udp 127.0.0.1:PORT`, and takes the first COUNT senders for its group
//
// Commands on standard input: `registered` (print how many there are), `run RATE SECONDS` (RATE payloads a second, each
// to all; 0: as fast as it goes), answered by {"sent": datagrams, "cpu": seconds, "wall": seconds}.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (8 << 20)

static double clock_s(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void run(int fd, struct mmsghdr *headers, unsigned count, double rate, double seconds) {
    double start = clock_s(CLOCK_MONOTONIC), cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID), now = start;
    uint64_t sent = 0, rounds = 0;
    while (count && (now = clock_s(CLOCK_MONOTONIC)) < start + seconds) {
        double due = rate > 0 ? start + (double)rounds / rate : now;
        if (due > now) {
            struct timespec wait = {(time_t)(due - now), (long)((due - now - (double)(time_t)(due - now)) * 1e9)};
            nanosleep(&wait, NULL);
            continue;
        }
        for (unsigned done = 0; done < count;) {
            int some = sendmmsg(fd, headers + done, count - done, 0);
            if (some <= 0) break;
            done += (unsigned)some;
            sent += (unsigned)some;
        }
        rounds++;
    }
    printf("{\"sent\": %lu, \"cpu\": %.6f, \"wall\": %.6f}\n", sent, clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu, now - start);
}

int main(int count, char **words) {
    if (count != 3) return 2;
    unsigned wanted = (unsigned)atoi(words[1]), known = 0;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), size = BUFFER;
    struct iovec payload = {calloc(1, 65536), (size_t)atoi(words[2])};
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in *names = calloc(wanted, sizeof *names);
    struct mmsghdr *headers = calloc(wanted, sizeof *headers);
    socklen_t own_size = sizeof own;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(fd, (struct sockaddr *)&own, sizeof own) || getsockname(fd, (struct sockaddr *)&own, &own_size)) return 1;
    memset(payload.iov_base, '.', payload.iov_len);
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0);
    printf("ready udp 127.0.0.1:%u\n", ntohs(own.sin_port));
    struct pollfd ready[2] = {{fd, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    while (poll(ready, 2, -1) > 0) {
        uint8_t data[4096];
        socklen_t name_size = sizeof *names;
        while (known < wanted &&
               recvfrom(fd, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&names[known], &name_size) >= 0) {
            headers[known].msg_hdr = (struct msghdr){
                .msg_name = &names[known], .msg_namelen = name_size, .msg_iov = &payload, .msg_iovlen = 1};
            known++;
        }
        if (known == wanted) ready[0].fd = -1;
        if (ready[1].revents) {
            char line[256];
            double rate, seconds;
            if (!fgets(line, sizeof line, stdin)) break;
            if (sscanf(line, "run %lf %lf", &rate, &seconds) == 2) run(fd, headers, known, rate, seconds);
            else printf("{\"known\": %u}\n", known);
        }
    }
    return 0;
}
