#ifndef CFALSECLOCK_H
#define CFALSECLOCK_H

/// Preloaded (LD_PRELOAD) into a program under test, has its wall clock go wrong by the seconds in the file that
/// SESSION_GATEWAY_FALSE_CLOCK names: an int64_t in the machine's byte order, which may change while the program runs.
///
/// Only what asks for the time of day is deceived (clock_gettime of CLOCK_REALTIME, gettimeofday, time): timers and the
/// monotonic clock are the kernel's, as in a machine whose clock is wrong.

#endif
