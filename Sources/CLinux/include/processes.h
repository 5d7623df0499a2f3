// openat2 and posix_spawn's newer actions for CGI children.
#ifndef SESSION_GATEWAY_PROCESSES_H
#define SESSION_GATEWAY_PROCESSES_H

#include <sys/types.h>

// Opens a path below a directory, O_PATH | O_CLOEXEC plus the given flags. No symbolic link, `..` or magic link can
// lead out of the directory (openat2 with RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS).
// Returns a descriptor, or -1 with errno: EXDEV for a path that would leave the directory.
int clinux_open_beneath(int directory, const char *path, int flags);

// Opens a directory to find files in: O_PATH | O_CLOEXEC. A descriptor, or -1 with errno.
int clinux_open_directory(const char *path);

// A pipe whose ends are close-on-exec: 0 is read, 1 is written. 0, or -1 with errno.
int clinux_pipe(int ends[2]);

// Starts `path` in `directory`, as the leader of a process group of its own, with an empty signal mask, default
// dispositions, no ambient capabilities and exactly three descriptors. `input` may be -1: then it is /dev/null. The three
// descriptors stay open in the caller, which should have them close-on-exec.
// Returns 0, or an error number; errors of exec are among them.
int clinux_spawn(pid_t *process, int directory, const char *path, char *const arguments[], char *const environment[],
                 int input, int output, int error);

// A descriptor that becomes readable when the process ends; close-on-exec. -1 with errno.
int clinux_pidfd_open(pid_t process);

// Whether a child has ended, without reaping it: its number and its group stay reserved.
// Returns 1 with either the exit status or the signal (the other one is -1), 0 while it runs, -1 with errno.
int clinux_peek_exit(pid_t process, int *exit_status, int *signal_number);

#endif
