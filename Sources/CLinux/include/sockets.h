// epoll, accept4, timerfd, eventfd, pipe2 and vectored sends for the responder.
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
int clinux_epoll_remove(int epoll, int descriptor);
/// Waits without a limit. `events` has room for CLINUX_EPOLL_CAPACITY.
int clinux_epoll_wait(int epoll, struct clinux_event *events);

/// accept4 with SOCK_NONBLOCK and SOCK_CLOEXEC.
int clinux_accept(int descriptor, struct sockaddr_storage *address, socklen_t *length);
/// socket with SOCK_STREAM, SOCK_NONBLOCK and SOCK_CLOEXEC.
int clinux_stream_socket(int family);
/// A pipe, both ends non-blocking and close-on-exec, that holds `capacity` bytes, or the system's default where the
/// user's share of pipe memory is used up (pipe(7)).
int clinux_sized_pipe(int ends[2], int capacity);
/// sendmsg with MSG_DONTWAIT and MSG_NOSIGNAL; with MSG_MORE where `more` is not 0.
ssize_t clinux_send_vectors(int descriptor, const struct iovec *vectors, int count, int more);

/// How many bytes the peer has not taken yet, in the units of the socket's own accounting; -1 on failure.
int clinux_unsent_byte_count(int descriptor);

/// An eventfd, non-blocking and close-on-exec.
int clinux_event_descriptor(void);
/// A timerfd on CLOCK_MONOTONIC, non-blocking and close-on-exec, not running.
int clinux_timer_descriptor(void);
/// Makes the timer expire every `milliseconds`; 0 stops it.
int clinux_timer_set(int timer, int milliseconds);

/// Names the calling thread, at most 15 bytes.
void clinux_name_thread(const char *name);

#endif
