import GatewayTesting
import Logging
import Memcached
import Sessions
import Testing

@testable import Store

/// With real memcacheds: a planned reboot loses nothing, of sessions that nobody asks for either.
@Suite(.serialized) struct DrainTests {
    private static let sessions = 80

    private static func withPool(
        servers count: Int = 3,
        redundancy: Int = 2,
        _ body: ([MemcachedProcess], [RingServer], _ gateways: [GatewayModel]) async throws -> Void
    ) async throws {
        var servers: [MemcachedProcess] = []
        for _ in 0..<count { servers.append(try await MemcachedProcess()) }
        defer { for server in servers { server.kill() } }
        let names = servers.map { RingServer(host: "127.0.0.1", port: $0.port) }
        var configuration = GatewayModel.configuration(names)
        configuration.redundancy = redundancy
        var gateways: [GatewayModel] = []
        for _ in 0..<2 { gateways.append(try await GatewayModel.start(configuration)) }
        for gateway in gateways { try await gateway.waitUntilInForce(names) }
        try await body(servers, names, gateways)
        for gateway in gateways { await gateway.end() }
    }

    /// As a command does it: with connections of its own.
    private static func drainer<Result: Sendable>(
        _ names: [RingServer],
        redundancy: Int = 2,
        _ body: @Sendable @escaping (Drainer) async -> Result
    ) async throws -> Result {
        var configuration = GatewayModel.configuration(names)
        configuration.redundancy = redundancy
        let operator_ = try await GatewayModel.start(configuration, isKeeper: false, isWalker: false)
        let result = await operator_.onLoop { store in
            await body(Drainer(pool: store.pool, logger: Logger(label: "drain") { _ in SwiftLogNoOpLogHandler() }))
        }
        await operator_.end()
        return result
    }

    @Test(.timeLimit(.minutes(4))) func aRebootOfEachServerInTurnLosesNothing() async throws {
        try await Self.withPool { servers, names, gateways in
            let keys = await gateways[0].createMany(Self.sessions)
            #expect(keys.count == Self.sessions)
            let counter = await gateways[0].create("0").key
            let isOver = Flag()
            async let counted = gateways[1].count(counter, until: isOver)
            for (index, server) in servers.enumerated() {
                let name = names[index].address
                #expect(await gateways[0].misplaced(keys) == 0)
                let drained = try await Self.drainer(names) { await $0.drain(name) { _, _ in } }
                guard case .done(let moved) = drained else {
                    Issue.record("not drained: \(drained)")
                    break
                }
                #expect(moved > 0)
                // What is said is true: every session is on two other servers.
                for key in keys {
                    let copies = try await gateways[0].holders(key)
                    #expect(copies.count == 2 && !copies.contains(name))
                }
                server.kill()
                try await server.start()
                try await gateways[0].waitUntilInForce(names, drained: [name])
                try await gateways[1].waitUntilInForce(names, drained: [name])
                #expect(await gateways[0].misplaced(keys) == 0)
                let undrained = try await Self.drainer(names) { await $0.undrain(name) { _, _ in } }
                guard case .done = undrained else {
                    Issue.record("not undrained: \(undrained)")
                    break
                }
                for gateway in gateways { try await gateway.waitUntilInForce(names) }
            }
            isOver.set()
            let (saved, failures) = await counted
            #expect(failures == [])
            #expect(await gateways[0].text(counter) == "\(saved)")
            // Nobody has asked for these since they were made.
            #expect(await gateways[1].misread(keys) { "\($0)" } == [])
        }
    }

    @Test(.timeLimit(.minutes(2))) func withoutDrainingTheWalkMustBeWaitedFor() async throws {
        try await Self.withPool { servers, names, gateways in
            let keys = await gateways[0].createMany(Self.sessions)
            for server in servers {
                try await server.restart()
                try await Eventually.holds(within: .seconds(20), "the reboot to be seen") {
                    await gateways[0].onLoop { !$0.pool.conditions.allSatisfy(\.isComplete) }
                }
                for gateway in gateways { try await gateway.waitUntilInForce(names) }
            }
            #expect(await gateways[1].misread(keys) { "\($0)" } == [])
        }
    }

    @Test(arguments: [(2, 2), (3, 1), (3, 3)])
    func whereNoServerCanBeSparedItIsRefused(servers: Int, redundancy: Int) async throws {
        try await Self.withPool(servers: servers, redundancy: redundancy) { _, names, gateways in
            let outcome = try await Self.drainer(names, redundancy: redundancy) {
                await $0.drain(names[0].address) { _, _ in }
            }
            guard case .refused(let reason) = outcome else {
                Issue.record("not refused: \(outcome)")
                return
            }
            #expect(reason.contains("none can be spared"))
            let before = await gateways[0].state
            #expect(before.goal.drained.isEmpty)
        }
    }

    @Test func aSecondServerIsNotDrainedBesideTheFirst() async throws {
        try await Self.withPool { servers, names, _ in
            let (first, second) = (names[0].address, names[1].address)
            let done = try await Self.drainer(names) { await $0.drain(first) { _, _ in } }
            #expect(done == .done(moved: 0))
            let outcome = try await Self.drainer(names) { await $0.drain(second) { _, _ in } }
            #expect(outcome == .refused("drained already: \(first); a session has 3 servers and needs 2 of them"))
            let stranger = try await Self.drainer(names) { await $0.drain("127.0.0.1:1") { _, _ in } }
            #expect(stranger == .refused("127.0.0.1:1 is not one of the servers in force"))
            servers[2].kill()
            let again = try await Self.drainer(names) { await $0.drain(first) { _, _ in } }
            #expect(again == .refused("not complete, so no other can be spared: \(names[2].address)"))
        }
    }
}
