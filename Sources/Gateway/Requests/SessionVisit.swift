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
    var isAnnounced = false
    /// Whether the response's head has said `pending`.
    var isPending = false
    /// Whether the backend has answered for good, in the response's head: what comes late is refused.
    var hasAnswered = false {
        didSet { if self.hasAnswered { self.endTurn() } }
    }
    /// Whether the backend's head has said that it will answer later: until then the session's next request waits, at most
    /// `late_timeout` after this one's end.
    var isAwaited = false
    /// Whether a late answer has come, which may overtake a head that still lies in the backend's buffer: then none is awaited.
    private(set) var isSettled = false
    /// Whatever the backend answers, the session stays as it is.
    private(set) var isReadOnly = false
    private var turn: SessionTurn?
    private let lateTimeout: TimeAmount
    /// Whether a late answer has changed the session: data of a head that it has overtaken are older.
    var hasLateAnswer = false
    var isApplying = false
    var waiting: [CheckedContinuation<Void, Never>] = []
    var key: SessionKey

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
        self.lateTimeout = worker.lateAnswers.timeout
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
            // Whatever becomes of it in this request.
            if session.hasGoneBack {
                site.logger.notice("a session went back: memcached has forgotten its last changes")
            }
        case .anonymous: self.outcome = .unavailable
        case .new, .gone: self.outcome = .unchanged
        }
    }

    enum Beginning {
        case visit(SessionVisit)
        /// The store cannot be asked, and the site wants an error then.
        case unavailable
        /// The id may be one of the store that the application used before, which does not say, or not yet.
        case oldStore(String)
        /// The client has asked for too many ids that nobody knows.
        case limited
        /// Too many requests of this session wait for their turn, or it did not come in time.
        case busy
    }

    /// Finds the request's session and leaves in the parameters what the backend shall see: the accepted cookie or none,
    /// and the contract's names. Where requests of one session go one after the other, it waits for its turn first.
    static func begin(
        _ parameters: inout Parameters,
        site: Site,
        store: any SessionStorage,
        adoption: SessionAdoption?,
        worker: Worker
    ) async -> Beginning {
        let isReadOnly = site.isReadOnly(parameters)
        var turn: SessionTurn?
        let cookie = site.cookies.cookie(underHTTPS: parameters.isHTTPS)
        let reading = cookie.read(parameters.bytes("HTTP_COOKIE"))
        if reading.session == .conflicting { site.counters.conflictingCookiesSeen() }
        var loaded: (id: SessionID, key: SessionKey, session: StoredSession)?
        var isUnavailable = false
        // One that nobody could have been given costs no store anything.
        if case .accepted(let id) = reading.session, site.ids.admits(id) || adoption != nil && id.mayBePHP {
            let client = parameters.bytes("REMOTE_ADDR")
            var look: UnknownIDLimit.Look?
            if let adoption, !site.ids.admits(id) {
                // Nobody signed PHP's: how many a client may try is limited, whatever is asked for them.
                look = adoption.site.admit(client)
                if look == nil { return .limited }
            }
            let key = store.key(for: id)
            if let turns = site.turns, !isReadOnly {
                turn = await turns.take(key, in: store, on: worker.eventLoop)
                guard turn != nil else {
                    if let look { adoption?.site.settle(look, isKnown: true) }
                    return .busy
                }
            }
            switch await Self.find(id, key, in: store, adoption, client, look) {
            case .store(.live(let session)):
                loaded = (id, key, session)
            case .store(.none):
                break
            case .store(.unavailable) where site.configuration.whenUnavailable == .anonymous:
                isUnavailable = true
            case .store(.unavailable):
                turn?.end()
                return .unavailable
            case .store(.limited):
                turn?.end()
                return .limited
            case .oldStore(let text):
                turn?.end()
                return .oldStore(text)
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

    private enum Finding {
        case store(SessionLoadOutcome)
        /// Why the old store's session cannot be had.
        case oldStore(String)
    }

    /// - Parameter look: what the client was admitted for, where its id has no signature. Settled here.
    private static func find(
        _ id: SessionID,
        _ key: SessionKey,
        in store: any SessionStorage,
        _ adoption: SessionAdoption?,
        _ client: ByteBufferView?,
        _ look: UnknownIDLimit.Look?
    ) async -> Finding {
        let outcome = await store.load(key, client: client)
        guard case .none = outcome, let adoption, adoption.mayHave(id) else {
            let isKnown = if case .none = outcome { false } else { true }
            if let look { adoption?.site.settle(look, isKnown: isKnown) }
            return .store(outcome)
        }
        guard let look = look ?? adoption.site.admit(client) else { return .store(.limited) }
        switch await adoption.adopt(id, key: key, store: store, look: look) {
        case .live(let session): return .store(.live(session))
        case .none: return .store(.none)
        case .locked: return .oldStore("the application has locked it")
        case .unavailable: return .oldStore("a store does not answer")
        }
    }

    /// Bytes of memory that it holds on to, roughly.
    var size: Int {
        if case .live(let session) = self.state { session.payload.storageCapacity + 1_024 } else { 1_024 }
    }

    /// Whether the session's next request waits for this one.
    var hasTurn: Bool { self.turn != nil }

    /// The next request of the session may go on.
    func endTurn() {
        self.turn?.end()
        self.turn = nil
    }

    /// The turn is over, but where the head is still to come: it may bring something, and ends with the request then.
    func lateAnswerCame() {
        self.isSettled = true
        self.isAwaited = false
        if self.isHeadSent { self.endTurn() }
    }

    /// Behind the response: copies that are missing or grow old. The turn is over, but where an answer was announced and
    /// has not come: then it is over with that, or when it comes too late.
    func end() {
        if self.isAwaited, self.hasTurn {
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
