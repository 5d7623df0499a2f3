import CGI
import Configuration
import Logging
import NIOCore
import Sessions
import Store

/// One request's session: loaded before the backend is called, changed by what the backend answers.
///
/// `@unchecked Sendable`: bound to the event loop of its request, where late answers arrive too.
final class SessionVisit: @unchecked Sendable {
    enum State {
        /// The visitor has no session; one is created when the backend first returns a blob.
        case new
        case live(StoredSession)
        /// The store cannot be reached: nothing is kept.
        case anonymous
        /// Destroyed by this request.
        case gone
    }

    let site: Site
    let store: any SessionStorage
    let id: SessionID
    let nextID: SessionID
    let token: RequestToken
    let cookie: SessionCookie
    /// Whether the browser sent the cookie, were it stale.
    let browserHasCookie: Bool
    var state: State
    var outcome: SessionOutcome
    /// For the response's head.
    var setCookie: ByteBuffer?
    /// Whether the head has been passed on: no cookie can be sent any more.
    var isHeadSent = false
    /// Whether the browser was given `id` though there is no session yet: a late answer was announced.
    private(set) var isAnnounced = false
    /// Whether the backend has answered for good: nothing is waited for after the response.
    var hasAnswered = false {
        didSet { if self.hasAnswered { self.endTurn() } }
    }
    /// Whether the backend has said that it will answer later.
    private(set) var isAwaited = false
    /// Whatever the backend answers, the session stays as it is.
    private(set) var isReadOnly = false
    private var turn: SessionTurn?
    private let lateTimeout: TimeAmount
    /// Whether a late answer has come. It may overtake a head that still lies in the backend's buffer.
    var hasLateAnswer = false
    private var isApplying = false
    private var waiting: [CheckedContinuation<Void, Never>] = []
    private var key: SessionKey

    private init(
        site: Site,
        store: any SessionStorage,
        id: SessionID,
        key: SessionKey,
        cookie: SessionCookie,
        browserHasCookie: Bool,
        state: State,
        worker: Worker
    ) {
        self.site = site
        self.store = store
        self.lateTimeout = TimeAmount(worker.generation.shared.configuration.lateTimeout)
        self.id = id
        self.key = key
        self.nextID = site.ids.generate(using: &worker.random)
        self.token = RequestToken(loop: worker.index, using: &worker.random)
        self.cookie = cookie
        self.browserHasCookie = browserHasCookie
        self.state = state
        switch state {
        case .live(let session):
            self.outcome = session.hasGoneBack ? .reverted : session.isDegraded ? .degraded : .loaded
        case .anonymous: self.outcome = .unavailable
        case .new, .gone: self.outcome = .unchanged
        }
    }

    enum Beginning {
        case visit(SessionVisit)
        /// The store cannot be asked, and the site wants an error then.
        case unavailable
        /// Too many requests of this session wait for their turn, or it did not come in time.
        case busy
    }

    /// Finds the request's session and leaves in the parameters what the backend shall see: the accepted cookie or none,
    /// and the contract's names. Where requests of one session go one after the other, it waits for its turn first.
    static func begin(
        _ parameters: inout Parameters,
        site: Site,
        store: any SessionStorage,
        worker: Worker
    ) async -> Beginning {
        let isReadOnly = site.isReadOnly(parameters.path)
        var turn: SessionTurn?
        let cookie = site.cookies.cookie(underHTTPS: parameters.isHTTPS)
        let reading = cookie.read(parameters.bytes("HTTP_COOKIE"))
        var loaded: (id: SessionID, key: SessionKey, session: StoredSession)?
        var isUnavailable = false
        // One that nobody could have been given costs no store anything.
        if case .accepted(let id) = reading.session, site.ids.admits(id) {
            let key = store.key(for: id)
            if let turns = site.turns, !isReadOnly {
                turn = await turns.take(key, in: store, on: worker.eventLoop)
                if turn == nil { return .busy }
            }
            switch await store.load(key, client: parameters.bytes("REMOTE_ADDR")) {
            case .live(let session):
                loaded = (id, key, session)
            case .none:
                break
            case .unavailable:
                guard site.configuration.whenUnavailable == .anonymous else {
                    turn?.end()
                    return .unavailable
                }
                isUnavailable = true
            }
        }
        let visit: SessionVisit
        if let loaded {
            parameters.setCookieHeader(reading.backendHeader)
            visit = SessionVisit(
                site: site,
                store: store,
                id: loaded.id,
                key: loaded.key,
                cookie: cookie,
                browserHasCookie: true,
                state: .live(loaded.session),
                worker: worker
            )
        } else {
            // An id that the store does not know is never adopted, and the backend does not see it either.
            parameters.setCookieHeader(cookie.withoutSession(parameters.bytes("HTTP_COOKIE")))
            let id = site.ids.generate(using: &worker.random)
            visit = SessionVisit(
                site: site,
                store: store,
                id: id,
                key: store.key(for: id),
                cookie: cookie,
                browserHasCookie: reading.session != .none,
                state: isUnavailable ? .anonymous : .new,
                worker: worker
            )
        }
        visit.isReadOnly = isReadOnly
        visit.turn = turn
        return .visit(visit)
    }

    /// Bytes of memory that it holds on to, roughly.
    var size: Int {
        if case .live(let session) = self.state { session.payload.storageCapacity + 1_024 } else { 1_024 }
    }

    /// The next request of the session may go on.
    func endTurn() {
        self.turn?.end()
        self.turn = nil
    }

    /// Behind the response: copies that are missing or grow old. The turn is over, but where an answer was announced and
    /// has not come: then it is over with that, or when it comes too late.
    func end() {
        if self.isAwaited, !self.hasAnswered, self.turn != nil {
            self.store.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: self.lateTimeout) {
                self.endTurn()
            }
        } else {
            self.endTurn()
        }
        if case .live(let session) = self.state {
            self.store.maintain(session, key: self.key)
        }
    }

    // MARK: What the backend wants

    /// Carries out what the backend answered, before the response goes on.
    /// - Returns: a response that takes the place of the backend's, where the session's fate forbids that one.
    func apply(_ change: SessionChange, isAnnounced: Bool) async -> GatewayResponse? {
        // One answer at a time: each goes out from what the one before has saved.
        if self.isApplying {
            await withCheckedContinuation { self.waiting.append($0) }
        }
        self.isApplying = true
        defer {
            if self.waiting.isEmpty {
                self.isApplying = false
            } else {
                self.waiting.removeFirst().resume()
            }
        }
        return await self.carryOut(change, isAnnounced: isAnnounced)
    }

    private func carryOut(_ change: SessionChange, isAnnounced: Bool) async -> GatewayResponse? {
        if case .anonymous = self.state { return nil }
        self.isAwaited = isAnnounced && change == SessionChange()
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
        let outcome = await self.store.create(
            newKey,
            payload: data,
            hasCookieLifetime: self.cookie.lifetime > 0,
            isDurable: isDurable
        )
        switch outcome {
        case .saved(let session):
            self.adopt(session, newID, newKey, outcome: .new)
        case .degraded(let session):
            self.adopt(session, newID, newKey, outcome: .degraded)
        case .unknown, .discarded:
            self.outcome = .unknown
        case .unavailable:
            return self.unavailable()
        }
        return nil
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
        let isChanged = data.map { $0 != session.payload } ?? false
        let renewsCookie = !self.isHeadSent && self.isCookieDue(session)
        if renewsCookie {
            self.setCookie = self.cookie.setCookie(self.id, now: Int64(StoreClock.now / 1_000))
        }
        guard isChanged || renewsCookie else {
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
            if self.outcome != .reverted { self.outcome = isChanged ? .saved : .unchanged }
        case .degraded(let session):
            self.state = .live(session)
            if self.outcome != .reverted { self.outcome = .degraded }
        case .discarded where !isChanged, .unknown where !isChanged, .unavailable where !isChanged:
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
        let age = StoreClock.now &- min(session.record.cookieIssued, StoreClock.now)
        return age > UInt64(self.cookie.lifetime) * 500
    }

    /// The new id is acknowledged before the old one is destroyed, and the browser learns it only if both are: otherwise
    /// the visitor may be logged out, but nobody else is logged in.
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
        let created: StoredSession
        let outcome = await self.store.create(
            newKey,
            payload: data,
            hasCookieLifetime: self.cookie.lifetime > 0,
            isDurable: isDurable
        )
        switch outcome {
        case .saved(let session), .degraded(let session):
            created = session
        case .discarded, .unknown, .unavailable:
            return self.unavailable()
        }
        guard case .destroyed = await self.store.destroy(self.key) else {
            _ = await self.store.destroy(newKey)
            return self.unavailable()
        }
        self.adopt(created, self.nextID, newKey, outcome: created.isDegraded ? .degraded : .moved)
        return nil
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

extension Parameters {
    /// What the web server says of the browser's connection: `HTTPS` is `on`, or anything but empty and `off`.
    var isHTTPS: Bool {
        guard let https = self.string("HTTPS"), !https.isEmpty else { return false }
        return https.lowercased() != "off"
    }

    mutating func setCookieHeader(_ header: CookieReading.BackendHeader) {
        switch header {
        case .unchanged: break
        case .replaced(let bytes): self.set("HTTP_COOKIE", bytes.readableBytesView)
        case .removed: self.remove("HTTP_COOKIE")
        }
    }
}
