import DequeModule
package import Logging
import Memcached
package import NIOCore
package import Sessions

/// The servers of one site as one event loop sees them: executes replica operations over the sockets. It must be closed,
/// started or not: until then it and its servers hold each other.
///
/// `@unchecked Sendable`: bound to its event loop, which is the only place that touches it; every entry asserts that.
package final class ReplicaPool: @unchecked Sendable {
    package let eventLoop: any EventLoop
    let configuration: StoreConfiguration
    let counters: StoreCounters
    let codec: RecordCodec
    let deadlines: RunDeadlines
    /// What a load slides the expiry to.
    let touch: MemcachedExpiry
    let longestOperation: TimeAmount
    private let maximumItemSeconds: Int
    let seal: StateSeal
    private(set) var placement: PoolPlacement {
        didSet { self.recentPlaces = RecentPlaces() }
    }
    private var recentPlaces = RecentPlaces()
    /// Those of the configuration first; one that is in no ring any more stays, closed.
    private(set) var servers: [ReplicaServer] = []
    /// By name, the last one of it.
    private(set) var numbers: [String: Int] = [:]
    /// What operations work by.
    private(set) var view: PoolView<RingDescription>
    /// The view's.
    private(set) var epoch: UInt64
    private let logger: Logger
    private var random: FastRandom
    /// How many operations were begun for requests: what is done behind them makes room.
    private(set) var requestOperations: UInt64 = 0
    /// Random per pool: with the version it names a write.
    private let writer: UInt64
    private var lastVersion: UInt64 = 0
    private var isStarted = false
    private var looks: RepeatedTask?
    private var trust: Scheduled<Void>?
    /// When the state was adopted, or assumed.
    private var adopted = NIODeadline.now()
    /// Whether any server has told a state.
    private var hasSeenState = false
    /// A state that is gone by when its servers are connected, or then at the latest.
    private var awaited: (epoch: UInt64, until: NIODeadline)?

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
        self.deadlines = RunDeadlines(on: eventLoop)
        self.maximumItemSeconds = configuration.maximumItemAge.wholeSeconds
        self.touch = .seconds(min(configuration.idleLifetime.wholeSeconds, self.maximumItemSeconds))
        self.longestOperation = .nanoseconds(configuration.longestOperation.nanoseconds)
        self.codec = RecordCodec(
            secret: configuration.secret.map { Array($0.utf8) } ?? configuration.keyspace.bytes
        )
        self.seal = StateSeal(
            secret: configuration.secret.map { Array($0.utf8) } ?? configuration.keyspace.bytes
        )
        self.random = FastRandom(seed: system.next())
        self.writer = system.next()
        let assumed = configuration.assumedState
        self.view = PoolView(assumed: assumed, lease: configuration.stateLease.nanoseconds)
        self.epoch = assumed.epoch
        self.placement = PoolPlacement(assumed, numbers: [:])
        for server in configuration.servers { self.addServer(server) }
        self.makePlacement()
    }

    package func start() {
        self.eventLoop.assertInEventLoop()
        self.isStarted = true
        for server in self.servers {
            server.start()
        }
        let loop = self.eventLoop
        let interval = TimeAmount.nanoseconds(self.configuration.stateLease.nanoseconds / 3)
        self.looks = loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            for server in self.servers { server.look() }
            self.closeFormerServers()
            self.forgetMemory()
        }
        // Who has not answered by then is away.
        let time = self.configuration.memcached.connectTimeout
        self.trust = loop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: .nanoseconds(time.nanoseconds)) {
            self.trustAssumption()
        }
    }

    package func close() -> EventLoopFuture<Void> {
        self.eventLoop.assertInEventLoop()
        self.isStarted = false
        self.looks?.cancel()
        self.trust?.cancel()
        return EventLoopFuture.andAllComplete(self.servers.map { $0.close() }, on: self.eventLoop)
    }

    // MARK: The state of the pool

    /// What the pool works by.
    package var state: PoolState<RingDescription> { self.view.state }

    private func addServer(_ server: StoreConfiguration.Server) {
        let name = server.ringServer.address
        if let number = self.numbers[name], !self.servers[number].isClosed { return }
        // The configuration's check has refused prefixes and site names that make no key.
        guard let marker = MemcachedKey(self.configuration.markerKey) else { return }
        let added = ReplicaServer(
            server,
            marker: marker,
            seal: self.seal,
            configuration: self.configuration.memcached,
            eventLoop: self.eventLoop,
            logger: self.logger,
            transitions: self.counters.transitions,
            onLook: { self.looked($0, $1, asked: $2) },
            onLost: { self.lost($0) }
        )
        self.numbers[name] = self.servers.count
        self.servers.append(added)
        if self.isStarted { added.start() }
    }

    /// All servers of the state are known from now on.
    private func makePlacement() {
        let state = self.view.state
        self.epoch = state.epoch
        for server in state.guardian.servers + state.goal.servers {
            guard let address = MemcachedAddress(server) else { continue }
            self.addServer(StoreConfiguration.Server(address: address, ringServer: server))
        }
        self.placement = PoolPlacement(state, numbers: self.numbers)
    }

    private func looked(_ server: ReplicaServer, _ state: PoolState<RingDescription>?, asked: NIODeadline) {
        if let state, state.epoch > self.view.state.epoch, self.mustWait(for: state) { return }
        let isNews = self.view.saw(state, on: server.name, asked: asked.nanoseconds)
        if state != nil { self.hasSeenState = true }
        if isNews {
            self.adopted = .now()
            self.makePlacement()
            self.freshen(self.servers)
            self.logger.debug("the pool's state", metadata: ["epoch": "\(self.view.state.epoch)"])
        } else {
            self.freshen([server])
        }
        if self.awaited != nil, isNews {
            self.awaited = nil
        } else if self.awaited != nil, self.servers.allSatisfy({ $0.isClosed || $0.isAvailable }) {
            self.awaited = nil
            self.lookAgain()
        }
        let isWhole = self.servers.allSatisfy { $0.isAvailable }
        if !self.view.trustsAssumption, isWhole { self.trustAssumption() }
    }

    /// Connects to servers that a new state has before going by it: what this gateway works by now is still good for as
    /// long as its looks at the servers are, of which this one does not count.
    private func mustWait(for state: PoolState<RingDescription>) -> Bool {
        for server in state.guardian.servers + state.goal.servers {
            guard let address = MemcachedAddress(server) else { continue }
            self.addServer(StoreConfiguration.Server(address: address, ringServer: server))
        }
        let areThere = state.members.allSatisfy { name in
            self.numbers[name].map { self.servers[$0].isAvailable } ?? false
        }
        let now = NIODeadline.now()
        if areThere || self.view.state.epoch == 0 { return false }
        if let awaited = self.awaited, awaited.epoch == state.epoch { return now < awaited.until }
        let patience = TimeAmount.nanoseconds(self.configuration.stateLease.nanoseconds / 3)
        self.awaited = (state.epoch, now + patience)
        self.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: patience + .milliseconds(1)) {
            self.lookAgain()
        }
        return true
    }

    private func lookAgain() {
        for server in self.servers where !server.isClosed { server.look() }
    }

    private func lost(_ server: ReplicaServer) {
        self.view.lost(server.name)
        self.freshen([server])
    }

    private func trustAssumption() {
        self.trust?.cancel()
        self.view.trustsAssumption = true
        self.freshen(self.servers)
    }

    private func freshen(_ servers: [ReplicaServer]) {
        for server in servers { server.freshUntil = self.view.freshUntil(server.name) }
    }

    /// Ends the connections to servers that are in no ring any more.
    private func closeFormerServers() {
        guard self.view.state.isStable,
            NIODeadline.now() - self.adopted > .nanoseconds(self.configuration.stateBarrier.nanoseconds)
        else { return }
        let members = Set(self.view.state.members).union(self.configuration.servers.map(\.ringServer.address))
        for server in self.servers where !server.isClosed && !members.contains(server.name) {
            self.logger.debug("a server is not needed any more", metadata: ["server": "\(server.address)"])
            _ = server.close()
        }
    }

    /// All servers that this gateway remembers are gone, and those that it is configured with are there and know nothing:
    /// another pool has taken the place of the one that is remembered.
    private func forgetMemory() {
        guard !self.hasSeenState, self.view.state.goal != self.configuration.ringDescription,
            NIODeadline.now() - self.adopted > .nanoseconds(self.configuration.lossPatience.nanoseconds)
        else { return }
        let configured = self.configuration.servers.map(\.ringServer.address)
        let isUp = { (name: String) in self.numbers[name].map { self.servers[$0].isAvailable } ?? false }
        guard configured.allSatisfy(isUp), !self.view.state.members.contains(where: isUp) else { return }
        self.logger.error(
            "none of the servers that had the sessions is there any more: a new pool begins",
            metadata: ["servers": "\(self.view.state.members.joined(separator: ", "))"]
        )
        let assumed = PoolState(epoch: 0, stage: .stable(self.configuration.ringDescription))
        self.view = PoolView(assumed: assumed, lease: self.configuration.stateLease.nanoseconds)
        self.view.trustsAssumption = true
        self.adopted = .now()
        self.makePlacement()
        self.lookAgain()
    }

    /// What a server that is marked complete now is marked with.
    var markerText: MemcachedValue {
        var state = self.view.state
        // The first of a new pool.
        state.epoch = max(state.epoch, 1)
        return MemcachedValue(head: ByteBuffer(string: self.seal.sealed(state)))
    }

    /// r of the servers that are walked for.
    var walkedRedundancy: Int {
        if case .joined(_, let ring) = self.view.state.stage { return ring.redundancy }
        return self.view.state.guardian.redundancy
    }

    /// Whether enough servers answer for acknowledged reads and writes of any key, as far as one can tell at once.
    package var isReady: Bool {
        let members = self.view.state.guardian.members
        let available = members.count { name in self.numbers[name].map { self.servers[$0].isAvailable } ?? false }
        return (self.view.state.epoch > 0 || self.view.trustsAssumption)
            && available >= min(self.view.state.guardian.redundancy, members.count)
    }

    /// Whether so many servers may have lost their memory that all copies of a session may be among it.
    package var mayHaveForgotten: Bool {
        let members = self.view.state.guardian.members
        let complete = members.count { name in
            guard let number = self.numbers[name] else { return false }
            return self.servers[number].isAvailable && self.servers[number].incompleteConnection == nil
        }
        return members.count - complete >= self.view.state.guardian.redundancy
    }

    /// The identity of a new write: its version is greater than the base's and any this pool has issued.
    func newIdentity(after base: WriteIdentity?) -> WriteIdentity {
        self.lastVersion = max(StoreClock.microseconds, (base?.version ?? 0) &+ 1, self.lastVersion &+ 1)
        return WriteIdentity(version: self.lastVersion, writer: self.writer)
    }

    /// The servers of a key by position, and what they are to it.
    typealias Place = (set: ReplicaLayout, servers: [ReplicaServer])

    func place(of key: SessionKey) -> Place {
        if let place = self.recentPlaces.place(of: key) { return place }
        let (set, servers) = self.placement.replicas(of: key)
        let place = (set, servers.map { self.servers[$0] })
        self.recentPlaces.remember(place, of: key)
        return place
    }

    /// Runs one operation to its end, at most `timeout`. Call and result on the event loop.
    ///
    /// - Parameter place: the key's, where it has been looked up just now.
    func perform(
        _ goal: ReplicaOperation.Goal,
        key: SessionKey,
        at place: Place? = nil,
        timeout: Duration,
        completion: @escaping (ReplicaOutcome) -> Void
    ) {
        self.eventLoop.assertInEventLoop()
        guard let memcachedKey = MemcachedKey(key.bytes) else {
            completion(.unavailable(best: nil))
            return
        }
        let (set, servers) = place ?? self.place(of: key)
        let run = ReplicaRun(
            goal,
            on: set,
            pool: self,
            key: key,
            memcachedKey: memcachedKey,
            servers: servers,
            completion: completion
        )
        run.start(timeout: timeout)
    }

    /// For a request. Inline, as every asynchronous call costs a look at where its caller shall go on.
    @inline(__always)
    func perform(
        _ goal: ReplicaOperation.Goal,
        key: SessionKey,
        at place: Place? = nil,
        timeout: Duration
    ) async -> ReplicaOutcome {
        self.requestOperations &+= 1
        return await withUnsafeContinuation { continuation in
            self.perform(goal, key: key, at: place, timeout: timeout) { continuation.resume(returning: $0) }
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
                maximumItemAge: self.maximumItemSeconds,
                tombstonesUntil: self.configuration.tombstonesUntil
            )
        )
    }
}
