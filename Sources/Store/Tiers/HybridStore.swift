package import NIOCore
package import Sessions

/// A site's sessions in memcached, with a database behind it: carries out what `TierOperation` decides.
///
/// All calls on the event loop of the replicas, which is why it may be passed between tasks of that loop
/// (`@unchecked Sendable`).
package final class HybridStore: SessionStorage, @unchecked Sendable {
    package let replicas: SessionStore
    let tier: DatabaseTier

    package init(replicas: SessionStore, tier: DatabaseTier) {
        self.replicas = replicas
        self.tier = tier
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

    // MARK: What is asked

    package func load(_ key: SessionKey, client: ByteBufferView?) async -> SessionLoadOutcome {
        if case .loaded(let outcome) = await self.perform(.load(client: client), key) { outcome } else { .unavailable }
    }

    package func save(
        _ session: StoredSession,
        key: SessionKey,
        payload: ByteBuffer,
        cookieIssued: SessionRecord.Timestamp?,
        isDurable: Bool
    ) async -> SessionWriteOutcome {
        let identity = self.tier.newIdentity(after: session.newest)
        let proposal = self.tier.configuration.proposal(
            from: session,
            identity,
            payload: payload,
            cookieIssued: cookieIssued
        )
        return await self.write(.save(session, proposal: proposal, isDurable: isDurable), key)
    }

    package func create(
        _ key: SessionKey,
        payload: ByteBuffer,
        hasCookieLifetime: Bool,
        isDurable: Bool
    ) async -> SessionWriteOutcome {
        let proposal = self.tier.configuration.proposal(
            self.tier.newIdentity(after: nil),
            payload: payload,
            hasCookieLifetime: hasCookieLifetime
        )
        return await self.write(.create(proposal: proposal, isDurable: isDurable), key)
    }

    private func write(_ goal: TierOperation.Goal, _ key: SessionKey) async -> SessionWriteOutcome {
        if case .written(let outcome) = await self.perform(goal, key) { outcome } else { .unknown }
    }

    package func destroy(_ key: SessionKey) async -> SessionDestroyOutcome {
        if case .destroyed(let outcome) = await self.perform(.destroy, key) { outcome } else { .unknown }
    }

    // MARK: Carrying it out

    private enum Outcome {
        case loaded(SessionLoadOutcome)
        case written(SessionWriteOutcome)
        case destroyed(SessionDestroyOutcome)
    }

    private func perform(_ goal: TierOperation.Goal, _ key: SessionKey) async -> Outcome {
        var operation = TierOperation(goal, key: key)
        var step = self.tier.withMemory { operation.start(&$0, self.moment(key)) }
        while true {
            let answer: TierOperation.Answer
            switch step {
            case .loadReplicas:
                answer = .loaded(await self.replicas.load(key))
            case .restore(let record):
                answer = .loaded(await self.replicas.restore(record, key: key))
            case .writeReplicas(let goal):
                switch await self.replicas.attempt(goal, key: key) {
                case .ended(let outcome): answer = .written(outcome)
                case .tooFew(let mayBeWritten): answer = .tooFewReplicas(mayBeWritten: mayBeWritten)
                }
            case .writeFewReplicas(let goal):
                answer = .written(await self.replicas.writeDegraded(goal, key: key))
            case .bury(let row):
                async let isInDatabase = self.tier.isBuried(row)
                let isInMemcached = await self.replicas.destroy(key) == .destroyed
                answer = .buried(inMemcached: isInMemcached, inDatabase: await isInDatabase)
            case .loadRow:
                answer = await self.tier.load(key)
            case .write(let change, let isDurable):
                answer = await self.tier.write(change, isDurable: isDurable)
            case .finishLoad(let outcome):
                return .loaded(outcome)
            case .finishWrite(let outcome):
                return .written(outcome)
            case .finishDestroy(let outcome):
                return .destroyed(outcome)
            }
            step = self.tier.withMemory { operation.answered(answer, &$0, self.moment(key)) }
        }
    }

    private func moment(_ key: SessionKey) -> TierOperation.Moment {
        TierOperation.Moment(now: StoreClock.now, mayReach: self.replicas.mayReach(key))
    }
}
