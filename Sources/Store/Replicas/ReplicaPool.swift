import DequeModule
package import Logging
import Memcached
package import NIOCore
import Sessions

/// The servers of one site as one event loop sees them: executes replica operations over the sockets.
///
/// `@unchecked Sendable`: bound to its event loop, which is the only place that touches it; every entry asserts that.
package final class ReplicaPool: @unchecked Sendable {
    package let eventLoop: any EventLoop
    let configuration: StoreConfiguration
    let counters: StoreCounters
    let codec: RecordCodec
    let placement: Placement
    let servers: [ReplicaServer]
    private let logger: Logger
    private var random: FastRandom
    /// Random per pool: with the version it names a write.
    private let writer: UInt64
    private var lastVersion: UInt64 = 0

    package init(
        configuration: StoreConfiguration,
        eventLoop: any EventLoop,
        counters: StoreCounters,
        logger: Logger
    ) {
        var system = SystemRandomNumberGenerator()
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.counters = counters
        self.logger = logger
        self.placement = Placement(configuration)
        self.codec = RecordCodec(
            secret: configuration.secret.map { Array($0.utf8) } ?? configuration.keyspace.bytes
        )
        self.random = FastRandom(seed: system.next())
        self.writer = system.next()
        // The configuration's check has refused prefixes and site names that make no key.
        let marker = MemcachedKey(configuration.markerKey)
        self.servers = configuration.servers.compactMap { server in
            marker.map {
                ReplicaServer(
                    server,
                    marker: $0,
                    configuration: configuration.memcached,
                    eventLoop: eventLoop,
                    logger: logger
                )
            }
        }
    }

    package func start() {
        self.eventLoop.assertInEventLoop()
        for server in self.servers {
            server.start()
        }
    }

    package func close() -> EventLoopFuture<Void> {
        self.eventLoop.assertInEventLoop()
        return EventLoopFuture.andAllComplete(self.servers.map { $0.close() }, on: self.eventLoop)
    }

    /// Whether enough servers answer for acknowledged reads and writes of any key, as far as one can tell at once.
    package var isReady: Bool {
        self.servers.count { $0.isAvailable } >= min(self.configuration.redundancy, self.servers.count)
    }

    /// The identity of a new write: its version is greater than the base's and any this pool has issued.
    func newIdentity(after base: WriteIdentity?) -> WriteIdentity {
        self.lastVersion = max(StoreClock.microseconds, (base?.version ?? 0) &+ 1, self.lastVersion &+ 1)
        return WriteIdentity(version: self.lastVersion, writer: self.writer)
    }

    /// Runs one operation to its end, at most `timeout`. Call and result on the event loop.
    func perform(
        _ goal: ReplicaOperation.Goal,
        key: SessionKey,
        timeout: Duration,
        completion: @escaping (ReplicaOutcome) -> Void
    ) {
        self.eventLoop.assertInEventLoop()
        guard let memcachedKey = MemcachedKey(key.bytes) else {
            completion(.unavailable(best: nil))
            return
        }
        let (set, servers) = self.placement.replicas(of: key)
        let run = ReplicaRun(
            ReplicaOperation(goal, on: set),
            pool: self,
            key: key,
            memcachedKey: memcachedKey,
            servers: servers.map { self.servers[$0] },
            completion: completion
        )
        run.start(timeout: timeout)
    }

    func perform(_ goal: ReplicaOperation.Goal, key: SessionKey, timeout: Duration) async -> ReplicaOutcome {
        await withUnsafeContinuation { continuation in
            self.perform(goal, key: key, timeout: timeout) { continuation.resume(returning: $0) }
        }
    }

    func nextRandom() -> UInt64 {
        self.random.next()
    }

    /// Seconds for memcached.
    func expiry(_ lifetime: CopyLifetime, of record: SessionRecord?) -> MemcachedExpiry {
        .seconds(
            lifetime.seconds(
                of: record,
                now: StoreClock.now,
                maximumItemAge: self.configuration.maximumItemAge.wholeSeconds
            )
        )
    }

    /// What a load slides the expiry to.
    var touch: MemcachedExpiry {
        .seconds(
            min(self.configuration.idleLifetime.wholeSeconds, self.configuration.maximumItemAge.wholeSeconds)
        )
    }
}

/// SplitMix64: numbers that need to differ, not to be secret.
struct FastRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        self.state = seed
    }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
