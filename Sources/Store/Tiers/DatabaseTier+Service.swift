import Database
import Logging
import Sessions

/// What happens behind the responses.
extension DatabaseTier {
    private static let batchSize = 256
    /// How often it is looked whether something is due.
    private static let beat: Duration = .milliseconds(250)
    private static let longestPause: Duration = .seconds(5)
    private static let lastPatience: Duration = .seconds(6)
    /// How often the database is asked what other gateways have told it that memcached does not know.
    package static let askingInterval: Duration = .seconds(5)
    /// Sessions that memcached is told about at a time.
    private static let placesAtOnce = 1_024

    /// Writes what is due, until it is cancelled; then everything that waits, once.
    /// - Parameter replicas: on the event loop that this runs on.
    package func run(replicas: SessionStore) async {
        let store = HybridStore(replicas: replicas, tier: self)
        var pause = Self.beat
        var nextTouch = ContinuousClock.now + self.touchInterval
        var nextReport = ContinuousClock.now + .seconds(60)
        var nextQuestion = ContinuousClock.now
        while !Task.isCancelled {
            try? await Task.sleep(for: pause)
            let isWritten = await self.writeDue(isLast: false)
            // While it is down, less and less often.
            pause = isWritten ? Self.beat : min(pause * 2, Self.longestPause)
            if isWritten, ContinuousClock.now >= nextTouch || self.withMemory({ $0.touches.isFull }) {
                nextTouch = .now + self.touchInterval
                await self.writeTouches()
            }
            if replicas.pool.mayHaveForgotten {
                self.withMemory { $0.memcachedHasForgotten(at: StoreClock.now) }
            }
            if !replicas.isReady {
                self.withMemory { $0.memcachedWasAway() }
            } else if isWritten,
                ContinuousClock.now >= nextQuestion || self.withMemory({ $0.isBehind || !$0.unplaced.isEmpty })
            {
                nextQuestion = .now + Self.askingInterval
                await self.catchUp(store)
            }
            if ContinuousClock.now >= nextReport {
                nextReport = .now + .seconds(60)
                self.report()
            }
        }
        await self.flush()
    }

    /// An eighth of the idle lifetime; not more often than sessions are synced.
    private var touchInterval: Duration { max(self.configuration.syncInterval, self.configuration.idleLifetime / 8) }

    /// Everything that waits.
    package func flush() async {
        _ = await self.writeDue(isLast: true)
        await self.writeTouches()
    }

    /// The same at the end of the process: a database that is away gets some seconds to come back.
    package func flushAtEnd() async {
        let latest = ContinuousClock.now + Self.lastPatience
        await self.flush()
        while self.depth.waiting > 0, ContinuousClock.now < latest {
            // Also where the task is cancelled.
            await Task { try? await Task.sleep(for: Self.beat) }.value
            await self.flush()
        }
        self.report()
    }

    /// - Returns: whether the database took it.
    private func writeDue(isLast: Bool) async -> Bool {
        while true {
            let batch = self.withMemory { $0.nextBatch(limit: Self.batchSize, at: StoreClock.now, isLast: isLast) }
            if batch.isEmpty { return true }
            do throws(DatabaseError) {
                let results = try await self.apply(batch)
                let more = self.withMemory { $0.batchWritten(batch, results, at: StoreClock.now) }
                _ = try? await self.apply(more)
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
    }

    private func migrate() async {
        do throws(DatabaseError) {
            try await self.database.migrate()
        } catch {
            self.logger.error("the database's tables cannot be made", metadata: ["error": "\(error)"])
        }
    }

    private func writeTouches() async {
        let reapAfter = self.configuration.reapAfter.wholeMilliseconds
        while true {
            let batch = self.withMemory { $0.touches.batch(limit: 1_000) }
            if batch.isEmpty { return }
            let now = StoreClock.now
            do throws(DatabaseError) {
                _ = try await self.apply(
                    batch.map { .touch($0.key, expires: $0.expires, due: min($0.expires, now &+ reapAfter)) }
                )
                self.withMemory { memory in
                    memory.counts.writes += batch.count
                    memory.touches.written(batch)
                }
            } catch {
                return
            }
        }
    }

    // MARK: What memcached has to be told

    /// Adopts what the database was told while memcached could not be, here or elsewhere, and tells memcached.
    private func catchUp(_ store: HybridStore) async {
        let absences = self.withMemory { $0.catchingUp() }
        var rows: [DueRow] = []
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
                if more.count < 1_000 { break }
            }
        } catch {
            return
        }
        let keys = self.withMemory { memory in
            for row in rows { memory.adopt(row.key) }
            memory.caughtUp(absences)
            return Array(memory.unplaced.prefix(Self.placesAtOnce))
        }
        for key in keys {
            guard !Task.isCancelled, await self.place(key, store) else { return }
        }
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
            case .load:
                answer = .loaded(await store.load(key, client: nil))
            case .write(let change):
                _ = await self.write(change, isDurable: false)
                answer = .changed
            case .finish(let isDone):
                return isDone
            }
            step = self.withMemory { operation.answered(answer, &$0, at: StoreClock.now) }
        }
    }
}
