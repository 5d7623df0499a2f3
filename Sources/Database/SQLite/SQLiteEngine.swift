import DequeModule
import Foundation
import GRDB
import Synchronization

/// How safely SQLite keeps what it has acknowledged.
package enum SQLiteSynchronous: String, Sendable, CaseIterable {
    /// Nothing is flushed: a power cut may damage the file.
    case off
    /// A power cut may take back the last commits and damages nothing; a killed gateway loses nothing.
    case normal
    /// Every commit is flushed to the disk before it is acknowledged.
    case full
}

/// A file of SQLite's in WAL mode: one writer, several readers, none of them on the callers' threads.
///
/// Writes that wait for the writer go into one transaction together, at most `maximumBatch`. Of reads and of writes, each,
/// at most `maximumWaiting` are under way; further ones fail at once with `queueFull`.
final class SQLiteEngine: DatabaseEngine {
    /// A write that waits. An error of its own statements takes back the whole transaction, and so fails its company too:
    /// it is the disk's error, or the schema's.
    private struct Job: Sendable {
        let isDurable: Bool
        let run: @Sendable (SQLiteConnection) throws(DatabaseError) -> Void
        let finish: @Sendable (DatabaseError?) -> Void
    }

    private struct State {
        var jobs = Deque<Job>()
        var isWriting = false
        var reads = 0
        var isClosed = false
    }

    static let maximumBatch = 256
    static let maximumWaiting = 4_096

    let dialect = SQLDialect.sqlite
    private let pool: DatabasePool
    private let path: String
    private let flushesOnDemand: Bool
    private let state = Mutex(State())

    /// Makes the file, and its directory, where they are missing: for this user alone.
    init(path: String, synchronous: SQLiteSynchronous, readers: Int, busyTimeout: Duration) throws(DatabaseError) {
        try Self.makeFile(path)
        var configuration = Configuration()
        configuration.maximumReaderCount = readers
        configuration.busyMode = .timeout(busyTimeout / .seconds(1))
        configuration.label = "session-gateway"
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA synchronous = \(synchronous.rawValue)")
        }
        self.path = path
        self.flushesOnDemand = synchronous == .normal
        let prepared = configuration
        self.pool = try DatabaseError.translating {
            do {
                return try DatabasePool(path: path, configuration: prepared)
            } catch let error as GRDB.DatabaseError {
                throw DatabaseError(.storage, "\(path) cannot be opened: \(error.message ?? "\(error.resultCode)")")
            }
        }
    }

    /// SQLite gives its other files the same mode.
    private static func makeFile(_ path: String) throws(DatabaseError) {
        let directory = (path as NSString).deletingLastPathComponent
        do {
            try FileManager.default.createDirectory(
                atPath: directory,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
        } catch {
            throw DatabaseError(.storage, "the directory \(directory) cannot be made")
        }
        // Only where it is missing: to close it would take SQLite's locks away, if this process has it open already.
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 || errno == EEXIST else {
            throw DatabaseError(.storage, "\(path): \(String(cString: strerror(errno)))")
        }
        if descriptor >= 0 { Foundation.close(descriptor) }
    }

    // MARK: Reading

    func read<Result: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws(DatabaseError) -> Result
    ) async throws(DatabaseError) -> Result {
        let refusal = self.state.withLock { state -> DatabaseError? in
            if state.isClosed { return .isClosed }
            guard state.reads < Self.maximumWaiting else { return .isFull }
            state.reads += 1
            return nil
        }
        if let refusal { throw refusal }
        let result: Swift.Result<Result, DatabaseError> = await withUnsafeContinuation { continuation in
            self.pool.asyncRead { access in
                let result = Swift.Result { () throws(DatabaseError) -> Result in
                    let database = try DatabaseError.translating { try access.get() }
                    return try body(SQLiteConnection(database))
                }
                self.state.withLock { $0.reads -= 1 }
                continuation.resume(returning: result)
            }
        }
        return try result.get()
    }

    // MARK: Writing

    func write<Result: Sendable>(
        isDurable: Bool,
        _ body: @escaping @Sendable (any SQLConnection) throws(DatabaseError) -> Result
    ) async throws(DatabaseError) -> Result {
        let result: Swift.Result<Result, DatabaseError> = await withUnsafeContinuation { continuation in
            let box = ResultBox<Result>()
            self.enqueue(
                Job(
                    isDurable: isDurable && self.flushesOnDemand,
                    run: { connection throws(DatabaseError) in box.value = try body(connection) },
                    finish: { error in
                        if let value = box.value, error == nil {
                            continuation.resume(returning: .success(value))
                        } else {
                            continuation.resume(returning: .failure(error ?? .isClosed))
                        }
                    }
                )
            )
        }
        return try result.get()
    }

    func migrate(
        _ body: @escaping @Sendable (any SQLConnection) throws(DatabaseError) -> Int
    ) async throws(DatabaseError) -> Int {
        // Transactions that write follow one another, over all processes.
        try await self.write(isDurable: true, body)
    }

    private func enqueue(_ job: Job) {
        enum Step { case refuse(DatabaseError), wait, start }
        let step: Step = self.state.withLock { state in
            if state.isClosed { return .refuse(.isClosed) }
            guard state.jobs.count < Self.maximumWaiting else { return .refuse(.isFull) }
            state.jobs.append(job)
            if state.isWriting { return .wait }
            state.isWriting = true
            return .start
        }
        switch step {
        case .refuse(let error): job.finish(error)
        case .wait: break
        case .start: self.pool.asyncWriteWithoutTransaction { self.writeWaiting($0) }
        }
    }

    /// On the writer's thread, until nothing waits.
    private func writeWaiting(_ database: Database) {
        let connection = SQLiteConnection(database)
        while true {
            let batch = self.state.withLock { state -> [Job] in
                let batch = Array(state.jobs.prefix(Self.maximumBatch))
                state.jobs.removeFirst(batch.count)
                if batch.isEmpty { state.isWriting = false }
                return batch
            }
            if batch.isEmpty { return }
            var failure: DatabaseError?
            do throws(DatabaseError) {
                try DatabaseError.translating {
                    try database.inTransaction(.immediate) {
                        for job in batch { try job.run(connection) }
                        return .commit
                    }
                }
            } catch {
                failure = error
            }
            let isFlushed = failure != nil || !batch.contains(where: \.isDurable) || self.flush()
            for job in batch {
                job.finish(
                    job.isDurable && !isFlushed ? DatabaseError(.lost, "SQLite: the disk did not take it") : failure
                )
            }
        }
    }

    /// Commits are in the log, which SQLite flushes by itself only where `synchronous` is full.
    private func flush() -> Bool {
        let descriptor = open(self.path + "-wal", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { Foundation.close(descriptor) }
        return fdatasync(descriptor) == 0
    }

    // MARK: Leading

    /// By a lock on a file beside the database's: the kernel takes it back from a dead process.
    func lead(_ name: [UInt8]) async throws(DatabaseError) -> (any LeaderLease)? {
        let path = self.path + ".reaper"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
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

    func close() async {
        self.state.withLock { $0.isClosed = true }
        // The last write has ended when a later one has its turn.
        try? await self.pool.barrierWriteWithoutTransaction { _ in }
        try? self.pool.close()
    }
}

/// Written by the job's run and read by its finish, one after the other on the writer's thread.
private final class ResultBox<Value: Sendable>: @unchecked Sendable {
    var value: Value?
}

extension DatabaseError {
    static let isClosed = DatabaseError(.closed, "the database has been closed")
    static let isFull = DatabaseError(.queueFull, "too much is waiting for the database")
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
