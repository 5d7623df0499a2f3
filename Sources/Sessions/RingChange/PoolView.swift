/// What one gateway knows of the state of its pool, from the markers of the servers: which state it works by, and whose
/// answers it may count. A value: time comes from outside, in nanoseconds of a clock that never goes back.
package struct PoolView<Ring: PoolRing>: Sendable {
    private struct Sight: Sendable {
        /// Of the marker; nil where it is missing, or says nothing of a state.
        var state: PoolState<Ring>?
        /// Until then the server's answers count, by the state that this gateway works by.
        var freshUntil: Int64 = .min
    }

    /// What operations that begin now work by: the latest that any server has said.
    package private(set) var state: PoolState<Ring>
    private var sights: [Ring.Server: Sight] = [:]
    private let lease: Int64
    /// Whether operations may go by what is only assumed: every server that might know better was tried.
    package var trustsAssumption = false

    /// - Parameters:
    ///   - assumed: until a server says something.
    ///   - lease: for how long, from when it was asked for its marker, a server's answers count. Nobody goes on from a
    ///     state before this time has passed twice over for everybody.
    package init(assumed: PoolState<Ring>, lease: Int64) {
        self.state = assumed
        self.lease = lease
    }

    /// - Parameters:
    ///   - state: what the marker says; nil where it is missing or says nothing.
    ///   - asked: a moment before the question was sent.
    /// - Returns: whether this gateway works by another state from now on.
    package mutating func saw(_ state: PoolState<Ring>?, on server: Ring.Server, asked: Int64) -> Bool {
        let isNews = state.map { $0.epoch > self.state.epoch } ?? false
        if isNews, let state { self.state = state }
        var sight = self.sights[server] ?? Sight()
        sight.state = state
        sight.freshUntil = self.agrees(state) ? max(sight.freshUntil, asked + self.lease) : .min
        self.sights[server] = sight
        return isNews
    }

    /// The connection is gone: the server may have forgotten what it said.
    package mutating func lost(_ server: Ring.Server) {
        self.sights[server] = nil
    }

    package func marker(of server: Ring.Server) -> PoolState<Ring>? { self.sights[server]?.state }

    /// Whether an operation that began then may count the server's answers.
    package func isFresh(_ server: Ring.Server, at time: Int64) -> Bool { self.freshUntil(server) > time }

    /// Operations that began before may count the server's answers.
    package func freshUntil(_ server: Ring.Server) -> Int64 {
        guard self.state.epoch > 0 || self.trustsAssumption else { return .min }
        return self.sights[server]?.freshUntil ?? .min
    }

    /// A server that is behind is no trouble, as long as it was asked not long ago: neighbouring states go together. Of two
    /// states that follow one, only that with enough servers is gone on from.
    private func agrees(_ state: PoolState<Ring>?) -> Bool {
        guard let state else { return true }
        return state.epoch < self.state.epoch || state == self.state
    }
}
