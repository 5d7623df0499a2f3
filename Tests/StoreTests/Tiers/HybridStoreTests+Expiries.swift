import Database
import GatewayTesting
import Logging
import NIOCore
import Sessions
import Synchronization
import Testing

@testable import Store

/// Expiries that slide, and the sessions without a row that they show.
extension HybridStoreTests {
    /// Expiries are written every tenth of a second.
    private static func impatient(_ configuration: inout TierConfiguration) {
        configuration.syncInterval = .milliseconds(100)
        configuration.idleLifetime = .milliseconds(800)
    }

    @Test func savesThatAreDueGoOnWhileExpiriesSlideWithoutEnd() async throws {
        try await Self.with { stack in
            let gateway = stack.gateway { Self.impatient(&$0) }
            var keys: [SessionKey] = []
            for _ in 0..<2_000 { keys.append(await stack.key()) }
            let sliding = keys
            stack.database.touchDelay.withLock { $0 = .milliseconds(200) }
            let load = Task {
                var expires = StoreClock.now
                while !Task.isCancelled {
                    expires += 1
                    let now = expires
                    gateway.tier.withMemory { memory in
                        for key in sliding { memory.touches.seen(key, expires: now, at: now) }
                    }
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
            let service = Task(executorPreference: stack.fixture.executor) {
                await gateway.tier.run(replicas: stack.fixture.store)
            }
            try await Eventually.holds("expiries to be written") { stack.database.touchBatches.withLock { $0 } > 2 }
            for number in 0..<5 {
                let key = await stack.key()
                let batches = stack.database.touchBatches.withLock { $0 }
                #expect(await gateway.create(key, "\(number)").isSaved)
                try await Eventually.holds(within: .seconds(10), "the row of session \(number)") {
                    try await stack.database.load(key) != nil
                }
                // A pass has eight of them.
                #expect(stack.database.touchBatches.withLock { $0 } - batches < 8)
            }
            // It ends in the midst of a pass too.
            service.cancel()
            await service.value
            load.cancel()
        }
    }

    @Test func whatAKilledGatewayHadToWriteIsWrittenWhileSomebodyReads() async throws {
        try await Self.with { stack in
            let key = await stack.key()
            let dead = stack.gateway()
            #expect(await dead.create(key, "one", isDurable: true).isSaved)
            #expect(await dead.save(try await dead.session(key), key, "two").isSaved)
            // It died here. Nobody saves any more.
            let reader = stack.gateway { Self.impatient(&$0) }
            #expect(try await reader.text(key) == "two")
            try await stack.serving(reader) { (try? await stack.database.load(key)?.hasGoneBack) == true }
            let row = try #require(try await stack.database.load(key))
            #expect(row.due <= StoreClock.now + 200 && String(buffer: row.record.payload) == "one")
            let reaper = Reaper(
                database: stack.database,
                configuration: stack.configuration,
                source: stack.fixture.pool,
                tier: reader.tier,
                sessionLog: nil,
                site: "test",
                logger: Logger(label: "reaper") { _ in SwiftLogNoOpLogHandler() },
                clock: { StoreClock.now + 1_000 }
            )
            _ = try await Task(executorPreference: stack.fixture.executor) { try await reaper.pass() }.value
            // If it had lived it might have saved more by now.
            let refreshed = try #require(try await stack.database.load(key))
            #expect(String(buffer: refreshed.record.payload) == "two" && refreshed.hasGoneBack && !refreshed.isOld)
            try await stack.serving(reader) { (try? await stack.database.load(key)?.hasGoneBack) == false }
            try await stack.restartMemcacheds()
            let session = try await stack.gateway().session(key)
            #expect(String(buffer: session.payload) == "two" && !session.hasGoneBack)
        }
    }

    @Test func aSessionFromBeforeTheDatabaseGetsItsRowWhenItIsRead() async throws {
        try await Self.with { stack in
            let (read, unread, gone) = (await stack.key(), await stack.key(), await stack.key())
            for key in [read, unread, gone] { #expect(await stack.fixture.create(key, "before").isSaved) }
            let gateway = stack.gateway { Self.impatient(&$0) }
            for key in [read, gone] { #expect(try await gateway.text(key) == "before") }
            // By another gateway; this one still has its expiry.
            #expect(await stack.gateway().destroy(gone) == .destroyed)
            try await stack.serving(gateway) { (try? await stack.database.load(read)) != nil }
            #expect(try await stack.database.load(unread) == nil)
            #expect(try await stack.database.load(gone)?.record.isTombstone == true)
            // For as long as memcached has it.
            let row = try #require(try await stack.database.load(read))
            #expect(row.expires > StoreClock.now + 1_000_000)
            try await stack.restartMemcacheds()
            #expect(try await stack.gateway().text(read) == "before")
            #expect(try await stack.gateway().text(gone) == nil)
        }
    }

    @Test func whatDidNotFitIntoTheQueueIsDueAgain() async throws {
        try await Self.with { stack in
            let gateway = stack.gateway {
                Self.impatient(&$0)
                // What has no row yet must not expire in memcached, however slow the machine is.
                $0.idleLifetime = .seconds(10)
                $0.queueSize = 2_500
            }
            let keys = [await stack.key(), await stack.key(), await stack.key(), await stack.key()]
            stack.setDown(true)
            for key in keys { #expect(await gateway.create(key, "one").isSaved) }
            #expect(gateway.tier.counts.overflows == 2 && gateway.tier.depth.waiting == 2)
            stack.setDown(false)
            await gateway.tier.flush()
            for key in keys.prefix(2) { #expect(try await stack.database.load(key) != nil) }
            // One is read, one is saved.
            #expect(try await gateway.text(keys[2]) == "one")
            try await stack.serving(gateway) { (try? await stack.database.load(keys[2])) != nil }
            let session = try await gateway.session(keys[3])
            #expect(await gateway.save(session, keys[3], "two").isSaved)
            try await stack.serving(gateway) {
                (try? await stack.database.load(keys[3])).map { String(buffer: $0.record.payload) } == "two"
            }
            try await stack.restartMemcacheds()
            #expect(try await stack.gateway().text(keys[2]) == "one")
        }
    }

    @Test func anUnchangedSessionBecomesDurable() async throws {
        try await Self.with { stack in
            let gateway = stack.gateway()
            let key = await stack.key()
            #expect(await gateway.create(key, "one", isDurable: true).isSaved)
            #expect(await gateway.save(try await gateway.session(key), key, "two").isSaved)
            let row = try #require(try await stack.database.load(key))
            #expect(String(buffer: row.record.payload) == "one")
            // The same data, as whoever says `durable` without a change has them.
            #expect(await gateway.save(try await gateway.session(key), key, "two", isDurable: true).isSaved)
            try await stack.restartMemcacheds()
            let session = try await stack.gateway().session(key)
            #expect(String(buffer: session.payload) == "two" && !session.hasGoneBack)
        }
    }
}
