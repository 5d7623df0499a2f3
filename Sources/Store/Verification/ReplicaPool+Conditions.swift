import Memcached
import NIOCore
package import Sessions

extension ReplicaPool {
    /// What can be said of each server now.
    package var conditions: [ServerCondition] {
        let members = Set(self.state.walkedMembers)
        return self.servers.map { server in
            guard !server.isClosed, members.contains(server.name) else { return .outside }
            guard server.isAvailable, let connection = server.client.connection else { return .down }
            let identity = ConnectionIdentity(number: connection.rawValue)
            return server.isComplete(on: connection) ? .complete(identity) : .incomplete(identity)
        }
    }

    /// Returns when all servers are connected, or have had the time for it twice: a first attempt may come to a busy server.
    func waitUntilConnected() async {
        let limit = (self.configuration.memcached.connectTimeout + self.configuration.memcached.operationTimeout) * 2
        let deadline = ContinuousClock.now + limit
        while ContinuousClock.now < deadline, self.conditions.contains(.down), !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(5))
        }
    }
}
