import Database
import NIOCore
import Sessions
import Testing

@testable import Store

/// What the database was told while memcached could not be, by a gateway that is no more.
extension HybridStoreTests {
    private static func inMemcached(_ stack: Stack, _ key: SessionKey) async -> SessionLoadOutcome {
        await Task(executorPreference: stack.fixture.executor) { await stack.fixture.store.load(key) }.value
    }

    @Test func aSignOutThatMemcachedMissedReachesItThroughAnotherGateway() async throws {
        try await Self.with { stack in
            let dead = stack.gateway()
            let key = await stack.key()
            #expect(await dead.create(key, "one", isDurable: true).isSaved)
            // As it would have been left, with memcached away.
            var word = SessionRow.tombstone(
                key,
                identity: WriteIdentity(version: StoreClock.now * 1_000, writer: 1),
                absoluteLifetime: .seconds(86_400),
                at: StoreClock.now
            )
            word.due = SessionRow.unplaced
            try await stack.database.apply(.tombstone(word), isDurable: true)
            let gateway = stack.gateway()
            try await stack.serving(gateway) {
                if case .none = await Self.inMemcached(stack, key) { true } else { false }
            }
            // Also for gateways that have not asked the database.
            #expect(try await stack.gateway().text(key) == nil)
            let row = try #require(try await stack.database.load(key))
            #expect(row.record.isTombstone && row.due == row.record.absoluteDeadline)
        }
    }

    @Test func aSaveByTheDatabaseAloneReachesMemcached() async throws {
        try await Self.with { stack in
            let dead = stack.gateway()
            let key = await stack.key()
            #expect(await dead.create(key, "one", isDurable: true).isSaved)
            let session = try await dead.session(key)
            var row = try #require(try await stack.database.load(key))
            row.record.ancestors = session.record.lineage
            row.record.identity.version += 5
            row.record.payload.clear()
            row.record.payload.writeString("two")
            row.newest = row.record.identity.version
            row.due = SessionRow.unplaced
            try await stack.database.apply(.compareAndSave(row, base: session.record.identity))
            let gateway = stack.gateway()
            try await stack.serving(gateway) {
                guard case .live(let there) = await Self.inMemcached(stack, key) else { return false }
                return String(buffer: there.payload) == "two" && !there.isDegraded
            }
            let there = try await stack.gateway().session(key)
            #expect(await stack.gateway().save(there, key, "three").isSaved)
        }
    }
}
