import DequeModule
import Foundation
import GRDB
import NIOPosix
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
/// Writes that wait for the writer go into one transaction together, at most `maximumBatch`. A reader that is awake takes
/// what waits; another one is woken for every `readsPerReader` that wait. Of reads and of writes, each, at most
/// `maximumWaiting` wait; further ones fail at once with `queueFull`.
final class SQLiteEngine: DatabaseEngine {
    /// What waits for a connection. An error of a write's own statements takes back the whole transaction, and so fails its
    /// company too: it is the disk's error, or the schema's.
    private struct Job: Sendable {
        var isDurable = false
        let run: @Sendable (SQLiteConnection) throws(DatabaseError) -> Void
        let finish: @Sendable (DatabaseError?) -> Void
    }

    /// Jobs, and how many threads are at them.
    private struct Line: Sendable {
        var jobs = Deque<Job>()
        var threads = 0
    }

    private struct State {
        var reads = Line()
        var writes = Line()
        var isClosed = false
    }

    static let maximumBatch = 256
    static let maximumWaiting = 4_096
    private static let readsPerReader = 8

    let dialect = SQLDialect.sqlite
    let path: String
    private let pool: DatabasePool
    /// GRDB's connections are used from these: to wake one of them costs less than a queue of Dispatch's.
    private let threads: NIOThreadPool
    private let readers: Int
    private let flushesOnDemand: Bool
    private let state = Mutex(State())

    /// How often it is looked whether another process has given the file back. SQLite's own pauses grow to a tenth of a second,
    /// and of two gateways with much to write each would spend most of its time in them.
    private static let lockPause: Duration = .milliseconds(2)

    /// - Parameter isMade: whether the file and its directory are made where they are missing: for this user alone.
    init(
        path: String,
        isMade: Bool = true,
        synchronous: SQLiteSynchronous,
        readers: Int,
        busyTimeout: Duration
    ) throws(DatabaseError) {
        if isMade {
            try Self.makeFile(path)
        } else if access(path, F_OK) != 0 {
            throw DatabaseError(
                .storage,
                """
                \(path): \(String(cString: strerror(errno))); run this as the gateway's user, with its state_directory or \
                STATE_DIRECTORY
                """
            )
        }
        var configuration = Configuration()
        configuration.maximumReaderCount = readers
        let patience = Int(busyTimeout / Self.lockPause)
        configuration.busyMode = .callback { tries in
            usleep(UInt32(Self.lockPause / .microseconds(1)))
            return tries < patience
        }
        configuration.label = "session-gateway"
        self.path = path
        self.readers = readers
        self.flushesOnDemand = synchronous == .normal
        let prepared = configuration
        self.pool = try DatabaseError.translating {
            do {
                let pool = try DatabasePool(path: path, configuration: prepared)
                // Afterwards: GRDB has its own idea of what goes with WAL.
                try pool.writeWithoutTransaction {
                    try $0.execute(sql: "PRAGMA synchronous = \(synchronous.rawValue)")
                }
                return pool
            } catch let error as GRDB.DatabaseError {
                throw DatabaseError(.storage, "\(path) cannot be opened: \(error.message ?? "\(error.resultCode)")")
            }
        }
        self.threads = NIOThreadPool(numberOfThreads: readers + 1)
        self.threads.start()
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
        try await self.perform(body) { job in
            let readers = self.readers
            self.enqueue(job, in: \.reads) { line in
                line.threads == 0 || line.threads < readers && line.jobs.count > line.threads * Self.readsPerReader
            } start: {
                self.readWaiting()
            }
        }
    }

    /// On a thread, until nothing waits. Each job reads what is there when it begins.
    private func readWaiting() {
        do throws(DatabaseError) {
            try DatabaseError.translating {
                try self.pool.unsafeRead { database in
                    let connection = SQLiteConnection(database)
                    while let job = self.next(1, of: \.reads).first {
                        do throws(DatabaseError) {
                            try job.run(connection)
                            job.finish(nil)
                        } catch {
                            job.finish(error)
                        }
                    }
                }
            }
        } catch {
            // No connection could be had.
            while let job = self.next(1, of: \.reads).first { job.finish(error) }
        }
    }

    // MARK: Writing

    func write<Result: Sendable>(
        isDurable: Bool,
        _ body: @escaping @Sendable (any SQLConnection) throws(DatabaseError) -> Result
    ) async throws(DatabaseError) -> Result {
        try await self.perform(body) { job in
            var job = job
            job.isDurable = isDurable && self.flushesOnDemand
            self.enqueue(job, in: \.writes) {
                $0.threads == 0
            } start: {
                self.pool.writeWithoutTransaction { self.writeWaiting($0) }
            }
        }
    }

    func migrate(
        _ body: @escaping @Sendable (any SQLConnection) throws(DatabaseError) -> Int
    ) async throws(DatabaseError) -> Int {
        // Transactions that write follow one another, over all processes.
        try await self.write(isDurable: true, body)
    }

    /// On a thread, until nothing waits.
    private func writeWaiting(_ database: Database) {
        let connection = SQLiteConnection(database)
        while true {
            let batch = self.next(Self.maximumBatch, of: \.writes)
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

    // MARK: Lines

    private func perform<Result: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws(DatabaseError) -> Result,
        _ enqueue: (Job) -> Void
    ) async throws(DatabaseError) -> Result {
        let result: Swift.Result<Result, DatabaseError> = await withUnsafeContinuation { continuation in
            let box = ResultBox<Result>()
            enqueue(
                Job(
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

    /// - Parameters:
    ///   - wantsThread: whether one more thread is to begin, by the line with the job in it.
    ///   - start: what it does then, until its line is empty.
    private func enqueue(
        _ job: Job,
        in line: any WritableKeyPath<State, Line> & Sendable,
        wantsThread: (Line) -> Bool,
        start: @escaping @Sendable () -> Void
    ) {
        enum Step { case refuse(DatabaseError), wait, start }
        let step: Step = self.state.withLock { state in
            if state.isClosed { return .refuse(.isClosed) }
            guard state[keyPath: line].jobs.count < Self.maximumWaiting else { return .refuse(.isFull) }
            state[keyPath: line].jobs.append(job)
            guard wantsThread(state[keyPath: line]) else { return .wait }
            state[keyPath: line].threads += 1
            return .start
        }
        switch step {
        case .refuse(let error): job.finish(error)
        case .wait: break
        case .start: self.threads.submit { _ in start() }
        }
    }

    /// - Returns: what a thread is to do next; where there is nothing, the thread is gone from the line.
    private func next(_ count: Int, of line: any WritableKeyPath<State, Line> & Sendable) -> [Job] {
        self.state.withLock { state in
            let jobs = Array(state[keyPath: line].jobs.prefix(count))
            state[keyPath: line].jobs.removeFirst(jobs.count)
            if jobs.isEmpty { state[keyPath: line].threads -= 1 }
            return jobs
        }
    }

    func close() async {
        self.state.withLock { $0.isClosed = true }
        // Threads end when their lines are empty.
        try? await self.threads.shutdownGracefully()
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
