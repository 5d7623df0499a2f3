import Configuration
import Logging
import NIOCore
import Sessions
import Store

/// What the backend wants of the session, carried out before its answer goes on.
extension SessionVisit {
    /// Carries out what the backend answered, before the response goes on.
    /// - Returns: a response that takes the place of the backend's, where the session's fate forbids that one.
    func apply(_ change: SessionChange, isAnnounced: Bool) async -> GatewayResponse? {
        // One answer at a time: each goes out from what the one before has saved.
        if self.isApplying { await self.waitForApplying() }
        self.isApplying = true
        defer { self.applied() }
        return await self.carryOut(change, isAnnounced: isAnnounced)
    }

    /// Returns when no answer is being carried out.
    func settle() async {
        guard self.isApplying else { return }
        await self.waitForApplying()
        self.applied()
    }

    /// Only where an answer is being carried out, whose end wakes this. Whoever has waited has its turn, which it ends with
    /// `applied`.
    private func waitForApplying() async {
        await withCheckedContinuation { self.waiting.append($0) }
    }

    private func applied() {
        if self.waiting.isEmpty {
            self.isApplying = false
        } else {
            self.waiting.removeFirst().resume()
        }
    }

    // Inline: see `Worker.serve`.
    @inline(__always)
    private func carryOut(_ change: SessionChange, isAnnounced: Bool) async -> GatewayResponse? {
        if case .anonymous = self.state {
            // Nothing is kept, but nobody is told that they have signed out.
            return change.controls.contains(.destroy) && self.browserHasCookie ? self.unavailable() : nil
        }
        if self.isReadOnly {
            if change != SessionChange() {
                self.site.logger.notice("a change of a session by a path that is readonly was left out")
            }
            return nil
        }
        // What `readonly` brings back is not meant to be kept.
        let data = change.controls.contains(.readonly) ? nil : change.data
        let isDurable = change.controls.contains(.durable)
        let starts = data.map { $0.readableBytes > 0 } ?? false
        if change.controls.contains(.destroy), !(change.controls.contains(.regenerate) && starts) {
            return await self.destroy()
        }
        switch self.state {
        case .new, .gone:
            if starts, let data {
                return await self.create(
                    data,
                    id: change.controls.contains(.regenerate) ? self.nextID : nil,
                    isDurable: isDurable
                )
            }
            // An empty blob is an answer already: there is nothing to keep, and no cookie to send.
            if isAnnounced, change.data == nil, !change.controls.contains(.readonly), !self.isHeadSent {
                self.announce()
            }
            return nil
        case .live(let session):
            if change.controls.contains(.regenerate) {
                return await self.regenerate(session, data ?? session.payload, isDurable: isDurable)
            }
            return await self.save(session, data, isDurable: isDurable)
        case .anonymous:
            return nil
        }
    }

    /// A late answer will follow: the browser needs its cookie now.
    private func announce() {
        self.isAnnounced = true
        self.setCookie = self.cookie.setCookie(self.id, now: Int64(StoreClock.now / 1_000))
        self.outcome = .pending
    }

    private func create(_ data: ByteBuffer, id: SessionID?, isDurable: Bool) async -> GatewayResponse? {
        if self.isHeadSent, !self.isAnnounced {
            self.site.logger.warning(
                "a session that begins after the response's head has no cookie and is not kept; announce it in the head"
            )
            return nil
        }
        let newID = self.isAnnounced ? self.id : id ?? self.freshID
        let newKey = newID == self.id ? self.key : self.store.key(for: newID)
        switch await self.begin(newKey, data, isDurable: isDurable) {
        case .saved(let session):
            self.adopt(session, newID, newKey, outcome: .new)
        case .degraded(let session):
            self.adopt(session, newID, newKey, outcome: .degraded)
        case .unknown, .discarded:
            self.outcome = .unknown
        case .unavailable:
            // Who brought no session gets the page, and no cookie.
            if self.browserHasCookie, self.site.configuration.whenUnavailable == .error { return self.unavailable() }
            self.outcome = .unavailable
        }
        return nil
    }

    private func begin(_ key: SessionKey, _ data: ByteBuffer, isDurable: Bool) async -> SessionWriteOutcome {
        await self.store.create(
            key,
            payload: data,
            hasCookieLifetime: self.cookie.lifetime > 0,
            isDurable: isDurable
        )
    }

    /// A destroyed session's id is not used again.
    private var freshID: SessionID {
        if case .gone = self.state { self.nextID } else { self.id }
    }

    private func adopt(_ session: StoredSession, _ id: SessionID, _ key: SessionKey, outcome: SessionOutcome) {
        self.state = .live(session)
        self.key = key
        self.outcome = outcome
        if !self.isHeadSent {
            self.setCookie = self.cookie.setCookie(id, now: Int64(StoreClock.now / 1_000))
            if !self.cookie.isSecure { self.site.hintAtPlainCookie() }
        }
    }

    private func save(_ session: StoredSession, _ data: ByteBuffer?, isDurable: Bool) async -> GatewayResponse? {
        // What was saved before may be in memcached alone: to have it durable it is saved once more.
        let isDurableAnew = isDurable && self.site.tier != nil
        let isWanted = isDurableAnew || data.map { $0 != session.payload } ?? false
        let renewsCookie = !self.isHeadSent && self.isCookieDue(session)
        if renewsCookie {
            self.setCookie = self.cookie.setCookie(self.id, now: Int64(StoreClock.now / 1_000))
        }
        guard isWanted || renewsCookie else {
            if data != nil, self.outcome == .loaded { self.outcome = .unchanged }
            return nil
        }
        let outcome = await self.store.save(
            session,
            key: self.key,
            payload: data ?? session.payload,
            cookieIssued: renewsCookie ? StoreClock.now : nil,
            isDurable: isDurable
        )
        switch outcome {
        case .saved(let session):
            self.state = .live(session)
            if self.outcome != .reverted { self.outcome = isWanted ? .saved : .unchanged }
        case .degraded(let session):
            self.state = .live(session)
            if self.outcome != .reverted { self.outcome = session.hasGoneBack ? .reverted : .degraded }
        case .discarded where !isWanted, .unknown where !isWanted, .unavailable where !isWanted:
            // Only the time of the cookie was to be remembered: the next request does it.
            break
        case .discarded(let winner):
            self.outcome = .discarded
            self.site.logger.notice(
                "a change of a session was discarded: another request had saved first",
                metadata: .of([
                    .loadedVersion: "\(session.version)",
                    .winningVersion: winner.map { "\($0)" } ?? "none",
                ])
            )
        case .unknown:
            self.outcome = .unknown
        case .unavailable:
            return self.unavailable()
        }
        return nil
    }

    private func isCookieDue(_ session: StoredSession) -> Bool {
        guard self.cookie.lifetime > 0 else { return false }
        let now = StoreClock.now
        let age = now &- min(session.record.cookieIssued, now)
        return age > UInt64(self.cookie.lifetime) * 500
    }

    /// Moves the session to its next id. The browser learns that only where everything has succeeded.
    private func regenerate(
        _ session: StoredSession,
        _ data: ByteBuffer,
        isDurable: Bool
    ) async -> GatewayResponse? {
        if self.isHeadSent {
            self.site.logger.warning("a session cannot move after the response's head: it keeps its id")
            return await self.save(session, data, isDurable: isDurable)
        }
        let newKey = self.store.key(for: self.nextID)
        let regeneration = Regeneration()
        var created: StoredSession?
        var step = regeneration.start()
        while true {
            switch step {
            case .create:
                switch await self.begin(newKey, data, isDurable: isDurable) {
                case .saved(let session), .degraded(let session): created = session
                case .discarded, .unknown, .unavailable: break
                }
                step = regeneration.created(isKept: created != nil)
            case .destroyOld:
                step = regeneration.oldDestroyed(isAcknowledged: await self.store.destroy(self.key) == .destroyed)
            case .destroyNew:
                _ = await self.store.destroy(newKey)
                step = regeneration.newDestroyed()
            case .finish(let hasMoved):
                guard hasMoved, let created else { return self.unavailable() }
                self.adopt(created, self.nextID, newKey, outcome: created.isDegraded ? .degraded : .moved)
                return nil
            }
        }
    }

    private func destroy() async -> GatewayResponse? {
        if case .live = self.state {
            guard case .destroyed = await self.store.destroy(self.key) else { return self.unavailable() }
        }
        self.state = .gone
        self.outcome = .destroyed
        if self.browserHasCookie, !self.isHeadSent {
            self.setCookie = self.cookie.removal
        } else {
            self.setCookie = nil
        }
        return nil
    }

    private func unavailable() -> GatewayResponse? {
        self.outcome = .unavailable
        return .error(503, "The session store cannot be reached. Please try again.", outcome: .unavailable)
    }
}
