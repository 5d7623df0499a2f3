import DequeModule
package import Logging
package import NIOCore
package import Sessions

/// A site's sessions in its memcacheds, by the replication protocol. `durable` asks for more than they can give.
///
/// All calls on the event loop of the pool, which is why it may be passed between tasks of that loop (`@unchecked Sendable`).
package final class SessionStore: SessionStorage, @unchecked Sendable {
    package let pool: ReplicaPool
    let configuration: StoreConfiguration
    /// Copies older than this are renewed, in milliseconds.
    private let oldestAge: UInt64
    private let counters: StoreCounters
    private let logger: Logger

    /// Repairs behind the responses: at most `maximumRepairs` at once, and `maximumWaitingRepairs` more wait; one that
    /// finds the queue full is dropped and counted, since the next load of that session asks for it again.
    private var repairsUnderWay = 0
    private var waitingRepairs = Deque<SessionKey>()
    private static let maximumRepairs = 16
    private static let maximumWaitingRepairs = 1_024

    package init(configuration: StoreConfiguration, eventLoop: any EventLoop, counters: StoreCounters, logger: Logger) {
        self.configuration = configuration
        let oldest = configuration.maximumItemAge.wholeMilliseconds
        self.oldestAge = oldest - min(configuration.idleLifetime.wholeMilliseconds, oldest / 2)
        self.counters = counters
        self.logger = logger
        self.pool = ReplicaPool(
            configuration: configuration,
            eventLoop: eventLoop,
            counters: counters,
            logger: logger
        )
    }

    package func key(for id: SessionID) -> SessionKey {
        self.configuration.keyspace.key(for: id)
    }

    // MARK: Reading

    /// Slides the idle expiry. One round trip where the servers agree.
    package func load(_ key: SessionKey, client: ByteBufferView? = nil) async -> SessionLoadOutcome {
        self.counters.loadStarted()
        switch await self.pool.perform(.load, key: key, timeout: self.configuration.loadTimeout) {
        case .chosen(let loaded):
            return self.live(loaded, isDegraded: false)
        case .none:
            return .none
        case .unavailable(let best, _):
            guard let best, self.configuration.servesDegraded else {
                self.counters.notAvailable()
                return .unavailable
            }
            if best.record.isTombstone { return .none }
            self.counters.servedDegraded()
            return self.live(best, isDegraded: true)
        case .destroyed, .discarded, .unknown, .degraded, .beyondRepair:
            self.counters.notAvailable()
            return .unavailable
        }
    }

    /// Without sliding the expiry, and for nobody: only what is certain.
    func look(_ key: SessionKey) async -> SessionLoadOutcome {
        switch await self.pool.perform(.look, key: key, timeout: self.configuration.loadTimeout) {
        case .chosen(let loaded): self.live(loaded, isDegraded: false)
        case .none: .none
        case .unavailable, .destroyed, .discarded, .unknown, .degraded, .beyondRepair: .unavailable
        }
    }

    private func live(_ loaded: LoadedRecord, isDegraded: Bool) -> SessionLoadOutcome {
        if loaded.record.absoluteDeadline <= StoreClock.now { return .none }
        return .live(StoredSession(loaded: loaded, isDegraded: isDegraded))
    }

    // MARK: Writing

    /// Writes a new blob from what was loaded.
    /// - Parameter cookieIssued: when the cookie was sent, where that is to be remembered anew.
    package func save(
        _ session: StoredSession,
        key: SessionKey,
        payload: ByteBuffer,
        cookieIssued: SessionRecord.Timestamp? = nil,
        isDurable: Bool = false
    ) async -> SessionWriteOutcome {
        let proposal = session.record.successor(
            self.pool.newIdentity(after: session.record.identity),
            payload: payload,
            idleLifetime: self.configuration.idleLifetime,
            cookieIssued: cookieIssued
        )
        return await self.write(.save(base: session.loaded, proposal: proposal), key: key)
    }

    /// - Parameter key: of a fresh id, which nobody else has.
    package func create(
        _ key: SessionKey,
        payload: ByteBuffer,
        hasCookieLifetime: Bool,
        isDurable: Bool = false
    ) async -> SessionWriteOutcome {
        let proposal = SessionRecord.fresh(
            self.pool.newIdentity(after: nil),
            payload: payload,
            idleLifetime: self.configuration.idleLifetime,
            absoluteLifetime: self.configuration.absoluteLifetime,
            hasCookieLifetime: hasCookieLifetime
        )
        return await self.write(.create(proposal: proposal), key: key)
    }

    /// Puts back what memcached has forgotten; where it has not, what is there is the outcome.
    func restore(_ record: SessionRecord, key: SessionKey) async -> SessionLoadOutcome {
        switch await self.pool.perform(
            .restore(proposal: record),
            key: key,
            timeout: self.configuration.loadTimeout
        ) {
        case .chosen(let loaded): self.live(loaded, isDegraded: false)
        case .none: .none
        case .unavailable, .destroyed, .discarded, .unknown, .degraded, .beyondRepair: .unavailable
        }
    }

    @inline(__always)
    private func write(_ goal: ReplicaOperation.Goal, key: SessionKey) async -> SessionWriteOutcome {
        switch await self.attempt(goal, key: key) {
        case .ended(let outcome):
            return outcome
        case .tooFew:
            if self.configuration.servesDegraded, let degraded = goal.degraded {
                return await self.writeDegraded(degraded, key: key)
            }
            self.counters.notAvailable()
            return .unavailable
        }
    }

    /// What the servers made of a write that is to be acknowledged.
    enum Attempt {
        case ended(SessionWriteOutcome)
        /// Not enough of them answered: fewer copies may be better than none.
        /// - Parameter mayBeWritten: a server may have got it.
        case tooFew(mayBeWritten: Bool)
    }

    /// - Parameter goal: a save, whose proposal's ancestors begin with the base, or a creation.
    @inline(__always)
    func attempt(_ goal: ReplicaOperation.Goal, key: SessionKey) async -> Attempt {
        let place = self.pool.place(of: key)
        // Where none of its servers is up, nothing is sent.
        guard self.pool.mayReach(place) else {
            self.counters.notAvailable()
            return .ended(.unavailable)
        }
        switch await self.pool.perform(goal, key: key, at: place, timeout: self.configuration.loadTimeout) {
        case .chosen(let loaded):
            self.counters.saveAcknowledged()
            return .ended(.saved(StoredSession(loaded: loaded, isDegraded: false)))
        case .discarded(let winner):
            self.counters.saveDiscarded()
            return .ended(.discarded(winner: winner?.version))
        case .unavailable(_, let mayBeWritten):
            return .tooFew(mayBeWritten: mayBeWritten)
        case .none, .destroyed, .unknown, .degraded, .beyondRepair:
            return .ended(.unknown)
        }
    }

    /// On fewer servers than an acknowledgement needs.
    /// - Parameter goal: what is left of one that was attempted.
    func writeDegraded(_ goal: ReplicaOperation.Goal, key: SessionKey) async -> SessionWriteOutcome {
        guard
            case .degraded(let loaded) = await self.pool.perform(
                goal,
                key: key,
                timeout: self.configuration.loadTimeout
            )
        else {
            self.counters.notAvailable()
            // The first attempt may have reached a server.
            return .unknown
        }
        self.counters.servedDegraded()
        return .degraded(StoredSession(loaded: loaded, isDegraded: true))
    }

    /// Whatever the version is. Repeated until the tombstone is chosen or no time is left.
    package func destroy(_ key: SessionKey) async -> SessionDestroyOutcome {
        let goal = ReplicaOperation.Goal.destroy(identity: self.pool.newIdentity(after: nil))
        switch await self.pool.perform(goal, key: key, timeout: self.configuration.loadTimeout * 2) {
        case .destroyed, .none: return .destroyed
        case .chosen, .discarded, .unknown, .unavailable, .degraded, .beyondRepair: return .unknown
        }
    }

    // MARK: Connections

    /// Whether any server of the session is up, as far as one can tell at once.
    func mayReach(_ key: SessionKey) -> Bool { self.pool.mayReach(self.pool.place(of: key)) }

    package var eventLoop: any EventLoop { self.pool.eventLoop }
    package func start() { self.pool.start() }
    package func close() -> EventLoopFuture<Void> { self.pool.close() }
    package var isReady: Bool { self.pool.isReady }

    // MARK: Behind the responses

    /// Brings the session back to its home servers if it was found elsewhere, or renews copies that grow too old.
    package func maintain(_ session: StoredSession, key: SessionKey) {
        let now = StoreClock.now
        let age = now &- min(session.record.written, now)
        guard session.loaded.needsRepair || age > self.oldestAge else { return }
        self.repair(key)
    }

    private func repair(_ key: SessionKey) {
        guard self.repairsUnderWay < Self.maximumRepairs else {
            if self.waitingRepairs.count < Self.maximumWaitingRepairs {
                self.waitingRepairs.append(key)
            } else {
                self.counters.repairDropped()
            }
            return
        }
        self.repairsUnderWay += 1
        self.pool.perform(.keep, key: key, timeout: self.configuration.longestOperation) { outcome in
            if case .chosen = outcome { self.counters.repaired() }
            self.repairsUnderWay -= 1
            if let next = self.waitingRepairs.popFirst() { self.repair(next) }
        }
    }
}
