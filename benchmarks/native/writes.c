// A bare loop of `write`: what one frame to each of many TCP connections costs at least.
//
//   writes SIZE      prints `ready tcp 127.0.0.1:PORT`; then for each line of standard input
//     run RATE SECONDS   writes SIZE bytes to each connection, RATE times a second; prints {"sent": N}

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST (1 << 16)

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

int main(int count, char **words) {
    static int open_[MOST];
    static char frame[1 << 16], line[256];
    size_t size = count > 1 ? (size_t)atoi(words[1]) : 100;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), connections = 0, one = 1;
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t own_size = sizeof own;
    if (size > sizeof frame || bind(listener, (struct sockaddr *)&own, own_size) || listen(listener, 4096)) return 1;
    if (getsockname(listener, (struct sockaddr *)&own, &own_size)) return 1;
    memset(frame, 'x', size);
    printf("ready tcp 127.0.0.1:%d\n", ntohs(own.sin_port));
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        double rate, seconds;
        if (sscanf(line, "run %lf %lf", &rate, &seconds) != 2) return 1;
        for (int fd; connections < MOST && (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            open_[connections++] = fd;
        }
        long sent = 0;
        double begun = now();
        for (long turn = 0; turn < (long)(rate * seconds); turn++) {
            double wait = begun + (double)turn / rate - now();
            if (wait > 0) usleep((useconds_t)(wait * 1e6));
            for (int at = 0; at < connections; at++) sent += write(open_[at], frame, size) == (ssize_t)size;
        }
        printf("{\"sent\": %ld}\n", sent);
        fflush(stdout);
    }
    return 0;
}
