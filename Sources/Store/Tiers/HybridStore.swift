import Database
package import NIOCore
package import Sessions

/// A site's sessions in memcached, with a database behind it: what memcached forgets is put back from there, and while it
/// cannot be asked the database serves alone, marked as degraded.
///
/// All calls on the event loop of the replicas, which is why it may be passed between tasks of that loop
/// (`@unchecked Sendable`).
package final class HybridStore: SessionStorage, @unchecked Sendable {
    package let replicas: SessionStore
    let tier: DatabaseTier
    let configuration: TierConfiguration

    package init(replicas: SessionStore, tier: DatabaseTier) {
        self.replicas = replicas
        self.tier = tier
        self.configuration = tier.configuration
    }

    package func key(for id: SessionID) -> SessionKey { self.replicas.key(for: id) }
    package func takeTurn(_ key: SessionKey, timeout: Duration) async -> TurnLeaseOutcome {
        await self.replicas.takeTurn(key, timeout: timeout)
    }

    package var eventLoop: any EventLoop { self.replicas.eventLoop }
    package func start() { self.replicas.start() }
    package func close() -> EventLoopFuture<Void> { self.replicas.close() }
    package var isReady: Bool { self.replicas.isReady }

    package func maintain(_ session: StoredSession, key: SessionKey) {
        if !session.isFromDatabase { self.replicas.maintain(session, key: key) }
    }

    // MARK: Reading

    package func load(_ key: SessionKey, client: ByteBufferView?) async -> SessionLoadOutcome {
        if self.tier.isDestroyed(key) { return .none }
        switch await self.replicas.load(key, client: client) {
        case .live(let session) where session.isDegraded:
            return await self.compared(session, key)
        case .live(let session):
            self.tier.seen(session.record, key)
            return .live(session)
        case .none:
            return await self.restored(key, client)
        case .unavailable:
            return await self.loadedFromDatabase(key, client)
        }
    }

    /// Fewer servers answered than a promise needs: the database may know better, above all that the session is destroyed.
    private func compared(_ session: StoredSession, _ key: SessionKey) async -> SessionLoadOutcome {
        let row: SessionRow?
        do throws(DatabaseError) {
            row = try await self.tier.load(key)
        } catch {
            return .live(session)
        }
        guard let row else { return .live(session) }
        if row.record.isTombstone { return .none }
        guard row.record.identity.version > session.version, row.isLive(at: StoreClock.now) else {
            return .live(session)
        }
        return self.served(row)
    }

    /// Memcached has nothing: it never was, has expired, was destroyed, or was forgotten.
    private func restored(_ key: SessionKey, _ client: ByteBufferView?) async -> SessionLoadOutcome {
        let found: SessionRow?
        do throws(DatabaseError) {
            switch try await self.newest(key, client) {
            case .limited: return .unavailable
            case .row(let row): found = row
            }
        } catch {
            // Requests go on from memcached, and that says there is none.
            return .none
        }
        guard let found, found.isLive(at: StoreClock.now) else { return .none }
        switch await self.replicas.restore(found.record, key: key) {
        case .live(var session):
            self.tier.counters.add(\.restored)
            self.tier.seen(session.record, key)
            session.hasGoneBack = found.hasGoneBack && session.record.identity == found.record.identity
            if session.hasGoneBack { await self.acceptReversion(found) }
            return .live(session)
        case .none:
            // Destroyed there, and the database does not know it yet.
            self.tier.destroyed(self.tombstone(key))
            return .none
        case .unavailable:
            guard self.configuration.servesDegraded else { return .unavailable }
            return self.served(found)
        }
    }

    private func loadedFromDatabase(_ key: SessionKey, _ client: ByteBufferView?) async -> SessionLoadOutcome {
        guard self.configuration.servesDegraded else { return .unavailable }
        let found: SessionRow?
        do throws(DatabaseError) {
            switch try await self.newest(key, client) {
            case .limited: return .unavailable
            case .row(let row): found = row
            }
        } catch {
            return .unavailable
        }
        guard let found else { return .unavailable }
        if found.record.isTombstone { return .none }
        // Its expiry may have slid since, where nobody can be asked.
        guard found.isLive(at: StoreClock.now) else { return .unavailable }
        self.tier.counters.add(\.servedAlone)
        if found.hasGoneBack { await self.acceptReversion(found) }
        return self.served(found)
    }

    private enum Finding {
        /// The client has asked for too many ids that nobody knows.
        case limited
        case row(SessionRow?)
    }

    /// The newest state that this process or the database has.
    private func newest(_ key: SessionKey, _ client: ByteBufferView?) async throws(DatabaseError) -> Finding {
        let waiting = self.tier.waiting(key)
        if waiting == nil, !self.tier.admits(client) {
            self.tier.counters.add(\.limited)
            return .limited
        }
        let row: SessionRow?
        do throws(DatabaseError) {
            row = try await self.tier.load(key)
        } catch {
            guard let waiting else { throw error }
            return .row(waiting)
        }
        guard let waiting else {
            if row == nil { self.tier.charge(client) }
            return .row(row)
        }
        guard let row else { return .row(waiting) }
        if row.record.isTombstone || row.record.identity.version >= waiting.record.identity.version { return .row(row) }
        // What waits here is newer than the row: nothing is lost, unless somebody else has acknowledged more.
        var newest = waiting
        newest.newest = max(row.newest, waiting.newest)
        return .row(newest)
    }

    private func acceptReversion(_ row: SessionRow) async {
        self.tier.counters.add(\.reverted)
        do throws(DatabaseError) {
            _ = try await self.tier.write(.acceptReversion(row.key, row.record.identity), isDurable: false)
        } catch {
            // It may be said once more.
        }
    }

    private func served(_ row: SessionRow) -> SessionLoadOutcome {
        .live(self.session(row.record, hasGoneBack: row.hasGoneBack))
    }

    /// Of the database alone.
    private func session(_ record: SessionRecord, hasGoneBack: Bool = false) -> StoredSession {
        StoredSession(
            loaded: LoadedRecord(record: record, tokens: [], needsRepair: false),
            isDegraded: true,
            isFromDatabase: true,
            hasGoneBack: hasGoneBack
        )
    }

    // MARK: Writing

    package func save(
        _ session: StoredSession,
        key: SessionKey,
        payload: ByteBuffer,
        cookieIssued: SessionRecord.Timestamp?,
        isDurable: Bool
    ) async -> SessionWriteOutcome {
        if session.isFromDatabase || !self.replicas.mayReach(key) {
            guard self.configuration.servesDegraded else { return .unavailable }
            return await self.saveToDatabase(session, key, payload, cookieIssued, isDurable: isDurable)
        }
        let isDue = self.tier.isDue(lastSynced: session.record.databaseSynced)
        var base = session
        if isDue || isDurable { base.loaded.record.databaseSynced = StoreClock.now }
        let outcome = await self.replicas.save(
            base,
            key: key,
            payload: payload,
            cookieIssued: cookieIssued,
            isDurable: isDurable
        )
        switch outcome {
        case .saved(let saved):
            return await self.acknowledged(saved, key, isAtOnce: isDurable, isDurable: isDurable, isDue: isDue)
        case .degraded(let saved):
            await self.writeDegraded(saved, key)
            return outcome
        case .unavailable:
            guard self.configuration.servesDegraded else { return .unavailable }
            return await self.saveToDatabase(session, key, payload, cookieIssued, isDurable: isDurable)
        case .discarded, .unknown:
            return outcome
        }
    }

    package func create(
        _ key: SessionKey,
        payload: ByteBuffer,
        hasCookieLifetime: Bool,
        isDurable: Bool
    ) async -> SessionWriteOutcome {
        var record = SessionRecord.fresh(
            self.tier.identities.next(after: nil),
            payload: payload,
            idleLifetime: self.configuration.idleLifetime,
            absoluteLifetime: self.configuration.absoluteLifetime,
            hasCookieLifetime: hasCookieLifetime
        )
        record.databaseSynced = record.created
        guard self.replicas.mayReach(key) else {
            guard self.configuration.servesDegraded else { return .unavailable }
            return await self.write(record, key, isDurable: isDurable) { .insert($0) }
        }
        let outcome = await self.replicas.create(record, key: key)
        switch outcome {
        case .saved(let created):
            let isAtOnce = isDurable || self.configuration.syncsNew
            return await self.acknowledged(created, key, isAtOnce: isAtOnce, isDurable: isDurable, isDue: true)
        case .degraded(let created):
            await self.writeDegraded(created, key)
            return outcome
        case .unavailable, .unknown:
            // A part of it may be in memcached: it is the same record.
            guard self.configuration.servesDegraded else { return outcome }
            return await self.write(record, key, isDurable: isDurable) { .insert($0) }
        case .discarded:
            return outcome
        }
    }

    /// Memcached has acknowledged it: the database gets it now, or behind the response.
    private func acknowledged(
        _ session: StoredSession,
        _ key: SessionKey,
        isAtOnce: Bool,
        isDurable: Bool,
        isDue: Bool
    ) async -> SessionWriteOutcome {
        guard isAtOnce else {
            self.tier.saved(session.record, key, isDue: isDue)
            return .saved(session)
        }
        do throws(DatabaseError) {
            let row = self.tier.row(session.record, key)
            // Refused by a newer state, or by a tombstone: the database knows more than this.
            _ = try await self.tier.write(.upsert(row), isDurable: isDurable)
            return .saved(session)
        } catch {
            self.tier.saved(session.record, key, isDue: true)
            // Durable it is not.
            return isDurable ? .degraded(session) : .saved(session)
        }
    }

    /// On fewer servers than a promise needs: the database has it before the response.
    private func writeDegraded(_ session: StoredSession, _ key: SessionKey) async {
        do throws(DatabaseError) {
            _ = try await self.tier.write(.upsert(self.tier.row(session.record, key)), isDurable: false)
        } catch {
            self.tier.saved(session.record, key, isDue: true)
        }
    }

    /// Memcached cannot be asked. From what the database had it is a compare; from what memcached had, whose last states
    /// the database may not know, no newer row than that may be there.
    private func saveToDatabase(
        _ session: StoredSession,
        _ key: SessionKey,
        _ payload: ByteBuffer,
        _ cookieIssued: SessionRecord.Timestamp?,
        isDurable: Bool
    ) async -> SessionWriteOutcome {
        let base = session.record.identity
        var record = session.record.successor(
            self.tier.identities.next(after: base),
            payload: payload,
            idleLifetime: self.configuration.idleLifetime,
            cookieIssued: cookieIssued
        )
        record.databaseSynced = record.written
        return await self.write(record, key, isDurable: isDurable) {
            session.isFromDatabase && self.tier.waiting(key) == nil
                ? .compareAndSave($0, base: base) : .upsert($0, ceiling: base)
        }
    }

    private func write(
        _ record: SessionRecord,
        _ key: SessionKey,
        isDurable: Bool,
        _ change: (SessionRow) -> RowChange
    ) async -> SessionWriteOutcome {
        do throws(DatabaseError) {
            switch try await self.tier.write(change(self.tier.row(record, key)), isDurable: isDurable) {
            case .applied: return .degraded(self.session(record))
            case .refused(let current): return .discarded(winner: current?.version)
            }
        } catch {
            return error.mayHaveHappened ? .unknown : .unavailable
        }
    }

    // MARK: Destroying

    /// In both. Either is enough for an answer, and the other one gets it as soon as it can be asked; with neither there
    /// is none.
    package func destroy(_ key: SessionKey) async -> SessionDestroyOutcome {
        let row = self.tombstone(key)
        async let isInDatabase = self.isBuried(row)
        let memcached = await self.replicas.destroy(key)
        switch (memcached, await isInDatabase) {
        case (.destroyed, true):
            return .destroyed
        case (.destroyed, false):
            self.tier.destroyed(row)
            return .destroyed
        case (.unknown, true):
            self.tier.mustBeDestroyed(key)
            return .destroyed
        case (.unknown, false):
            return .unknown
        }
    }

    func tombstone(_ key: SessionKey) -> SessionRow {
        .tombstone(
            key,
            identity: self.tier.identities.next(after: nil),
            absoluteLifetime: self.configuration.absoluteLifetime,
            until: self.configuration.tombstonesUntil
        )
    }

    private func isBuried(_ row: SessionRow) async -> Bool {
        do throws(DatabaseError) {
            return try await self.tier.write(.tombstone(row), isDurable: true).isApplied
        } catch {
            return false
        }
    }
}
