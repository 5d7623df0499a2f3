import GatewayTesting
import NIOCore
import Sessions
import Testing

@testable import Store

/// The configuration is read anew while the database is away.
extension HybridStoreTests {
    @Test func whatWaitsGoesOverToTheNextConfiguration() async throws {
        try await Self.with { stack in
            let old = stack.gateway()
            let (waiting, late, gone) = (await stack.key(), await stack.key(), await stack.key())
            for key in [late, gone] { #expect(await old.create(key, "one", isDurable: true).isSaved) }
            let session = try await old.session(late)
            stack.setDown(true)
            #expect(await old.create(waiting, "one").isSaved)
            #expect(await old.destroy(gone) == .destroyed)
            let new = stack.gateway(after: old) { $0.queueSize = 1_000_000 }
            // The old one's service ends, and then its last request.
            let service = Task(executorPreference: stack.fixture.executor) {
                await new.tier.run(replicas: stack.fixture.store)
            }
            #expect(await old.save(session, late, "two", isDurable: true).isDegraded)
            let before = ContinuousClock.now
            await old.tier.flushAtEnd()
            #expect(.now - before < .seconds(3))
            #expect(new.tier.depth.waiting == 3)
            // What memcached forgets is still known here.
            try await stack.restartMemcacheds()
            #expect(try await new.text(waiting) == "one")
            stack.setDown(false)
            try await Eventually.holds("the rows") { new.tier.depth.waiting == 0 }
            #expect(try await stack.database.load(waiting) != nil)
            let row = try #require(try await stack.database.load(late))
            #expect(String(buffer: row.record.payload) == "two")
            #expect(try await stack.database.load(gone)?.record.isTombstone == true)
            service.cancel()
            await service.value
        }
    }

    @Test func aConfigurationThatIsNotPutInForceTakesNothing() async throws {
        try await Self.with { stack in
            let gateway = stack.gateway()
            let key = await stack.key()
            #expect(await gateway.create(key, "one").isSaved)
            await stack.gateway(after: gateway).tier.flushAtEnd()
            #expect(gateway.tier.depth.waiting == 1)
            let early = try await stack.database.load(key)
            await gateway.tier.flushAtEnd()
            let row = try await stack.database.load(key)
            #expect(early == nil && row != nil)
        }
    }
}
