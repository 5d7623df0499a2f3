import Backends
import CGI
import Configuration
import Logging
import NIOCore
import Responder
import Sessions

/// Passes a backend's answer on: takes the session out of its head and its error stream, and has the session saved
/// before what depends on it goes out.
struct ResponseRelay {
    let path: RequestPath
    let exchange: any BackendExchange
    let visit: SessionVisit?
    private var isHeadSent = false
    private var errorText: SessionLineScanner?
    private var lateAnswer: LateAnswer?

    init(path: RequestPath, exchange: any BackendExchange, visit: SessionVisit?) {
        self.path = path
        self.exchange = exchange
        self.visit = visit
        if path.site.configuration.contract == .standard {
            self.errorText = SessionLineScanner(token: visit?.token)
            self.lateAnswer = visit.map { LateAnswer($0) }
        }
    }

    private var request: IncomingRequest { self.path.request }

    mutating func run() async {
        do {
            try await self.relay()
        } catch let error as BackendError where !Task.isCancelled {
            await self.path.backendFailed(error, visit: self.visit, isHeadSent: self.isHeadSent)
        } catch {
            // The client is gone.
            self.exchange.abort()
            self.request.abort()
        }
    }

    // Inline, here and below, as every asynchronous call costs a frame and a look at where its caller shall go on.
    @inline(__always)
    private mutating func relay() async throws {
        while true {
            let event: BackendEvent
            if let buffered = try self.exchange.nextIfBuffered() {
                event = buffered
            } else {
                // What there is goes out before anything is waited for.
                if self.isHeadSent { try await self.request.flush() }
                event = try await self.exchange.next()
            }
            switch consume event {
            case .head(let head):
                guard try await self.passOn(head) else {
                    self.exchange.abort()
                    return
                }
            case .body(let bytes):
                try await self.request.write(bytes)
            case .errorText(let bytes):
                try await self.passOn(errorText: bytes)
            case .end:
                var rest: [SessionLineScanner.Event] = []
                self.errorText?.finish { rest.append($0) }
                if !rest.isEmpty { try await self.take(rest) }
                if let lateAnswer, !lateAnswer.isEmpty { await self.finishLateAnswer() }
                // One that has come by the socket, whose sender does not wait for its word.
                if let visit, visit.isApplying { await visit.settle() }
                await self.request.finish()
                return
            }
        }
    }

    // MARK: Head

    /// - Returns: whether the backend's response goes on; otherwise another one has been sent.
    @inline(__always)
    private mutating func passOn(_ head: consuming CGIResponseHead) async throws -> Bool {
        var outcome = SessionOutcome.bypassed
        if let visit {
            var answer: (change: SessionChange, isAnnounced: Bool, isOpenEnded: Bool)
            do {
                answer = try self.answer(in: head, visit)
            } catch {
                await self.refuse(error, visit)
                return false
            }
            if answer.isOpenEnded, visit.hasLateAnswer {
                // What was announced has overtaken the head: the data here are older.
                answer.change.data = nil
            }
            head.removeInternalFields(of: self.path.site, visit.cookie, id: visit.id, nextID: visit.nextID)
            if let response = await visit.apply(answer.change, isAnnounced: answer.isAnnounced) {
                await response.send(to: self.request)
                return false
            }
            visit.isHeadSent = true
            visit.isAwaited = answer.isOpenEnded && !visit.isSettled
            visit.hasAnswered =
                !answer.isOpenEnded && (answer.change.data != nil || answer.change.controls.contains(.destroy))
            self.addCaching(to: &head, visit)
            if let cookie = visit.setCookie { head.append("Set-Cookie", cookie) }
            outcome = visit.isAwaited && visit.outcome.isOrdinary ? .pending : visit.outcome
            visit.isPending = outcome == .pending
        } else {
            let site = self.path.site
            head.removeInternalFields(of: site, site.cookies.cookie(underHTTPS: self.request.parameters.isHTTPS))
        }
        head.append("Session-Outcome", outcome.rawValue)
        var bytes = ByteBuffer()
        bytes.reserveCapacity(512)
        head.encode(into: &bytes)
        try await self.request.write(bytes)
        self.isHeadSent = true
        self.path.log(.debug, "answered", status: head.status, outcome: outcome)
        return true
    }

    /// What the backend says of the session.
    private func answer(
        in head: borrowing CGIResponseHead,
        _ visit: SessionVisit
    ) throws(SessionContractError) -> (change: SessionChange, isAnnounced: Bool, isOpenEnded: Bool) {
        let configuration = self.path.site.configuration
        switch configuration.contract {
        case .standard:
            var answer = SessionAnswer(token: visit.token, maximumSize: configuration.maximumSize)
            for field in head.fields {
                guard let name = SessionField(name: field.name) else { continue }
                if try answer.receive(name, field.value) == .foreign {
                    self.path.log(
                        .warning,
                        "a session header without this request's token was dropped",
                        status: head.status,
                        outcome: visit.outcome
                    )
                }
            }
            let isAnnounced = answer.isAnnounced
            let isOpenEnded = answer.isOpenEnded
            return (try answer.finish(), isAnnounced, isOpenEnded)
        case .modSession:
            let values = head.fields.filter { ModSession.isField($0.name.utf8) }.map(\.value)
            return (try ModSession.change(values, maximumSize: configuration.maximumSize), false, false)
        }
    }

    /// An answer that cannot be carried out: the session is as it was.
    private func refuse(_ error: SessionContractError, _ visit: SessionVisit) async {
        let response: GatewayResponse
        switch error.code {
        case .tooLarge:
            response = .error(
                500,
                "The session has grown larger than this site allows (max_size).",
                outcome: visit.outcome
            )
        case .notRepresentable:
            response = .error(500, "The session cannot be carried by mod_session's contract.", outcome: visit.outcome)
        case .malformed, .invalidBase64, .contradictory, .incomplete, .unknownControl:
            response = .error(502, "The application did not answer properly.", outcome: visit.outcome)
        }
        self.path.log(
            .error,
            "a backend's answer about the session cannot be carried out: the session is as it was",
            status: response.head.status,
            outcome: visit.outcome,
            error: error.message
        )
        await response.send(to: self.request)
    }

    /// What browsers and proxies may keep of a response that belongs to one visitor.
    private func addCaching(to head: inout CGIResponseHead, _ visit: SessionVisit) {
        guard !head.contains("Cache-Control") else { return }
        switch visit.state {
        case .live: break
        case .gone where visit.browserHasCookie: break
        case .new where visit.isAnnounced: break
        case .new, .gone, .anonymous: return
        }
        CacheLimiter.append(self.path.site.configuration.cacheLimiter, to: &head)
    }

    // MARK: Error stream

    /// Contract lines are taken out; all other text goes to nginx, in its order, and to the log.
    private mutating func passOn(errorText bytes: ByteBuffer) async throws {
        guard self.errorText != nil else {
            try await self.passOn(plainErrorText: bytes)
            return
        }
        var events: [SessionLineScanner.Event] = []
        self.errorText?.receive(bytes) { events.append($0) }
        try await self.take(events)
    }

    private mutating func take(_ events: [SessionLineScanner.Event]) async throws {
        for event in events {
            switch event {
            case .text(let text):
                try await self.passOn(plainErrorText: text)
            case .field(let field, let value):
                self.lateAnswer?.receive(field, value)
            case .tooLong:
                self.lateAnswer?.refuseTooLong()
            case .foreign:
                self.path.log(
                    .warning,
                    "a session line without this request's token was left out",
                    status: 0,
                    outcome: self.visit?.outcome ?? .bypassed
                )
            }
        }
    }

    private func passOn(plainErrorText text: ByteBuffer) async throws {
        guard text.readableBytes > 0 else { return }
        self.path.site.logger.notice(
            "a backend wrote to its error stream",
            metadata: .of([
                .script: LogText.escaped(self.request.parameters.path),
                .text: LogText.escaped(
                    String(decoding: text.readableBytesView.prefix(LogText.maximumLength), as: UTF8.self)
                ),
            ])
        )
        try await self.request.writeErrorText(text)
    }

    /// What came by the error stream is saved before the response's end goes on.
    private mutating func finishLateAnswer() async {
        guard let lateAnswer else { return }
        self.lateAnswer = nil
        _ = await lateAnswer.finish()
    }
}

extension CGIResponseHead.Field {
    // Told apart by length or first letter nearly always: no text is made of the others.
    var isSetCookie: Bool { self.name.utf8.count == 10 && self.name.lowercased() == "set-cookie" }

    var isXAccel: Bool {
        (self.name.utf8.first == UInt8(ascii: "X") || self.name.utf8.first == UInt8(ascii: "x"))
            && self.name.lowercased().hasPrefix("x-accel-")
    }

    /// The gateway's own word.
    var isSessionOutcome: Bool {
        self.name.utf8.count == 15 && self.name.utf8.last.map { $0 | 0x20 } == UInt8(ascii: "e")
            && self.name.lowercased() == "session-outcome"
    }

    /// An answer about a session.
    func isSessionField(contract: GatewayConfiguration.Contract) -> Bool {
        SessionField(name: self.name) != nil || (contract == .modSession && ModSession.isField(self.name.utf8))
    }
}

extension CGIResponseHead {
    /// Takes out what never goes on, whoever wrote it: answers about a session, its cookie, which is the gateway's alone,
    /// the gateway's own word, and orders to nginx where the site does not pass them.
    mutating func removeInternalFields(
        of site: Site,
        _ cookie: SessionCookie,
        id: SessionID? = nil,
        nextID: SessionID? = nil
    ) {
        let configuration = site.configuration
        self.fields.removeAll { field in
            field.isSessionField(contract: configuration.contract) || field.isSessionOutcome
                || (!configuration.passesXAccel && field.isXAccel)
                || (field.isSetCookie
                    && cookie.isMeant(bySetCookie: field.value.readableBytesView, id: id, nextID: nextID))
        }
    }
}
