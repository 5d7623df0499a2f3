import Foundation
import GatewayTesting
import NIOCore
import Sessions
import Testing

@testable import Store

/// Memcacheds that are too small for their sessions, or have forgotten all of them.
extension HybridStoreTests {
    private static let isLong = ProcessInfo.processInfo.environment["SESSION_GATEWAY_LONG"] == "1"

    /// Also by a gateway that starts then, as all do after a power cut.
    @Test(arguments: [false, true])
    func whileTheDatabaseIsAwayAnEmptyMemcachedSignsNobodyOut(_ isColdStart: Bool) async throws {
        try await Self.with { stack in
            let first = stack.gateway()
            let key = await stack.key()
            #expect(await first.create(key, "one", isDurable: true).isSaved)
            let gateway = isColdStart ? stack.gateway() : first
            func serve() -> Task<Void, Never> {
                Task(executorPreference: stack.fixture.executor) {
                    await gateway.tier.run(replicas: stack.fixture.store)
                }
            }
            let begun = isColdStart ? nil : serve()
            stack.setDown(true)
            for server in stack.fixture.servers { server.kill() }
            for server in stack.fixture.servers { try await server.start() }
            let service = begun ?? serve()
            try await stack.fixture.waitUntilComplete()
            for _ in 0..<5 {
                guard case .unavailable = await gateway.load(key) else {
                    Issue.record("memcached's word counts")
                    break
                }
            }
            stack.setDown(false)
            #expect(try await gateway.text(key) == "one")
            #expect(try await gateway.text(stack.key()) == nil)
            service.cancel()
            await service.value
        }
    }

    @Test(.timeLimit(.minutes(isLong ? 30 : 3)))
    func whatAFullMemcachedEvictsIsReadFromTheDatabase() async throws {
        try await Self.with(memcachedArguments: ["-m", "4"]) { stack in
            let gateway = stack.gateway()
            let service = Task(executorPreference: stack.fixture.executor) {
                await gateway.tier.run(replicas: stack.fixture.store)
            }
            // Three times four megabytes have room for less than four hundred of them, twice each.
            let filling = String(repeating: ".", count: 16_000)
            var keys: [SessionKey] = []
            for number in 0..<(Self.isLong ? 12_000 : 600) {
                let key = await stack.key()
                #expect(await gateway.create(key, "\(number)\(filling)").isSaved)
                keys.append(key)
            }
            var evictions = 0
            for server in stack.fixture.servers { evictions += Int(try server.statistics()["evictions"] ?? "") ?? 0 }
            #expect(evictions > keys.count / 4)
            for round in 0..<2 {
                for (number, key) in keys.enumerated() {
                    // What is put back evicts others.
                    let text = try await gateway.text(key)
                    try #require(text == "\(number)\(filling)", "session \(number) in round \(round)")
                }
            }
            #expect(gateway.tier.counts.restored > keys.count / 4)
            #expect(gateway.tier.counts.reverted == 0)
            service.cancel()
            await service.value
        }
    }
}
