// A server that does nothing: answers whoever joins with the same list and the same token. What joining costs at least.
//
//   nothing      prints `ready tcp 127.0.0.1:PORT`

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define JOIN 2
#define EVENTS 256
#define MOST_FDS (1 << 20)

static const char list[] = "['room-0']", token[] = "0123456789abcdef0123456789abcdef";
static uint8_t listed[MOST_FDS];

// Takes what a client said; returns whether it has its token.
static int serve(int fd) {
    uint8_t said[1024];
    ssize_t size = recv(fd, said, sizeof said, MSG_DONTWAIT);
    if (size < 0) return 0;
    if (size > 1 && said[1] == JOIN && !listed[fd]) {
        listed[fd] = 1;
        return send(fd, list, sizeof list - 1, MSG_NOSIGNAL) < 0;
    }
    if (size) (void)!send(fd, token, sizeof token - 1, MSG_NOSIGNAL);
    return 1;
}

int main(void) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t own_size = sizeof own;
    if (bind(listener, (struct sockaddr *)&own, own_size) || listen(listener, 1024)) return 1;
    if (getsockname(listener, (struct sockaddr *)&own, &own_size)) return 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    printf("ready tcp 127.0.0.1:%d\n", ntohs(own.sin_port));
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int at = 0; at < count; at++) {
            int fd = events[at].data.fd;
            if (fd != listener) {
                if (serve(fd)) close(fd);
                continue;
            }
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                listed[fd % MOST_FDS] = 0;
                event.data.fd = fd;
                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}
