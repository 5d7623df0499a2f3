import GatewayTesting
import Testing

/// What visitors notice of memcacheds that die, come back empty, or come back with what was true a while ago.
struct StoreFailureTests {
    @Test func aMemcachedKilledBetweenTwoRequestsCostsNobodyTheSession() async throws {
        let stack = try await FaultStack.ready()
        var visitors = (0..<6).map { _ in CountingVisitor(stack.client()) }
        for index in visitors.indices {
            #expect(await visitors[index].write("v\(index)-0").outcome == "new")
        }
        var count = 1
        for server in stack.memcacheds.indices {
            stack.memcacheds[server].kill()
            for _ in 0..<3 {
                for index in visitors.indices {
                    let visit = await visitors[index].write("v\(index)-\(count)")
                    #expect(visit.seen?.nonce == "v\(index)-\(count - 1)")
                    #expect(visit.outcome == "saved", "memcached \(server) is dead")
                }
                count += 1
            }
            try await stack.memcacheds[server].start()
            try await stack.waitUntilComplete([server])
        }
        for index in visitors.indices {
            #expect(await visitors[index].read().seen?.count == count)
        }
    }

    @Test func aMemcachedKilledBetweenLoadAndSaveCostsNoChange() async throws {
        let stack = try await FaultStack.ready()
        for server in stack.memcacheds.indices {
            var visitors = (0..<4).map { _ in CountingVisitor(stack.client()) }
            for index in visitors.indices {
                #expect(await visitors[index].write("\(server)-\(index)-a").outcome == "new")
            }
            let gate = "between\(server)"
            let waiting = visitors.enumerated().map { index, visitor in
                var visitor = visitor
                return Task {
                    await visitor.write("\(server)-\(index)-b", "gate=\(gate)\(index)")
                }
            }
            for index in visitors.indices { try await stack.waitAtGate("\(gate)\(index)") }
            stack.memcacheds[server].kill()
            for index in visitors.indices { try stack.openGate("\(gate)\(index)") }
            for task in waiting {
                #expect(await task.value.outcome == "saved", "memcached \(server) died meanwhile")
            }
            for index in visitors.indices {
                #expect(await visitors[index].read().seen?.nonce == "\(server)-\(index)-b")
            }
            try await stack.memcacheds[server].start()
            try await stack.waitUntilComplete([server])
        }
    }

    @Test func whatCameBackEmptyHasItsSessionsAgainBeforeAnotherOneDies() async throws {
        let stack = try await FaultStack.ready()
        for (empty, lost) in [(0, 1), (1, 2), (2, 0)] {
            var visitors = (0..<12).map { _ in CountingVisitor(stack.client()) }
            for index in visitors.indices {
                #expect(await visitors[index].write("\(empty)-\(index)").outcome == "new")
            }
            try await stack.memcacheds[empty].restart()
            try await stack.waitUntilComplete([empty])
            stack.memcacheds[lost].kill()
            for index in visitors.indices {
                let visit = await visitors[index].write("\(empty)-\(index)-after")
                #expect(visit.seen?.nonce == "\(empty)-\(index)")
                #expect(visit.outcome == "saved")
            }
            try await stack.memcacheds[lost].start()
            try await stack.waitUntilComplete([lost])
        }
    }

    @Test(arguments: [(0, 1), (1, 2), (2, 0)])
    func anOldCopyThatComesBackIsNeverReadWhoeverDiesNext(frozen: Int, lost: Int) async throws {
        let stack = try await FaultStack.ready { $0.site = ["operation_timeout: 200ms", "load_timeout: 2s"] }
        var visitors = (0..<8).map { _ in CountingVisitor(stack.client()) }
        for index in visitors.indices {
            #expect(await visitors[index].write("\(index)-0").outcome == "new")
        }
        try stack.memcacheds[frozen].freeze()
        for round in 1...2 {
            for index in visitors.indices {
                let visit = await visitors[index].write("\(index)-\(round)")
                #expect(visit.outcome == "saved")
                #expect(visit.seen?.nonce == "\(index)-\(round - 1)")
            }
        }
        try stack.memcacheds[frozen].thaw()
        // Straight after, while it is still held to be down, and later, when it is used again.
        for index in visitors.indices {
            #expect(await visitors[index].read().seen?.nonce == "\(index)-2")
        }
        try await Eventually.holds("the gateway to use the thawed memcached again") {
            stack.gateway.log.components("memcached server is available") >= 4
        }
        for index in visitors.indices {
            #expect(await visitors[index].read().seen?.nonce == "\(index)-2")
        }
        stack.memcacheds[lost].kill()
        for index in visitors.indices {
            let visit = await visitors[index].write("\(index)-3")
            #expect(visit.seen?.nonce == "\(index)-2")
            #expect(visit.outcome == "saved")
        }
    }

    @Test func countersHaveNoGapWhileMemcachedsAreKilledAndComeBack() async throws {
        let stack = try await FaultStack.ready { $0.gateways = 2 }
        let isOver = Flag()
        let visitors = (0..<6).map { number in
            Task {
                var visitor = CountingVisitor(stack.client())
                var history = VisitHistory()
                var count = 0
                while !isOver.isSet {
                    count += 1
                    history.add(await visitor.write("\(number)-\(count)", through: stack.client(count % 2)))
                }
                history.add(await visitor.read())
                return history
            }
        }
        do {
            for round in 0..<Campaign.count(3, long: 24) {
                let server = stack.memcacheds[round % 3]
                server.kill()
                try await Task.sleep(for: .milliseconds(700))
                try await server.start()
                try await stack.waitUntilComplete([round % 3])
            }
        } catch {
            isOver.set()
            throw error
        }
        isOver.set()
        for visitor in visitors {
            let history = await visitor.value
            #expect(history.violations() == [])
            #expect(history.visits.filter { $0.status != 200 }.map(\.status) == [])
            let unclear = history.visits.dropLast().filter { !$0.isAcknowledged }
            #expect(unclear.map(\.outcome) == [])
            let last = try #require(history.visits.last?.seen)
            #expect(last.count == history.visits.count - 1)
        }
    }
}

extension String {
    /// How often a text occurs in it.
    func components(_ text: String) -> Int { self.ranges(of: text).count }
}
