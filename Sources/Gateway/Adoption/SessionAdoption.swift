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
        /// The client has asked for too many ids that nobody knows.
        case limited
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

    /// - Parameter key: of the id, under which the store knows nothing.
    func adopt(_ id: SessionID, key: SessionKey, store: any SessionStorage, client: ByteBufferView?) async -> Outcome {
        guard StoreClock.now < self.site.end, id.mayBePHP else {
            self.site.charge(client)
            return .none
        }
        guard self.site.admits(client) else { return .limited }
        switch await self.source.read(id, lockTimeout: self.site.lockTimeout, on: store.eventLoop) {
        case .session(let payload):
            return await self.takeOver(payload, id, key, store)
        case .none:
            self.site.counters.add(\.unknown)
            self.site.charge(client)
            return .none
        case .locked:
            self.site.counters.add(\.locked)
            return .locked
        case .unreadable(let reason):
            self.site.counters.add(\.unreadable)
            self.site.charge(client)
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
        case .unavailable:
            self.site.counters.add(\.unavailable)
            return .unavailable
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
