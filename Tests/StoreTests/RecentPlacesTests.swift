import Sessions
import Testing

@testable import Store

struct RecentPlacesTests {
    /// More keys than are remembered: some take the place of others.
    @Test func aPlaceIsTheOneThatWasRememberedOrNone() async throws {
        try await StoreFixture.with(servers: 3) { fixture in
            let wrong = await fixture.onLoop { store in
                var random = SystemRandom()
                let keys = (0..<1_000).map { _ in store.key(for: SessionID.generate(using: &random)) }
                var wrong = 0
                var places = RecentPlaces()
                for key in keys { places.remember(store.pool.place(of: key), of: key) }
                for key in keys + keys.reversed() {
                    let expected = store.pool.placement.replicas(of: key)
                    let servers = expected.servers.map { ObjectIdentifier(store.pool.servers[$0]) }
                    for place in [places.place(of: key), store.pool.place(of: key)].compactMap({ $0 })
                    where place.set != expected.set || place.servers.map(ObjectIdentifier.init) != servers {
                        wrong += 1
                    }
                }
                return wrong
            }
            #expect(wrong == 0)
        }
    }
}
