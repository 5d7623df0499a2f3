#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int clinux_open_beneath(int directory, const char *path, int flags) {
    struct open_how how;
    memset(&how, 0, sizeof how);
    how.flags = O_PATH | O_CLOEXEC | flags;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    int descriptor;
    int attempts = 0;
    do {
        // EAGAIN: something was renamed meanwhile, so that the kernel could not be sure (openat2(2)).
        descriptor = (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
    } while (descriptor < 0 && (errno == EAGAIN || errno == EINTR) && ++attempts < 16);
    return descriptor;
}

int clinux_open_directory(const char *path) {
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int clinux_pipe(int ends[2]) {
    return pipe2(ends, O_CLOEXEC);
}

// posix_spawn's dup2 would overwrite a source that is itself among 0, 1, 2: such a one is moved up first.
static int move_up(int descriptor, int *moved) {
    if (descriptor > 2) return descriptor;
    *moved = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    return *moved;
}

int clinux_spawn(pid_t *process, int directory, const char *path, char *const arguments[], char *const environment[],
                 int input, int output, int error) {
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    sigset_t none, all;
    int moved[4] = {-1, -1, -1, -1};
    int result = 0;

    int source_directory = move_up(directory, &moved[0]);
    int source_input = input < 0 ? -1 : move_up(input, &moved[1]);
    int source_output = move_up(output, &moved[2]);
    int source_error = move_up(error, &moved[3]);
    if (source_directory < 0 || source_output < 0 || source_error < 0 || (input >= 0 && source_input < 0)) {
        result = errno;
        goto close_moved;
    }

    // The child is a thread of this one's credentials until it executes. The gateway keeps what it may do: only what
    // programs that it executes would inherit goes (capabilities(7)). An old kernel has nothing of the kind.
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);

    result = posix_spawnattr_init(&attributes);
    if (result != 0) goto close_moved;
    result = posix_spawn_file_actions_init(&actions);
    if (result != 0) goto destroy_attributes;

    sigemptyset(&none);
    sigfillset(&all);
    result = posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (result == 0) result = posix_spawnattr_setpgroup(&attributes, 0);
    if (result == 0) result = posix_spawnattr_setsigmask(&attributes, &none);
    if (result == 0) result = posix_spawnattr_setsigdefault(&attributes, &all);

    if (result == 0) result = posix_spawn_file_actions_addfchdir_np(&actions, source_directory);
    if (result == 0)
        result = source_input < 0 ? posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
                                  : posix_spawn_file_actions_adddup2(&actions, source_input, 0);
    if (result == 0) result = posix_spawn_file_actions_adddup2(&actions, source_output, 1);
    if (result == 0) result = posix_spawn_file_actions_adddup2(&actions, source_error, 2);
    if (result == 0) result = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    if (result == 0) result = posix_spawn(process, path, &actions, &attributes, arguments, environment);

    posix_spawn_file_actions_destroy(&actions);
destroy_attributes:
    posix_spawnattr_destroy(&attributes);
close_moved:
    for (int index = 0; index < 4; index++)
        if (moved[index] >= 0) close(moved[index]);
    return result;
}

int clinux_pidfd_open(pid_t process) {
    return (int)syscall(SYS_pidfd_open, process, 0);
}

int clinux_peek_exit(pid_t process, int *exit_status, int *signal_number) {
    siginfo_t information;
    memset(&information, 0, sizeof information);
    int result;
    do {
        result = waitid(P_PID, (id_t)process, &information, WEXITED | WNOHANG | WNOWAIT);
    } while (result < 0 && errno == EINTR);
    if (result < 0) return -1;
    if (information.si_pid == 0) return 0;
    *exit_status = information.si_code == CLD_EXITED ? information.si_status : -1;
    *signal_number = information.si_code == CLD_EXITED ? -1 : information.si_status;
    return 1;
}
