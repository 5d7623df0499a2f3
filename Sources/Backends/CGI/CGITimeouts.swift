import NIOCore

/// What a process needs of its backend's configuration, as NIO wants it.
struct CGITimeouts: Sendable {
    let run: TimeAmount
    let io: TimeAmount
    let terminateGrace: TimeAmount
    let lingerGrace: TimeAmount
    /// How often a process looks whether its time is over: a time-out is at most twice this late.
    let checkInterval: TimeAmount

    init(_ configuration: CGIBackendConfiguration) {
        self.run = TimeAmount(configuration.timeout)
        self.io = TimeAmount(configuration.ioTimeout)
        self.terminateGrace = TimeAmount(configuration.terminateGrace)
        self.lingerGrace = TimeAmount(configuration.lingerGrace)
        let shortest = min(self.run, self.io, self.lingerGrace)
        self.checkInterval = max(.milliseconds(10), min(.seconds(1), .nanoseconds(shortest.nanoseconds / 8)))
    }
}
