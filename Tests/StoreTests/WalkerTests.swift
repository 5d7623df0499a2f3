import GatewayTesting
import Memcached
import NIOCore
import Sessions
import Testing

@testable import Store

/// A gateway's own walk for a server that came back empty.
struct WalkerTests {
    /// - Returns: what the item of the lease for one server says.
    private func lease(_ fixture: StoreFixture, _ index: Int) async throws -> String? {
        let key = try #require(MemcachedKey(fixture.pool.configuration.leaseKey))
        return await fixture.onLoop { store in
            guard let connection = store.pool.servers[index].client.connection,
                case .hit(let value, _, _) = await store.pool.send(.get(key, touch: nil), to: index, on: connection)
            else { return nil }
            return String(buffer: value)
        }
    }

    @Test func theLeaseSaysHowFarTheWalkIs() async throws {
        try await StoreFixture.with { fixture in
            for _ in 0..<300 { _ = await fixture.create(await fixture.freshKey().key, "a session") }
            try await fixture.servers[1].restart()
            try await fixture.waitUntilComplete()
            let text = try #require(try await self.lease(fixture, 1))
            let progress = try #require(WalkProgress(text))
            // All sessions of a pool of three servers belong on each of them.
            #expect(progress.sessions == 300)
            #expect(progress.lost == 0)
            #expect(progress.sources == 2)
        }
    }

    @Test func aDeadLeaderIsReplaced() async throws {
        try await StoreFixture.with { fixture in
            let key = await fixture.freshKey().key
            _ = await fixture.create(key, "a session")
            let lease = try #require(MemcachedKey(fixture.pool.configuration.leaseKey))
            try await fixture.servers[1].restart()
            // Somebody took it, and is never heard of again.
            let isTaken = await fixture.onLoop { store in
                while true {
                    if let connection = store.pool.servers[1].incompleteConnection {
                        let value = MemcachedValue(head: ByteBuffer(string: WalkProgress().text))
                        let reply = await store.pool.send(.add(lease, value, .seconds(6)), to: 1, on: connection)
                        if case .stored = reply { return true }
                        return false
                    }
                    try? await Task.sleep(for: .milliseconds(5))
                }
            }
            #expect(isTaken)
            try await Task.sleep(for: .seconds(3))
            let isCompleteAlready = await fixture.onLoop { $0.pool.conditions[1].isComplete }
            #expect(!isCompleteAlready)
            try await fixture.waitUntilComplete()
            #expect(await fixture.text(key) == "a session")
        }
    }

    @Test func aLeaseThatSomebodyElseTookIsNotRenewed() async throws {
        try await StoreFixture.with(walks: false) { fixture in
            let key = try #require(MemcachedKey(fixture.pool.configuration.leaseKey))
            let results = await fixture.onLoop { store -> [Bool] in
                guard let connection = store.pool.servers[0].client.connection else { return [] }
                let mine = WalkLease(pool: store.pool, server: 0, on: connection)
                let other = WalkLease(pool: store.pool, server: 0, on: connection)
                var results = [await mine.take(), await other.take()]
                await mine.renew(WalkProgress())
                results.append(mine.isHeld)
                // Late: it has gone, and another one has it.
                guard case .hit(_, let token, _) = await store.pool.send(.get(key, touch: nil), to: 0, on: connection)
                else { return results }
                let value = MemcachedValue(head: ByteBuffer(string: "other"))
                _ = await store.pool.send(
                    .compareAndSet(key, value, token: token, .seconds(10)),
                    to: 0,
                    on: connection
                )
                await mine.renew(WalkProgress())
                results.append(mine.isHeld)
                return results
            }
            #expect(results == [true, false, true, false])
            #expect(try await self.lease(fixture, 0) == "other")
        }
    }

    @Test func progressIsReadAsItWasWritten() {
        var progress = WalkProgress()
        progress.sessions = 1_200
        progress.lost = 3
        progress.sources = 1.25
        #expect(progress.text == "sessions 1200 lost 3 sources 1.25")
        #expect(WalkProgress(progress.text) == progress)
        for text in ["", "walking", "sessions x lost 0 sources 1", "sessions 1 lost 0 sources 1 more 2"] {
            #expect(WalkProgress(text) == nil)
        }
    }
}
