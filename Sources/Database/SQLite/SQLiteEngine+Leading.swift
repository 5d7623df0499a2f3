import Foundation
import Synchronization

extension SQLiteEngine {
    /// By a lock on a file beside the database's: the kernel takes it back from a dead process.
    func lead(_ name: [UInt8]) async throws(DatabaseError) -> (any LeaderLease)? {
        let path = self.path + ".reaper"
        let descriptor = SharedFile.open(path, O_RDWR | O_NOFOLLOW, mode: 0o600, ownedAs: self.path)
        guard descriptor >= 0 else {
            throw DatabaseError(.storage, "\(path): \(String(cString: strerror(errno)))")
        }
        // One byte of the file for each keyspace: two keyspaces seldom meet, and then only lead in turn.
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = off_t(LeaderName.hash(name) & 0x3fff_ffff)
        lock.l_len = 1
        // A lock of the open file, not of the process: two stores in one process do not share it.
        guard fcntl(descriptor, Self.setOpenFileLock, &lock) == 0 else {
            Foundation.close(descriptor)
            return nil
        }
        return FileLease(descriptor)
    }

    /// F_OFD_SETLK (fcntl(2)), which Glibc's module does not show.
    private static let setOpenFileLock: Int32 = 37
}

/// Holds the lock for as long as its descriptor is open.
private final class FileLease: LeaderLease {
    private let descriptor: Mutex<Int32?>

    init(_ descriptor: Int32) {
        self.descriptor = Mutex(descriptor)
    }

    deinit { self.end() }

    func isHeld() async -> Bool { self.descriptor.withLock { $0 != nil } }

    func giveBack() async { self.end() }

    private func end() {
        self.descriptor.withLock { descriptor in
            if let open = descriptor { Foundation.close(open) }
            descriptor = nil
        }
    }
}

/// A name for databases whose locks have numbers: FNV-1a.
enum LeaderName {
    static func hash(_ name: [UInt8]) -> UInt64 {
        name.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0100_0000_01b3 }
    }
}
