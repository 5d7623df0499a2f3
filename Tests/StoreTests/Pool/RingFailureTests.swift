import GatewayTesting
import Memcached
import Sessions
import Testing

@testable import Store

/// With real memcacheds: servers and gateways that fail, by themselves and in the middle of a change.
@Suite(.serialized) struct RingFailureTests {
    private static let sessions = 60

    private static func withServers(
        _ body: ([MemcachedProcess], [RingServer]) async throws -> Void
    ) async throws {
        var servers: [MemcachedProcess] = []
        for _ in 0..<5 { servers.append(try await MemcachedProcess()) }
        defer { for server in servers { server.kill() } }
        try await body(servers, servers.map { RingServer(host: "127.0.0.1", port: $0.port) })
    }

    /// Read by nobody, not even by a load that moves it, before it is looked for in the end.
    @Test(.timeLimit(.minutes(2)), arguments: [0, 1, 2])
    func anyServerMayFail(_ failing: Int) async throws {
        try await Self.withServers { servers, names in
            let list = Array(names[0..<3])
            let gateways = [
                try await GatewayModel.start(GatewayModel.configuration(list)),
                try await GatewayModel.start(GatewayModel.configuration(list)),
            ]
            for gateway in gateways { try await gateway.waitUntilInForce(list) }
            let keys = await gateways[0].createMany(Self.sessions)
            servers[failing].kill()
            for gateway in gateways { #expect(await gateway.misread(keys) { "\($0)" } == []) }
            try await servers[failing].start()
            for gateway in gateways { try await gateway.waitUntilInForce(list) }
            for gateway in gateways { #expect(await gateway.misread(keys) { "\($0)" } == []) }
            for gateway in gateways { await gateway.end() }
        }
    }

    enum Failing: String, CaseIterable { case staying, leaving, newcomer }

    /// A, B, C, D become E, B, C, D while one of them dies and comes back empty.
    @Test(.timeLimit(.minutes(3)), arguments: Failing.allCases)
    func aServerMayFailInTheMiddle(_ failing: Failing) async throws {
        try await Self.withServers { servers, names in
            let before = Array(names[0..<4])
            let after = [names[4], names[1], names[2], names[3]]
            let first = try await GatewayModel.start(GatewayModel.configuration(before))
            try await first.waitUntilInForce(before)
            let keys = await first.createMany(Self.sessions)
            await first.end()
            let changed = GatewayModel.configuration(after)
            let second = try await GatewayModel.start(changed)
            try await Eventually.holds(within: .seconds(30), "the change to begin") { await !second.state.isStable }
            let victim = [Failing.staying: 1, .leaving: 0, .newcomer: 4][failing] ?? 1
            servers[victim].kill()
            #expect(await second.misread(keys) { "\($0)" } == [])
            try await servers[victim].start()
            try await second.waitUntilInForce(after)
            #expect(await second.misread(keys) { "\($0)" } == [])
            for (index, server) in servers.enumerated() where index == 0 { server.kill() }
            #expect(await second.misread(keys) { "\($0)" } == [])
            await second.end()
        }
    }

    /// All gateways end in the middle of a change and begin anew: with the new list, or with the old one.
    @Test(.timeLimit(.minutes(3)), arguments: [false, true])
    func gatewaysMayRestartInTheMiddle(goesBack: Bool) async throws {
        try await Self.withServers { _, names in
            let (before, after) = (Array(names[0..<3]), Array(names[0..<4]))
            let first = try await GatewayModel.start(GatewayModel.configuration(before))
            try await first.waitUntilInForce(before)
            let keys = await first.createMany(Self.sessions)
            await first.end()
            let second = try await GatewayModel.start(GatewayModel.configuration(after))
            try await Eventually.holds(within: .seconds(30), "the change to begin") { await !second.state.isStable }
            await second.end()
            let last = goesBack ? before : after
            let third = try await GatewayModel.start(GatewayModel.configuration(last))
            try await third.waitUntilReady()
            // While connections are still being made an answer may be degraded.
            try await Eventually.holds(within: .seconds(10), "all servers to be there") {
                await third.text(keys[0]) == "0"
            }
            let misread = await third.misread(keys) { "\($0)" }
            #expect(misread == [])
            try await third.waitUntilInForce(last)
            #expect(await third.state.epoch > 2)
            #expect(await third.misread(keys) { "\($0)" } == [])
            await third.end()
        }
    }

    /// No server is in both lists: what the gateway has written down is all that leads to the sessions.
    @Test(.timeLimit(.minutes(3))) func theFormerServersAreRemembered() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("pool")
        try await Self.withServers { _, names in
            let (before, after) = (Array(names[0..<2]), Array(names[2..<5]))
            let first = try await GatewayModel.start(GatewayModel.configuration(before, memory: path))
            try await first.waitUntilInForce(before)
            let keys = await first.createMany(Self.sessions)
            try await Eventually.holds("the state to be written down") { !directory.read("pool").isEmpty }
            await first.end()
            PoolMemory.forgetAll()
            let second = try await GatewayModel.start(GatewayModel.configuration(after, memory: path))
            try await second.waitUntilReady()
            #expect(await second.misread(keys) { "\($0)" } == [])
            try await second.waitUntilInForce(after)
            #expect(await second.misread(keys) { "\($0)" } == [])
            await second.end()
        }
    }

    /// One copy of each session: what a dead server had is lost, and nothing else when it is taken out.
    @Test(.timeLimit(.minutes(2))) func aDeadServerOfAPoolWithSingleCopiesIsTakenOut() async throws {
        try await Self.withServers { servers, names in
            func configuration(_ names: [RingServer]) -> StoreConfiguration {
                var configuration = GatewayModel.configuration(names)
                configuration.redundancy = 1
                configuration.lossPatience = .seconds(1)
                return configuration
            }
            let (before, after) = (Array(names[0..<3]), Array(names[0..<2]))
            let first = try await GatewayModel.start(configuration(before))
            try await first.waitUntilInForce(before)
            let keys = await first.createMany(Self.sessions)
            var left: [Int] = []
            for (number, key) in keys.enumerated() {
                if try await first.holders(key) != [before[2].address] { left.append(number) }
            }
            #expect(left.count > 10 && left.count < keys.count)
            await first.end()
            servers[2].kill()
            let second = try await GatewayModel.start(configuration(after))
            try await second.waitUntilInForce(after)
            for number in left { #expect(await second.text(keys[number]) == "\(number)") }
            #expect(await second.createMany(30).count == 30)
            await second.end()
        }
    }

    /// Nothing of the pool that is remembered is left: the new one is begun, after a while.
    @Test(.timeLimit(.minutes(2))) func aPoolThatIsGoneIsForgotten() async throws {
        let directory = try TemporaryDirectory()
        try await Self.withServers { servers, names in
            func configuration(_ names: [RingServer]) -> StoreConfiguration {
                var configuration = GatewayModel.configuration(names, memory: directory.path("pool"))
                configuration.lossPatience = .seconds(1)
                return configuration
            }
            let (before, after) = (Array(names[0..<2]), Array(names[2..<5]))
            let first = try await GatewayModel.start(configuration(before))
            try await first.waitUntilInForce(before)
            try await Eventually.holds("the state to be written down") { !directory.read("pool").isEmpty }
            await first.end()
            PoolMemory.forgetAll()
            for server in servers[0..<2] { server.kill() }
            let second = try await GatewayModel.start(configuration(after))
            try await second.waitUntilInForce(after)
            #expect(await second.createMany(10).count == 10)
            await second.end()
        }
    }

    @Test func whatIsOlderThanAnySessionIsForgotten() throws {
        let directory = try TemporaryDirectory()
        let state = PoolState(
            epoch: 3,
            stage: .stable(
                RingDescription(kind: .ketama, redundancy: 2, servers: [RingServer(host: "a", port: 1)])
            )
        )
        let memory = PoolMemory(path: directory.path("pool"), longestLife: .seconds(100))
        #expect(memory.recall() == nil)
        let now = StoreClock.now / 1_000
        try directory.write("pool", "written \(now - 99)\n\(state.text)")
        #expect(memory.recall() == state)
        try directory.write("pool", "written \(now - 101)\n\(state.text)")
        #expect(memory.recall() == nil)
        try directory.write("pool", "written \(now)\n\(state.text.dropLast(2))")
        #expect(memory.recall() == nil)
        let elsewhere = PoolMemory(path: "/proc/none/pool", longestLife: .seconds(100))
        #expect(elsewhere.remember(state) != nil)
        // Not written, and known all the same for as long as the process lives.
        #expect(elsewhere.recall() == state)
        #expect(memory.remember(state) == nil)
        #expect(directory.read("pool").hasSuffix(state.text))
    }
}
