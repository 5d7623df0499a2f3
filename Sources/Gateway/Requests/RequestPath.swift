import Backends
import CGI
import Configuration
import Glibc
import Logging
import NIOCore
import Responder
import Sessions
import Store

/// The way of one request: session, backend, session, answer. Runs as one task on an event loop.
final class RequestPath: Sendable {
    let request: IncomingRequest
    let worker: Worker
    let generation: LoopGeneration
    let site: Site
    let store: any SessionStorage
    /// Nil where no sessions are taken over from another store.
    let adoption: SessionAdoption?

    init(request: IncomingRequest, worker: Worker, generation: LoopGeneration, site index: Int) {
        self.request = request
        self.worker = worker
        self.generation = generation
        self.site = generation.shared.sites[index]
        self.store = generation.stores[index]
        self.adoption = generation.adoptions[index]
    }

    // Inline: see `Worker.serve`.
    @inline(__always)
    func run() async {
        var parameters = self.request.parameters
        // nginx decodes %0a in a path; backends and logs take it for the end of a line.
        guard !parameters.hasLineBreakInPath else {
            await GatewayResponse.error(400, "The path of the request has a line break.", outcome: .bypassed)
                .send(to: self.request)
            return
        }
        self.strip(&parameters)
        if let setting = self.site.phpSetting { PHPAdapter.add(setting, to: &parameters) }
        guard !self.site.ignores(parameters) else {
            parameters.append(BackendContract.Offer(state: .none))
            await self.forward(consume parameters, visit: nil)
            return
        }
        let visit: SessionVisit
        switch await SessionVisit.begin(
            &parameters,
            site: self.site,
            store: self.store,
            adoption: self.adoption,
            worker: self.worker
        ) {
        case .visit(let begun):
            visit = begun
        case .unavailable:
            self.log(.warning, "the session store cannot be reached", status: 503, outcome: .unavailable)
            let text = "The session store cannot be reached. Please try again."
            await GatewayResponse.error(503, text, outcome: .unavailable).send(to: self.request)
            return
        case .oldStore(let text):
            self.log(.warning, "a session could not be taken over", status: 503, outcome: .unavailable, error: text)
            let text = "The session cannot be taken over at the moment. Please try again."
            await GatewayResponse.error(503, text, outcome: .unavailable).send(to: self.request)
            return
        case .limited:
            self.site.refusedUnknownID()
            let text = "Too many unknown sessions come from your address. Please try again."
            await GatewayResponse.error(503, text, outcome: .limited).send(to: self.request)
            return
        case .busy:
            self.log(.warning, "too many requests of one session wait for each other", status: 503, outcome: .unchanged)
            let text = "Too many requests of this session wait for each other. Please try again."
            await GatewayResponse.error(503, text, outcome: .unchanged).send(to: self.request)
            return
        }
        if let refusal = self.addContract(to: &parameters, visit) {
            visit.endTurn()
            await refusal.send(to: self.request)
            return
        }
        self.worker.lateAnswers.requestStarted(visit, of: self.generation)
        await self.forward(consume parameters, visit: visit)
        visit.end()
        // Where no head has gone on, whatever the backend says counts for nothing.
        self.worker.lateAnswers.requestEnded(visit, mayAnswerLate: visit.isHeadSent && !visit.hasAnswered)
    }

    // MARK: Backend

    private func forward(_ parameters: consuming Parameters, visit: SessionVisit?) async {
        let body: BackendRequest.Body
        let isStreamed: Bool
        switch self.request.body {
        case .complete(let bytes):
            body = .complete(bytes)
            isStreamed = false
        case .streamed:
            body = .streamed
            isStreamed = true
        }
        let exchange: any BackendExchange
        do {
            exchange = try await self.site.backend.begin(
                BackendRequest(parameters: consume parameters, body: body, eventLoop: self.worker.eventLoop)
            )
        } catch {
            await self.backendFailed(error, visit: visit, isHeadSent: false)
            return
        }
        // The backend never sees a clean end then, and its answer is not waited for.
        self.request.onClientGone { exchange.abort() }
        var relay = ResponseRelay(path: self, exchange: exchange, visit: visit)
        if isStreamed {
            // The script's answer and the visitor's body go their ways at the same time.
            await withDiscardingTaskGroup { group in
                group.addTask { await self.relayBody(to: exchange) }
                await relay.run()
                group.cancelAll()
            }
        } else {
            await relay.run()
        }
    }

    private func relayBody(to exchange: any BackendExchange) async {
        do {
            while let chunk = try await self.request.nextBodyChunk() {
                try await exchange.writeBody(chunk)
            }
            try await exchange.finishBody()
        } catch is ResponderError {
            // The client went away, or its body is shorter than it said: what was sent must not look whole.
            exchange.abort()
        } catch {
            // The backend's side: the response tells.
        }
    }

    /// What the visitor gets instead of the backend's answer.
    func backendFailed(_ error: BackendError, visit: SessionVisit?, isHeadSent: Bool) async {
        visit?.isAwaited = false
        let status: Int
        let text: String
        switch error.code {
        case .cancelled:
            self.request.abort()
            return
        case .queueTimedOut, .queueFull:
            (status, text) = (503, "The application is busy. Please try again.")
        case .timedOut:
            (status, text) = (504, "The application did not answer in time.")
        case .unavailable:
            (status, text) = (502, "The application cannot be reached.")
        case .connectionClosed, .malformedResponse:
            (status, text) = (502, "The application did not answer properly.")
        case .notFound:
            (status, text) = (404, "There is no such page.")
        case .forbidden:
            (status, text) = (403, "This may not be run.")
        case .malformedRequest:
            (status, text) = (400, "The request cannot be passed on to the application.")
        }
        let level: Logger.Level = status >= 500 ? .error : .notice
        self.log(level, "a backend failed", status: status, outcome: visit?.outcome ?? .bypassed, error: error.message)
        if isHeadSent {
            self.request.abort()
        } else {
            let outcome: SessionOutcome = visit == nil ? .bypassed : .unchanged
            await GatewayResponse.error(status, text, outcome: outcome).send(to: self.request)
        }
    }

    // MARK: Contract

    /// Nothing that comes from outside has a name of the contract.
    private func strip(_ parameters: inout Parameters) {
        let isModSession = self.site.configuration.contract == .modSession
        parameters.removeAll { name in
            BackendContract.isReserved(name) || name.equal("SESSION_SITE")
                || (isModSession && ModSession.isReserved(name))
        }
    }

    /// - Returns: a response instead, where the session cannot be carried to the backend.
    private func addContract(to parameters: inout Parameters, _ visit: SessionVisit) -> GatewayResponse? {
        var data = ByteBuffer()
        var version: UInt64 = 0
        let state: BackendContract.State
        switch visit.state {
        case .live(let session):
            data = session.payload
            version = session.version
            state = .live
        case .anonymous:
            state = .anonymous
        case .new, .gone:
            state = .new
        }
        switch self.site.configuration.contract {
        case .standard:
            parameters.append(
                BackendContract.Offer(
                    state: state,
                    id: visit.id,
                    nextID: visit.nextID,
                    token: visit.token,
                    version: version,
                    data: data,
                    latePath: self.worker.lateSocket,
                    isTurn: visit.hasTurn
                )
            )
        case .modSession:
            do {
                try ModSession.check(data)
                if data.readableBytes > 0 { parameters.append(ModSession.parameterName, data) }
            } catch {
                self.log(.error, "a session cannot be carried by mod_session's contract", status: 500, outcome: .loaded)
                return .error(500, "The session cannot be carried by mod_session's contract.", outcome: .loaded)
            }
        }
        return nil
    }

    func log(
        _ level: Logger.Level,
        _ message: Logger.Message,
        status: Int,
        outcome: SessionOutcome,
        error: String? = nil
    ) {
        guard self.site.logger.logLevel <= level else { return }
        var metadata = Logger.Metadata.of([
            .script: LogText.escaped(self.request.parameters.path), .status: "\(status)", .outcome: outcome.rawValue,
        ])
        if let error { metadata[LogKey.error.rawValue] = .string(LogText.escaped(error)) }
        self.site.logger.log(level: level, message, metadata: metadata)
    }
}

extension Parameters {
    mutating func append(_ offer: BackendContract.Offer) {
        self.reserveCapacity(offer.estimatedLength)
        BackendContract.forEachParameter(of: offer) { name, value in
            // The method by itself, instead of a closure that calls it, would be allocated for each of them.
            self.append(name, length: value.length) { value.write(to: $0) }
        }
    }

    var hasLineBreakInPath: Bool {
        var hasLineBreak = false
        self.forEachPair { name, value in
            switch name.count {
            case 9 where name.equal("PATH_INFO"), 11 where name.equal("SCRIPT_NAME"),
                12 where name.equal("DOCUMENT_URI"), 15 where name.equal("SCRIPT_FILENAME"):
                hasLineBreak = hasLineBreak || value.containsLineBreak
            default:
                break
            }
        }
        return hasLineBreak
    }
}

extension UnsafeRawBufferPointer {
    fileprivate var containsLineBreak: Bool {
        guard let base = self.baseAddress else { return false }
        return memchr(base, 0x0a, self.count) != nil || memchr(base, 0x0d, self.count) != nil
    }
}
