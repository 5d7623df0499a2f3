/// What happens to one memcached.
package enum ServerFault: String, Sendable, CaseIterable, Codable {
    /// SIGKILL; when the fault ends it is started again, empty.
    case killed
    /// SIGKILL, and started empty at once.
    case restarted
    /// SIGSTOP: it takes connections and answers nothing.
    case frozen
    /// No packet passes between it and the gateways.
    case cut
    /// What it is sent arrives, but none of its answers.
    case mute
    /// No packet passes between it and one of the gateways.
    case halfCut = "half-cut"
    /// Every packet to it is answered by a reset.
    case rejected
    /// One packet of five is lost, both ways.
    case lossy

    /// Whether it needs namespaces for the network.
    package var isOfTheNetwork: Bool {
        switch self {
        case .killed, .restarted, .frozen: false
        case .cut, .mute, .halfCut, .rejected, .lossy: true
        }
    }
}

/// What happens to one gateway.
package enum GatewayFault: String, Sendable, CaseIterable, Codable {
    /// SIGKILL, and started again when the fault ends.
    case killed
    /// SIGSTOP.
    case frozen
}
