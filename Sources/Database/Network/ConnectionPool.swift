import Glibc
import NIOPosix
import Synchronization

/// A connection to a database server.
protocol ServerConnection: SQLConnection, Sendable {
    /// Whether it can be used again.
    var isUsable: Bool { get }
    func close()
}

/// What a server is told of its clients, so that one that is gone holds nothing up.
enum ServerLimits {
    /// After which a connection that is not used is closed. Longer than the leader of the reapers is silent.
    static let idleSeconds = 60
}

/// How a pool makes connections and what their server calls things.
protocol ServerDriver: Sendable {
    associatedtype Connection: ServerConnection
    static var dialect: SQLDialect { get }
    func connect() throws(DatabaseError) -> Connection
    /// Takes a lock of the whole database that lives as long as the connection.
    /// - Returns: false where another connection has it.
    func tryLock(_ name: [UInt8], on connection: Connection) throws(DatabaseError) -> Bool
    /// Waits for the lock under which tables are changed, and gives it back.
    func withMigrationLock<Result>(
        on connection: Connection,
        _ body: () throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result
}

/// A bounded number of connections, each used by one of as many threads: the libraries wait.
///
/// At most `maximumWaiting` calls are under way or wait for a thread; further ones fail at once, and one that has waited
/// longer than `patience` is not begun. While the server cannot be reached, calls fail at once and one of them tries it
/// now and then; where it only takes no more connections, calls wait for those that are there.
final class ConnectionPool<Driver: ServerDriver>: DatabaseEngine {
    private struct State {
        var idle: [Driver.Connection] = []
        /// Connections that are idle or in use.
        var open = 0
        var backoff = ReconnectBackoff()
        var underWay = 0
        var isClosed = false
    }

    static var maximumWaiting: Int { 1_024 }
    /// How often a transaction that was in another one's way is run.
    private static var maximumTries: Int { 4 }

    var dialect: SQLDialect { Driver.dialect }
    private let driver: Driver
    private let threads: NIOThreadPool
    private let patience: Duration
    private let state = Mutex(State())

    /// - Parameter patience: how long a call may wait for its turn.
    init(driver: Driver, connections: Int, patience: Duration) {
        self.driver = driver
        self.patience = patience
        self.threads = NIOThreadPool(numberOfThreads: connections)
        self.threads.start()
    }

    func read<Result: Sendable>(
        _ body: @escaping @Sendable (any SQLConnection) throws(DatabaseError) -> Result
    ) async throws(DatabaseError) -> Result {
        try await self.perform { connection throws(DatabaseError) in try body(connection) }
    }

    /// A server's commits are as durable as it is configured.
    func write<Result: Sendable>(
        isDurable: Bool,
        _ body: @escaping @Sendable (any SQLConnection) throws(DatabaseError) -> Result
    ) async throws(DatabaseError) -> Result {
        try await self.perform { connection throws(DatabaseError) in
            try Self.transaction(on: connection) { () throws(DatabaseError) in try body(connection) }
        }
    }

    func migrate(
        _ body: @escaping @Sendable (any SQLConnection) throws(DatabaseError) -> Int
    ) async throws(DatabaseError) -> Int {
        let driver = self.driver
        return try await self.perform { connection throws(DatabaseError) in
            try driver.withMigrationLock(on: connection) { () throws(DatabaseError) in
                try Self.transaction(on: connection) { () throws(DatabaseError) in try body(connection) }
            }
        }
    }

    private static func transaction<Result>(
        on connection: Driver.Connection,
        _ body: () throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        try connection.run("BEGIN")
        do throws(DatabaseError) {
            let result = try body()
            try connection.run("COMMIT")
            return result
        } catch {
            if connection.isUsable {
                do throws(DatabaseError) {
                    try connection.run("ROLLBACK")
                } catch {
                    connection.close()
                }
            }
            throw error
        }
    }

    // MARK: Threads and connections

    private func perform<Result: Sendable>(
        _ body: @escaping @Sendable (Driver.Connection) throws(DatabaseError) -> Result
    ) async throws(DatabaseError) -> Result {
        let refusal = self.state.withLock { state -> DatabaseError? in
            if state.isClosed { return .isClosed }
            guard state.underWay < Self.maximumWaiting else { return .isFull }
            if state.open == 0, !state.backoff.isTimeToTry(at: .now) { return .isDown }
            state.underWay += 1
            return nil
        }
        if let refusal { throw refusal }
        let latest = ContinuousClock.now + self.patience
        let result: Swift.Result<Result, DatabaseError> = await withUnsafeContinuation { continuation in
            self.threads.submit { item in
                let result = Swift.Result { () throws(DatabaseError) -> Result in
                    guard item == .active else { throw .isClosed }
                    guard ContinuousClock.now < latest else {
                        throw DatabaseError(.timedOut, "no connection to the database became free in time")
                    }
                    return try self.runPatiently(until: latest, body)
                }
                self.state.withLock { $0.underWay -= 1 }
                continuation.resume(returning: result)
            }
        }
        return try result.get()
    }

    /// Again where another transaction was in the way, and once more where a connection turned out to be dead: everything
    /// that is run says under which condition it applies.
    private func runPatiently<Result>(
        until latest: ContinuousClock.Instant,
        _ body: (Driver.Connection) throws(DatabaseError) -> Result
    ) throws(DatabaseError) -> Result {
        var tries = 0
        var wasLost = false
        while true {
            tries += 1
            let connection: Driver.Connection
            do throws(DatabaseError) {
                connection = try self.takeConnection(until: latest)
            } catch {
                throw wasLost ? DatabaseError(.lost, error.message) : error
            }
            do throws(DatabaseError) {
                let result = try body(connection)
                self.giveBack(connection)
                return result
            } catch {
                let isLost = !connection.isUsable
                self.giveBack(connection)
                // The others lead to the same server: as a rule they are gone with this one.
                if isLost { self.closeIdle() }
                switch error.code {
                case .conflict where tries < Self.maximumTries: continue
                case .lost where tries < Self.maximumTries: wasLost = true
                // Whatever the repetition met: what was lost may have been carried out.
                default: throw wasLost ? DatabaseError(.lost, error.message) : error
                }
            }
        }
    }

    private func takeConnection(until latest: ContinuousClock.Instant) throws(DatabaseError) -> Driver.Connection {
        while true {
            let step: ConnectionStep<Driver.Connection> = self.state.withLock { state in
                if state.isClosed { return .refuse(.isClosed) }
                if let connection = state.idle.popLast() { return .use(connection) }
                if state.backoff.mayTry(at: .now) { return .connect }
                return state.open > 0 && .now < latest ? .wait : .refuse(.isDown)
            }
            switch step {
            case .use(let connection): return connection
            case .refuse(let error): throw error
            case .wait: usleep(1_000)
            case .connect:
                do throws(DatabaseError) {
                    let connection = try self.driver.connect()
                    self.state.withLock { state in
                        state.open += 1
                        state.backoff.succeeded()
                    }
                    return connection
                } catch {
                    let random = Double.random(in: 0...1)
                    let isAlone = self.state.withLock { state in
                        state.backoff.failed(at: .now, random: random)
                        return state.open == 0
                    }
                    if isAlone { throw error }
                }
            }
        }
    }

    private func giveBack(_ connection: Driver.Connection) {
        let isKept = self.state.withLock { state in
            guard connection.isUsable, !state.isClosed else {
                state.open -= 1
                return false
            }
            state.idle.append(connection)
            return true
        }
        if !isKept { connection.close() }
    }

    private func closeIdle() {
        let idle = self.state.withLock { state in
            defer {
                state.open -= state.idle.count
                state.idle = []
            }
            return state.idle
        }
        for connection in idle { connection.close() }
    }

    // MARK: Leading

    /// By a lock of the server's that belongs to a connection of its own: with the connection the lock goes.
    func lead(_ name: [UInt8]) async throws(DatabaseError) -> (any LeaderLease)? {
        let driver = self.driver
        return try await self.onThread { () throws(DatabaseError) -> (any LeaderLease)? in
            let connection = try driver.connect()
            do throws(DatabaseError) {
                if try driver.tryLock(name, on: connection) { return ConnectionLease(connection, self) }
            } catch {
                connection.close()
                throw error
            }
            connection.close()
            return nil
        }
    }

    fileprivate func onThread<Result: Sendable>(
        _ body: @escaping @Sendable () throws(DatabaseError) -> Result
    ) async throws(DatabaseError) -> Result {
        let result: Swift.Result<Result, DatabaseError> = await withUnsafeContinuation { continuation in
            self.threads.submit { item in
                continuation.resume(
                    returning: Swift.Result { () throws(DatabaseError) -> Result in
                        guard item == .active else { throw .isClosed }
                        return try body()
                    }
                )
            }
        }
        return try result.get()
    }

    func close() async {
        self.state.withLock { $0.isClosed = true }
        self.closeIdle()
        try? await self.threads.shutdownGracefully()
    }
}

/// How a call gets its connection.
private enum ConnectionStep<Connection> {
    case use(Connection)
    case connect
    /// For one that is in use.
    case wait
    case refuse(DatabaseError)
}

extension DatabaseError {
    static let isDown = DatabaseError(.unavailable, "the database cannot be reached; it is tried again soon")
}

private final class ConnectionLease<Driver: ServerDriver>: LeaderLease {
    private let connection: Driver.Connection
    private let pool: ConnectionPool<Driver>

    init(_ connection: Driver.Connection, _ pool: ConnectionPool<Driver>) {
        self.connection = connection
        self.pool = pool
    }

    deinit { self.connection.close() }

    func isHeld() async -> Bool {
        let connection = self.connection
        do throws(DatabaseError) {
            return try await self.pool.onThread { () throws(DatabaseError) in
                guard connection.isUsable else { return false }
                return try connection.query("SELECT 1", []).count == 1
            }
        } catch {
            return false
        }
    }

    func giveBack() async {
        let connection = self.connection
        do throws(DatabaseError) {
            try await self.pool.onThread { () throws(DatabaseError) in connection.close() }
        } catch {
            connection.close()
        }
    }
}
