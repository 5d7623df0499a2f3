import NIOCore

/// The connections of one event loop that have a deadline, looked at every 50 ms. The timer runs only while there are any:
/// none for idle connections and for requests that wait for their answer.
///
/// `@unchecked Sendable`: used on its event loop only.
final class DeadlineList: @unchecked Sendable {
    static let tick: TimeAmount = .milliseconds(50)

    let eventLoop: any EventLoop
    private var connections: [Connection] = []
    private var tickCount = 0
    /// How fast bodies come is judged once in so many ticks.
    private static let ticksPerJudgement = 10

    init(on eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    func watch(_ connection: Connection) {
        self.eventLoop.assertInEventLoop()
        self.connections.append(connection)
        guard self.connections.count == 1 else { return }
        self.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: Self.tick) { self.ticked() }
    }

    private func ticked() {
        // Taken out as a whole: a connection that is added meanwhile is one that this round has let go of.
        let taken = self.connections
        self.connections = []
        let now = ContinuousClock.now
        self.tickCount += 1
        let judges = self.tickCount % Self.ticksPerJudgement == 0
        for connection in taken where connection.tick(at: now, judgesPace: judges) { self.watch(connection) }
    }
}
