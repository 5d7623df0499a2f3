/// One attempt to fill one server that has forgotten, and to mark it complete. No I/O: it says what to do and is told
/// what came of it, with what the gateway knows of all servers at that moment, so that the same code runs over sockets
/// and in the simulation.
///
/// The steps are those of the replication protocol: the marker is absent on a connection; wait until no operation that
/// still counted on the server's former life can be acknowledged; list the keys of the complete servers; have every
/// key that belongs there chosen anew; add the marker on the same connection. A connection that changes meanwhile ends
/// the attempt, and another one begins.
package struct WalkAttempt: Sendable {
    package enum Step: Sendable, Hashable {
        /// Longer than any operation acknowledges, and one command more. Report back by `waited`.
        case settle
        /// A moment, then look again. Report back by `waited`.
        case pause
        /// So that one gateway at a time walks: saves work, and nothing else. Report back by `leaseAnswered`.
        case takeLease
        /// List the keys of this server and have those that belong on the walked one chosen anew. Report back by `listed`.
        case list(source: Int)
        /// Ask this server anything, on this connection only. Report back by `confirmed`.
        case confirm(source: Int, on: ConnectionIdentity)
        /// Ask this server for its marker, on this connection only. Report back by `forgetting`.
        case confirmForgetting(server: Int, on: ConnectionIdentity)
        /// Add the marker, on this connection only. Report back by `marked`.
        case mark(on: ConnectionIdentity)
        case finish(Result)
    }

    package enum Result: Sendable, Hashable {
        case complete
        /// Something could not be listed, chosen anew or marked: to be tried again.
        case interrupted
        /// Another life of the server, another connection to it, or another gateway was faster.
        case overtaken
    }

    private enum Phase: Sendable {
        case waiting
        case leasing(sources: [Int])
        case listing(sources: ArraySlice<Int>)
        case confirming(sources: ArraySlice<Int>)
        case confirmingLoss(servers: ArraySlice<Int>)
        case marking
        case finished
    }

    private let server: Int
    private let connection: ConnectionIdentity
    private let redundancy: Int
    /// Where each source was seen complete when the plan was made.
    private var sourceConditions: [ServerCondition] = []
    private var phase = Phase.waiting
    /// Whether as many servers have forgotten as could have held a session: some may be lost.
    package private(set) var acceptsLoss = false

    /// - Parameters:
    ///   - server: its place among the conditions.
    ///   - connection: on which the marker was seen to be missing.
    package init(for server: Int, on connection: ConnectionIdentity, redundancy: Int) {
        self.server = server
        self.connection = connection
        self.redundancy = redundancy
    }

    package func start() -> Step { .settle }

    package mutating func waited(_ conditions: [ServerCondition]) -> Step {
        guard case .waiting = self.phase else { return .finish(.interrupted) }
        guard self.isUnderWay(conditions) else { return self.finish(.overtaken) }
        switch WalkPlan(for: self.server, conditions: conditions, redundancy: self.redundancy) {
        case .wait:
            return .pause
        case .acceptLoss(let sources):
            self.acceptsLoss = true
            return self.begin(sources, conditions)
        case .walk(let sources):
            self.acceptsLoss = false
            return self.begin(sources, conditions)
        }
    }

    private mutating func begin(_ sources: [Int], _ conditions: [ServerCondition]) -> Step {
        self.sourceConditions = conditions
        self.phase = .leasing(sources: sources)
        return .takeLease
    }

    package mutating func leaseAnswered(isTaken: Bool, _ conditions: [ServerCondition]) -> Step {
        guard case .leasing(let sources) = self.phase else { return .finish(.interrupted) }
        guard self.isUnderWay(conditions) else { return self.finish(.overtaken) }
        guard isTaken else {
            self.phase = .waiting
            return .pause
        }
        return self.next(sources[...], conditions)
    }

    /// - Parameters:
    ///   - isDone: whether all keys were listed, and every session that belongs on the server was chosen anew, is none any
    ///     more, or is beyond repair.
    ///   - lost: how many were beyond repair.
    package mutating func listed(isDone: Bool, lost: Int, _ conditions: [ServerCondition]) -> Step {
        guard case .listing(let sources) = self.phase, let source = sources.first else { return .finish(.interrupted) }
        guard self.isUnderWay(conditions) else { return self.finish(.overtaken) }
        guard isDone, case .complete(let connection) = self.sourceConditions[source] else {
            return self.finish(.interrupted)
        }
        if lost > 0 { self.acceptsLoss = true }
        self.phase = .confirming(sources: sources)
        return .confirm(source: source, on: connection)
    }

    /// A source that has itself restarted since the plan was made had forgotten what it should have listed: the keys
    /// count only where the connection on which it was complete has outlived their listing.
    package mutating func confirmed(isAlive: Bool, _ conditions: [ServerCondition]) -> Step {
        guard case .confirming(let sources) = self.phase else { return .finish(.interrupted) }
        guard self.isUnderWay(conditions) else { return self.finish(.overtaken) }
        guard isAlive else { return self.finish(.interrupted) }
        return self.next(sources.dropFirst(), conditions)
    }

    /// What this gateway took for lost as another server had forgotten too may be known by that one: another gateway may
    /// have filled it meanwhile. Its marker is missing still: then it was missing all the time.
    package mutating func forgetting(isConfirmed: Bool, _ conditions: [ServerCondition]) -> Step {
        guard case .confirmingLoss(let servers) = self.phase else { return .finish(.interrupted) }
        guard self.isUnderWay(conditions) else { return self.finish(.overtaken) }
        guard isConfirmed else { return self.finish(.interrupted) }
        return self.confirmLoss(servers.dropFirst())
    }

    package mutating func marked(isThere: Bool) -> Step {
        self.finish(isThere ? .complete : .interrupted)
    }

    private mutating func next(_ sources: ArraySlice<Int>, _ conditions: [ServerCondition]) -> Step {
        if let source = sources.first {
            self.phase = .listing(sources: sources)
            return .list(source: source)
        }
        // A sole holder's loss is nobody else's knowledge.
        guard self.acceptsLoss, self.redundancy > 1 else { return self.mark() }
        guard conditions == self.sourceConditions else { return self.finish(.interrupted) }
        return self.confirmLoss(conditions.indices.filter { $0 != self.server && conditions[$0].isIncomplete }[...])
    }

    private mutating func confirmLoss(_ servers: ArraySlice<Int>) -> Step {
        guard let server = servers.first, case .incomplete(let connection) = self.sourceConditions[server] else {
            return self.mark()
        }
        self.phase = .confirmingLoss(servers: servers)
        return .confirmForgetting(server: server, on: connection)
    }

    private mutating func mark() -> Step {
        self.phase = .marking
        return .mark(on: self.connection)
    }

    private mutating func finish(_ result: Result) -> Step {
        self.phase = .finished
        return .finish(result)
    }

    private func isUnderWay(_ conditions: [ServerCondition]) -> Bool {
        conditions[self.server] == .incomplete(self.connection)
    }
}
