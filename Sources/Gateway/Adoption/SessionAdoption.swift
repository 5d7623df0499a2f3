import Adoption
import Configuration
import Logging
import NIOCore
import Sessions
import Store

/// Takes sessions over from the store that a site's application used before, as one event loop sees it.
///
/// `@unchecked Sendable`: bound to the event loop of its generation.
final class SessionAdoption: @unchecked Sendable {
    enum Outcome: Sendable {
        case live(StoredSession)
        /// There is none, or none that may be taken over.
        case none
        /// A request of the application has it, and does not let it go.
        case locked
        /// One of the two stores does not say.
        case unavailable
    }

    let site: SiteAdoption
    private let source: any SessionSource
    private let logger: Logger

    init(_ site: SiteAdoption, source: any SessionSource, logger: Logger) {
        self.site = site
        self.source = source
        self.logger = logger
    }

    func start() { self.source.start() }
    var isReady: Bool { self.source.isReady }
    func close(on eventLoop: any EventLoop) -> EventLoopFuture<Void> { self.source.close(on: eventLoop) }

    /// Whether the old store may have, and give, a session of this id.
    func mayHave(_ id: SessionID) -> Bool { StoreClock.now < self.site.end && id.mayBePHP }

    /// - Parameters:
    ///   - key: of the id, under which the store knows nothing.
    ///   - look: the client's, which is settled here.
    func adopt(
        _ id: SessionID,
        key: SessionKey,
        store: any SessionStorage,
        look: UnknownIDLimit.Look
    ) async -> Outcome {
        let finding = await self.source.read(id, lockTimeout: self.site.lockTimeout, on: store.eventLoop)
        self.site.settle(look, isKnown: finding.isKnown)
        switch finding {
        case .session(let payload):
            return await self.takeOver(payload, id, key, store)
        case .none:
            self.site.counters.add(\.unknown)
            return .none
        case .locked:
            self.site.counters.add(\.locked)
            return .locked
        case .unreadable(let reason):
            self.site.counters.add(\.unreadable)
            self.logger.warning(
                "a session of the old store cannot be taken over: its visitor has none",
                metadata: .of([.error: reason])
            )
            return .none
        case .unavailable(let reason):
            self.site.counters.add(\.unavailable)
            self.logger.debug("the old store does not say", metadata: .of([.error: reason]))
            return self.site.whenUnavailable == .new ? .none : .unavailable
        }
    }

    private func takeOver(
        _ payload: ByteBuffer,
        _ id: SessionID,
        _ key: SessionKey,
        _ store: any SessionStorage
    ) async -> Outcome {
        switch await store.adopt(key, mark: store.adoptionMark(of: id), payload: payload) {
        case .live(let session):
            self.site.counters.add(\.adopted)
            return .live(session)
        case .none:
            self.site.counters.add(\.ended)
            return .none
        case .unavailable, .limited:
            self.site.counters.add(\.unavailable)
            return .unavailable
        }
    }
}

extension SourceFinding {
    /// Whether it may be somebody's session: then the client that asked is none who guesses.
    fileprivate var isKnown: Bool {
        switch self {
        case .session, .locked, .unavailable: true
        case .none, .unreadable: false
        }
    }
}

extension SiteAdoption {
    /// Says once a minute what has become of the ids that the gateway did not know, until it is cancelled.
    func report(_ logger: Logger) async {
        var last = AdoptionCounts()
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(60))
            let counts = self.counters.snapshot
            guard counts != last else { continue }
            last = counts
            logger.info(
                "adoption",
                metadata: [
                    "adopted": "\(counts.adopted)", "unknown": "\(counts.unknown)", "ended": "\(counts.ended)",
                    "unreadable": "\(counts.unreadable)", "locked": "\(counts.locked)",
                    "unavailable": "\(counts.unavailable)", "limited": "\(counts.limited)",
                ]
            )
        }
    }
}
