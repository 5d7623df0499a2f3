import Memcached
import NIOCore

extension ReplicaPool {
    /// What can be said of each server now.
    package var conditions: [WalkPlan.Condition] {
        self.servers.map { server in
            if !server.isAvailable {
                .down
            } else if server.incompleteConnection == nil {
                .complete
            } else {
                .incomplete
            }
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
