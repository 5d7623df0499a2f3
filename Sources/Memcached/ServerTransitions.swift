import Synchronization

/// What is news of one server, of which several event loops each have a connection and an opinion: down as soon as one of
/// them has lost it, there again when all have it. A value.
package struct ServerTransitions: Sendable {
    /// The loops that do not reach it.
    private var missing: Set<ObjectIdentifier> = []
    /// What was told last; nil before anything was.
    private var isToldDown: Bool?
    private var lastReason = ""

    package init() {}

    /// - Parameter reason: of what the operator has to mend, else nil: told although the server was down before.
    /// - Returns: whether to tell.
    package mutating func wentDown(_ loop: ObjectIdentifier, reason: String?) -> Bool {
        self.missing.insert(loop)
        let isNews = self.isToldDown != true || (reason ?? self.lastReason) != self.lastReason
        self.isToldDown = true
        if let reason { self.lastReason = reason }
        return isNews
    }

    /// - Returns: whether to tell.
    package mutating func cameUp(_ loop: ObjectIdentifier) -> Bool {
        self.missing.remove(loop)
        guard self.missing.isEmpty, self.isToldDown != false else { return false }
        self.isToldDown = false
        self.lastReason = ""
        return true
    }

    /// The loop gives the server up for good.
    package mutating func closed(_ loop: ObjectIdentifier) { self.missing.remove(loop) }
}

/// The transitions of a site's servers, over all event loops: each is logged once.
package final class ServerTransitionLog: Sendable {
    private let servers = Mutex<[MemcachedAddress: ServerTransitions]>([:])

    package init() {}

    func update<Result>(_ address: MemcachedAddress, _ change: (inout ServerTransitions) -> Result) -> Result {
        self.servers.withLock { change(&$0[address, default: ServerTransitions()]) }
    }
}
