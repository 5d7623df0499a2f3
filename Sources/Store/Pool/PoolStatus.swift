import Memcached
import NIOCore
package import Sessions

/// How a site's pool stands, as its servers tell.
package struct PoolStatus: Sendable {
    package enum Condition: String, Sendable {
        case complete, incomplete, unreachable
    }

    package struct Server: Sendable {
        package var name: String
        package var condition: Condition
        /// Of its marker.
        package var epoch: UInt64?
        package var role: String
    }

    package var state: PoolState<RingDescription>
    package var configured: RingDescription
    package var servers: [Server]
    package var gateways: [GatewayRegistration]

    /// On the pool's event loop.
    package static func read(_ pool: ReplicaPool) async -> PoolStatus {
        await pool.waitUntilConnected()
        await pool.lookAtAll()
        let state = pool.state
        let sights = pool.sights
        let servers = state.members.map { name in
            let condition = sights[name]?.condition ?? .down
            return Server(
                name: name,
                condition: condition.isComplete ? .complete : condition.isIncomplete ? .incomplete : .unreachable,
                epoch: sights[name]?.state?.epoch,
                role: Self.role(of: name, in: state)
            )
        }
        return PoolStatus(
            state: state,
            configured: pool.configuration.ringDescription,
            servers: servers,
            gateways: await GatewayRegistry(pool: pool).all()
        )
    }

    private static func role(of name: String, in state: PoolState<RingDescription>) -> String {
        if state.goal.drained.contains(name) { return "drained" }
        if state.isStable { return "in force" }
        if state.newcomers.contains(name) { return "joining" }
        return state.goal.members.contains(name) ? "staying" : "leaving"
    }

    package var isInOrder: Bool {
        self.state.isStable && self.servers.allSatisfy { $0.condition == .complete }
    }

    package var lines: [String] {
        var lines = ["stage \(self.state.stageName), epoch \(self.state.epoch)"]
        for server in self.servers {
            let epoch = server.epoch.map { "epoch \($0)" } ?? "no epoch"
            lines.append("server \(server.name) \(server.condition.rawValue), \(server.role), \(epoch)")
        }
        let ring = self.configured.draining(self.state.goal.drained)
        if ring != self.state.goal {
            lines.append("configured here: \(ring.members.joined(separator: ", "))")
        }
        for gateway in self.gateways {
            let isSame = gateway.configured.placesAlike(self.state.goal)
            var line = "gateway \(gateway.name) works by epoch \(gateway.epoch), "
            line +=
                isSame
                ? "configured with the same servers"
                : "configured with \(gateway.configured.members.joined(separator: ", "))"
            if !gateway.activity.isEmpty { line += ", \(gateway.activity)" }
            lines.append(line)
        }
        return lines
    }
}
