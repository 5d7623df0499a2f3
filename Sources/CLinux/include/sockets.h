// epoll, accept4, eventfd and vectored sends for the responder.
//
// Every function returns what the system call returns and leaves errno as the system call does.
#ifndef SESSION_GATEWAY_SOCKETS_H
#define SESSION_GATEWAY_SOCKETS_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

/// What a descriptor is watched for, and what happened to it: the EPOLL* bits of the same meaning.
static const uint32_t CLINUX_EPOLL_IN = 0x001;
static const uint32_t CLINUX_EPOLL_OUT = 0x004;
static const uint32_t CLINUX_EPOLL_ERROR = 0x008;
static const uint32_t CLINUX_EPOLL_HANGUP = 0x010;
static const uint32_t CLINUX_EPOLL_READ_HANGUP = 0x2000;
static const uint32_t CLINUX_EPOLL_ONE_SHOT = 1u << 30;
static const uint32_t CLINUX_EPOLL_EDGE = 1u << 31;

/// One event of `clinux_epoll_wait`.
struct clinux_event {
    uint64_t token;
    uint32_t events;
};

/// The most events that one `clinux_epoll_wait` returns.
enum { CLINUX_EPOLL_CAPACITY = 64 };

/// A new epoll set, close-on-exec.
int clinux_epoll_create(void);
int clinux_epoll_add(int epoll, int descriptor, uint32_t events, uint64_t token);
int clinux_epoll_modify(int epoll, int descriptor, uint32_t events, uint64_t token);
/// Waits without a limit. `events` has room for CLINUX_EPOLL_CAPACITY.
int clinux_epoll_wait(int epoll, struct clinux_event *events);

/// accept4 with SOCK_NONBLOCK and SOCK_CLOEXEC.
int clinux_accept(int descriptor, struct sockaddr_storage *address, socklen_t *length);
/// socket with SOCK_STREAM, SOCK_NONBLOCK and SOCK_CLOEXEC.
int clinux_stream_socket(int family);
/// sendmsg with MSG_DONTWAIT and MSG_NOSIGNAL.
ssize_t clinux_send_vectors(int descriptor, const struct iovec *vectors, int count);

/// How many bytes the peer has not taken yet, in the units of the socket's own accounting; -1 on failure.
int clinux_unsent_byte_count(int descriptor);

/// An eventfd, non-blocking and close-on-exec.
int clinux_event_descriptor(void);
/// Names the calling thread, at most 15 bytes.
void clinux_name_thread(const char *name);

#endif
