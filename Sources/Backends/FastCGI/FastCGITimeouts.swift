import CGI
import NIOCore

/// What a connection needs of its backend's configuration, as NIO wants it.
struct FastCGITimeouts: Sendable {
    let idle: TimeAmount
    let response: TimeAmount
    let io: TimeAmount
    let repeatWindow: TimeAmount
    let headLimits: CGIResponseLimits
    /// How often a connection looks whether its time is over: a time-out is at most twice this late. One timer per connection, so that
    /// none has to be set and cleared per request.
    let checkInterval: TimeAmount

    init(_ configuration: FastCGIBackendConfiguration) {
        self.idle = TimeAmount(configuration.idleTimeout)
        self.response = TimeAmount(configuration.responseTimeout)
        self.io = TimeAmount(configuration.ioTimeout)
        self.repeatWindow = TimeAmount(configuration.repeatWindow)
        self.headLimits = configuration.headLimits
        let shortest = min(self.idle, self.response, self.io)
        self.checkInterval = max(.milliseconds(10), min(.seconds(1), .nanoseconds(shortest.nanoseconds / 8)))
    }
}
