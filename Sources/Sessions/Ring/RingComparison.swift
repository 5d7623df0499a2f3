/// What moves when one layout takes the place of another. Servers are the same where their addresses are.
package struct RingComparison: Sendable {
    /// A server and how many keys it newly has, or has no more.
    package struct Server: Sendable, Equatable {
        package let address: String
        package fileprivate(set) var gains = 0
        package fileprivate(set) var loses = 0
    }

    package let before: RingLayout
    package let after: RingLayout

    package private(set) var keys = 0
    /// Keys that have other servers, or the same in another order.
    package private(set) var moved = 0
    /// Keys whose first server is another.
    package private(set) var first = 0
    /// Keys that a server gets that did not have them: what must be copied.
    package private(set) var copied = 0
    /// Those of the old list, then the new ones.
    package private(set) var servers: [Server]

    /// The numbers of both lists' servers in `servers`.
    private let numbersBefore: [Int]
    private let numbersAfter: [Int]

    package init(before: RingLayout, after: RingLayout) {
        self.before = before
        self.after = after
        var servers = [Server]()
        var numbers = [String: Int]()
        func number(_ server: RingServer) -> Int {
            if let number = numbers[server.address] { return number }
            servers.append(Server(address: server.address))
            numbers[server.address] = servers.count - 1
            return servers.count - 1
        }
        self.numbersBefore = before.ring.servers.map(number)
        self.numbersAfter = after.ring.servers.map(number)
        self.servers = servers
    }

    /// Counts a key.
    /// - Returns: where it was and where it will be, as indexes of `servers`; nil where nothing changes.
    @discardableResult
    package mutating func add(_ key: UnsafeRawBufferPointer) -> (before: [Int], after: [Int])? {
        let before = self.before.servers(of: key).map { self.numbersBefore[$0] }
        let after = self.after.servers(of: key).map { self.numbersAfter[$0] }
        self.keys += 1
        guard before != after else { return nil }
        self.moved += 1
        if before.first != after.first { self.first += 1 }
        var isCopied = false
        for server in after where !before.contains(server) {
            self.servers[server].gains += 1
            isCopied = true
        }
        for server in before where !after.contains(server) { self.servers[server].loses += 1 }
        if isCopied { self.copied += 1 }
        return (before, after)
    }
}
