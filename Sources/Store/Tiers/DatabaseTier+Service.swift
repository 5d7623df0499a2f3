import Database
import Logging
import Sessions
import Synchronization

/// What happens behind the responses.
extension DatabaseTier {
    private static let batchSize = 256
    /// How often it is looked whether something is due.
    private static let beat: Duration = .milliseconds(250)
    private static let longestPause: Duration = .milliseconds(500)
    private static let lastPatience: Duration = .seconds(6)
    /// How often the database is asked what other gateways have told it that memcached does not know.
    package static let askingInterval: Duration = .seconds(5)
    /// Sessions that memcached is told about at a time, and how many of them may fail before that is put off.
    private static let placesAtOnce = 1_024
    private static let maximumFailures = 16
    /// Sessions that are looked up in memcached at a time.
    private static let questionsAtOnce = 64

    /// Writes what is due, until it is cancelled; then everything that waits, once, unless another tier has taken it over.
    /// What takes long goes on beside the saves: one that is due waits for no more than the batch that is under way.
    /// - Parameter replicas: on the event loop that this runs on.
    package func run(replicas: SessionStore) async {
        self.withMemory { $0.reconfigure(self.configuration) }
        let store = HybridStore(replicas: replicas, tier: self)
        await withDiscardingTaskGroup { group in
            group.addTask { await Self.repeatedly { await self.writeDue(replicas.pool) } }
            group.addTask { await self.slideExpiries(replicas.pool) }
            group.addTask { await self.tellMemcached(store) }
            group.addTask { await self.askForRivals(replicas) }
            group.addTask { await self.watch(replicas) }
        }
        if self.isLast { await self.flush() }
    }

    /// At every beat, until it is cancelled.
    /// - Parameter body: false where the database, or memcached, is away: less and less often then.
    private static func repeatedly(_ body: () async -> Bool) async {
        var pause = Self.beat
        while true {
            try? await Task.sleep(for: pause)
            if Task.isCancelled { return }
            pause = await body() ? Self.beat : min(pause * 2, Self.longestPause)
        }
    }

    private func slideExpiries(_ source: ReplicaPool) async {
        var next = ContinuousClock.now + self.touchInterval
        await Self.repeatedly {
            guard ContinuousClock.now >= next || self.withMemory({ $0.touches.isFull }) else { return true }
            guard await self.writeTouches(source) else { return false }
            next = .now + self.touchInterval
            return true
        }
    }

    private func tellMemcached(_ store: HybridStore) async {
        var next = ContinuousClock.now
        // Some servers do not take what they are told: all that is known already waits too.
        var isPutOff = false
        await Self.repeatedly {
            let isTime = ContinuousClock.now >= next
            let (isBehind, isEmpty) = self.withMemory { ($0.isBehind, $0.unplaced.isEmpty) }
            guard store.isReady, isTime || !isPutOff && (isBehind || !isEmpty) else { return true }
            if isTime || isBehind {
                next = .now + Self.askingInterval
                guard await self.catchUp() else { return false }
            }
            isPutOff = await !self.placeSome(store)
            return true
        }
    }

    /// What was written from here may not be the newest where another gateway has saved too: memcached knows.
    private func askForRivals(_ replicas: SessionStore) async {
        await Self.repeatedly {
            while replicas.isReady, !Task.isCancelled {
                let asked = self.withMemory { $0.toAsk(limit: Self.questionsAtOnce, at: StoreClock.now) }
                if asked.isEmpty { return true }
                let findings = await replicas.pool.findings(asked.map(\.key), at: StoreClock.now)
                let answered = self.withMemory { memory in
                    zip(asked, findings).count { memory.answered($0.key, $0.written, $1, at: StoreClock.now) }
                }
                if answered * 2 < asked.count { return false }
            }
            return true
        }
    }

    /// What memcached has forgotten or missed, and the figures.
    private func watch(_ replicas: SessionStore) async {
        var nextReport = ContinuousClock.now + self.reportInterval
        await Self.repeatedly {
            if replicas.pool.mayHaveForgotten {
                self.withMemory { $0.memcachedHasForgotten(at: StoreClock.now) }
            }
            if !replicas.isReady { self.withMemory { $0.memcachedWasAway() } }
            if ContinuousClock.now >= nextReport {
                nextReport = .now + self.reportInterval
                self.report()
            }
            return true
        }
    }

    /// An eighth of the idle lifetime; not more often than sessions are synced.
    private var touchInterval: Duration { max(self.configuration.syncInterval, self.configuration.idleLifetime / 8) }

    /// Everything that waits.
    package func flush() async {
        _ = await self.writeDue(nil)
        _ = await self.writeTouches(nil)
    }

    /// When no request uses it any more; at the end of the process a database that is away gets some seconds to come back.
    package func flushAtEnd() async {
        // Else what waits has gone over to the next configuration.
        guard self.leave() else { return }
        let latest = ContinuousClock.now + Self.lastPatience
        await self.flush()
        while self.withMemory({ !$0.queue.isEmpty }), ContinuousClock.now < latest {
            // Also where the task is cancelled.
            await Task { try? await Task.sleep(for: Self.beat) }.value
            await self.flush()
        }
        self.report()
    }

    /// - Parameter source: where sessions without a row are looked up; nil at the end, when everything that waits is due.
    /// - Returns: whether the database took it.
    private func writeDue(_ source: ReplicaPool?) async -> Bool {
        let isLast = source == nil
        while isLast || !Task.isCancelled {
            let batch = self.withMemory { $0.nextBatch(limit: Self.batchSize, at: StoreClock.now, isLast: isLast) }
            if batch.isEmpty { return true }
            do throws(DatabaseError) {
                let results = try await self.noting { () throws(DatabaseError) in
                    try await self.database.applyEach(batch)
                }
                let written = zip(batch, results).filter { $1 != nil }
                let failed = zip(batch, results).filter { $1 == nil }.map(\.0)
                let (next, rowless) = self.withMemory { memory in
                    memory.counts.failures += failed.count
                    memory.batchFailed(failed)
                    return memory.batchWritten(written.map(\.0), written.compactMap(\.1), at: StoreClock.now)
                }
                _ = try? await self.apply(next)
                if let source { await self.look(for: rowless, in: source) }
                if !failed.isEmpty { return false }
            } catch {
                self.withMemory { memory in
                    memory.counts.failures += 1
                    memory.batchFailed(batch)
                }
                // It was not there at the start.
                if error.code == .schema, self.configuration.migrates { await self.migrate() }
                return false
            }
        }
        return true
    }

    /// It is tried again and again; why it cannot be done is logged once.
    private func migrate() async {
        do throws(DatabaseError) {
            try await self.database.migrate()
        } catch {
            let isNew = self.migrationError.withLock { last in
                defer { last = error }
                return last != error
            }
            if isNew { self.logger.error("the database's tables cannot be made", metadata: ["error": "\(error)"]) }
        }
    }

    // MARK: Expiries

    /// Those that wait now.
    /// - Parameter source: where sessions without a row are looked up; nil at the end, when there is no time for that.
    /// - Returns: whether the database took them.
    private func writeTouches(_ source: ReplicaPool?) async -> Bool {
        for batch in self.withMemory({ $0.touches.pass(by: Self.batchSize) }) {
            if source != nil, Task.isCancelled { return true }
            do throws(DatabaseError) {
                let results = try await self.apply(self.configuration.changes(for: batch, at: StoreClock.now))
                let rowless = self.withMemory { $0.touched(batch, results) }
                if let source { await self.look(for: rowless, in: source) }
            } catch {
                return false
            }
        }
        return true
    }

    /// Sessions that memcached has and the database does not: with what memcached has of them they are due.
    private func look(for rowless: [SessionKey], in source: ReplicaPool) async {
        // Not all of their data at once.
        for start in stride(from: 0, to: rowless.count, by: Self.questionsAtOnce) {
            let keys = Array(rowless[start..<min(start + Self.questionsAtOnce, rowless.count)])
            let findings = await source.findings(keys, at: StoreClock.now)
            self.withMemory { memory in
                for case (let key, .live(let record, let expires)) in zip(keys, findings) {
                    memory.foundWithoutRow(record, key, expires: expires, at: StoreClock.now)
                }
            }
        }
    }

    // MARK: What memcached has to be told

    /// Adopts what the database was told while memcached could not be, here or elsewhere.
    /// - Returns: whether the database could be asked.
    private func catchUp() async -> Bool {
        let absences = self.withMemory { $0.catchingUp() }
        var rows: [DueRow] = []
        var isAll = false
        do throws(DatabaseError) {
            while rows.count < TierMemory.maximumUnplaced {
                let more = try await self.noting { () throws(DatabaseError) in
                    try await self.database.due(
                        self.configuration.keyspace,
                        at: SessionRow.unplaced,
                        after: rows.last.map { DueCursor(after: $0) },
                        limit: 1_000
                    )
                }
                rows += more
                isAll = more.count < 1_000
                if isAll { break }
            }
        } catch {
            return false
        }
        self.withMemory { memory in
            for row in rows where !memory.adopt(row.key) { isAll = false }
            memory.caughtUp(absences, isAll: isAll)
        }
        return true
    }

    /// Tells memcached of what is known to be missing there.
    /// - Returns: whether most of it could be done.
    private func placeSome(_ store: HybridStore) async -> Bool {
        let keys = self.withMemory { $0.toPlace(limit: Self.placesAtOnce, from: Int.random(in: 0..<Int.max)) }
        var failures = 0
        for key in keys {
            guard failures < Self.maximumFailures else { return false }
            if Task.isCancelled { break }
            if await !self.place(key, store) { failures += 1 }
        }
        return true
    }

    /// - Returns: whether it could be done.
    private func place(_ key: SessionKey, _ store: HybridStore) async -> Bool {
        var operation = PlaceOperation(key: key)
        var step = operation.start()
        while true {
            let answer: PlaceOperation.Answer
            switch step {
            case .loadRow:
                if case .row(let row) = await self.load(key) { answer = .row(row) } else { answer = .failed }
            case .destroyInMemcached:
                answer = .destroyed(await store.replicas.destroy(key) == .destroyed)
            case .look:
                answer = .seen(await store.replicas.look(key))
            case .save(let base, let proposal):
                let attempt = await store.replicas.attempt(.save(base: base, proposal: proposal), key: key)
                if case .ended(.saved) = attempt { answer = .saved } else { answer = .failed }
            case .write(let change):
                if case .changed(let result) = await self.write(change, isDurable: false) {
                    answer = .changed(result)
                } else {
                    answer = .changed(nil)
                }
            case .finish(let isDone):
                return isDone
            }
            step = self.withMemory { operation.answered(answer, &$0, at: StoreClock.now) }
        }
    }
}
