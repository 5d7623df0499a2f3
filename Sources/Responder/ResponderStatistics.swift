import Synchronization

/// What the web server's side has done since it started, and what it is doing.
package struct ResponderStatistics: Sendable, Equatable {
    /// Connections accepted.
    package var accepted = 0
    /// Connections that are open, idle ones included.
    package var connections = 0
    /// Requests handed to the handler.
    package var requests = 0
    /// Requests that have not ended yet.
    package var activeRequests = 0
    /// Requests whose client went away before their end.
    package var lostRequests = 0
    /// Parameters beyond the first of their name.
    package var repeatedParameters = 0
    /// Connections refused or cut, by reason.
    package var refusals: [RefusalReason: Int] = [:]
}

/// The counters behind `ResponderStatistics`: no lock, since all threads count.
final class StatisticsCounters: Sendable {
    private let accepted = Atomic(0)
    private let connections = Atomic(0)
    private let requests = Atomic(0)
    private let activeRequests = Atomic(0)
    private let lostRequests = Atomic(0)
    private let repeatedParameters = Atomic(0)
    // A refusal is rare, and there are too many reasons for an atomic each.
    private let refusals = Mutex<[RefusalReason: Int]>([:])

    var openConnectionCount: Int { self.connections.load(ordering: .relaxed) }

    func connectionAccepted() {
        self.accepted.add(1, ordering: .relaxed)
        self.connections.add(1, ordering: .relaxed)
    }

    func connectionClosed() { self.connections.subtract(1, ordering: .relaxed) }

    func requestBegan() {
        self.requests.add(1, ordering: .relaxed)
        self.activeRequests.add(1, ordering: .relaxed)
    }

    func requestEnded() { self.activeRequests.subtract(1, ordering: .relaxed) }

    func requestLost() {
        self.activeRequests.subtract(1, ordering: .relaxed)
        self.lostRequests.add(1, ordering: .relaxed)
    }

    func parametersRepeated(_ count: Int) { self.repeatedParameters.add(count, ordering: .relaxed) }

    func refused(_ reason: RefusalReason) { self.refusals.withLock { $0[reason, default: 0] += 1 } }

    func snapshot() -> ResponderStatistics {
        ResponderStatistics(
            accepted: self.accepted.load(ordering: .relaxed),
            connections: self.connections.load(ordering: .relaxed),
            requests: self.requests.load(ordering: .relaxed),
            activeRequests: self.activeRequests.load(ordering: .relaxed),
            lostRequests: self.lostRequests.load(ordering: .relaxed),
            repeatedParameters: self.repeatedParameters.load(ordering: .relaxed),
            refusals: self.refusals.withLock { $0 }
        )
    }
}
