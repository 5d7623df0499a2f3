import GatewayTesting
import Memcached
import NIOCore
import Sessions
import Testing

@testable import Store

/// The item by which one gateway at a time works on a session, on a real memcached.
struct TurnLeaseTests {
    private static let patience: Duration = .milliseconds(150)

    private func take(_ key: SessionKey, _ fixture: StoreFixture) async -> TurnLease? {
        let outcome = await fixture.onLoop { await $0.takeTurn(key, timeout: Self.patience) }
        if case .held(let lease) = outcome { return lease }
        return nil
    }

    private func release(_ lease: TurnLease, _ fixture: StoreFixture) async {
        await fixture.onLoop { _ in lease.release() }
    }

    @Test func oneHasTheTurnUntilItIsReleased() async throws {
        try await StoreFixture.with(servers: 1, redundancy: 1) { fixture in
            let key = await fixture.freshKey().key
            let lease = try #require(await self.take(key, fixture))
            #expect(await self.take(key, fixture) == nil)
            await self.release(lease, fixture)
            let next = try #require(await self.take(key, fixture))
            // Without effect the second time, and on another one's item.
            await self.release(lease, fixture)
            #expect(await self.take(key, fixture) == nil)
            await self.release(next, fixture)
        }
    }

    /// The server forgets, with the connection: within a renewal's time the item is there again.
    @Test func aLeaseThatIsLostIsTakenAgainAndReleased() async throws {
        try await StoreFixture.with(servers: 1, redundancy: 1) { fixture in
            let key = await fixture.freshKey().key
            let lease = try #require(await self.take(key, fixture))
            let item = String(decoding: key.bytes, as: UTF8.self).replacing("sg:test:", with: "sg:test!")
            #expect(try fixture.servers[0].command("mg \(item)") == "HD\r\n")
            try await fixture.servers[0].restart()
            try await Eventually.holds(within: .seconds(30), "the item") {
                try fixture.servers[0].command("mg \(item)") == "HD\r\n"
            }
            #expect(await self.take(key, fixture) == nil)
            await self.release(lease, fixture)
            try await Eventually.holds(within: .seconds(5), "the turn") {
                guard let next = await self.take(key, fixture) else { return false }
                await self.release(next, fixture)
                return true
            }
        }
    }
}
