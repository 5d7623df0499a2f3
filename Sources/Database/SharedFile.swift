package import Glibc

/// Files that a command run by root must not take away from the service that uses them too.
package enum SharedFile {
    /// Opens a file. One that is made now, by root, belongs to whom `neighbour` belongs to.
    /// - Returns: -1 where it cannot be opened; `errno` says why.
    package static func open(_ path: String, _ flags: Int32, mode: mode_t, ownedAs neighbour: String) -> Int32 {
        // Nothing but what was made just now is given away: the name may be a link that somebody else has put there.
        let made = Glibc.open(path, flags | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard made >= 0 else {
            return errno == EEXIST ? Glibc.open(path, flags | O_CLOEXEC) : -1
        }
        var owner = stat()
        if geteuid() == 0, stat(neighbour, &owner) == 0 { _ = fchown(made, owner.st_uid, owner.st_gid) }
        return made
    }
}
