import Glibc
package import Logging
import Memcached
import NIOCore
import NIOPosix
package import Sessions
import Synchronization

/// Looks after the state of one site's pool: tells the other gateways what this one is configured with, and when all are
/// configured with another ring than the one in force, takes the pool there. Executes `RingChange`, which has the rules.
/// Runs on the pool's event loop.
package struct PoolKeeper: Sendable {
    private let pool: ReplicaPool
    private let logger: Logger
    private let sequence: Int

    /// Random per process.
    private static let identity = UInt64.random(in: 1 ... .max)
    private static let sequences = Atomic<Int>(0)
    private static let name: String = {
        var name = [CChar](repeating: 0, count: 256)
        gethostname(&name, name.count - 1)
        let host = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }.filter { $0 > 0x20 && $0 < 0x7f }
        return "\(host.isEmpty ? "gateway" : String(decoding: host, as: UTF8.self)):\(getpid())"
    }()

    private static let pause: Duration = .milliseconds(500)
    private static let registrationInterval: Duration = .seconds(3)
    private static let memoryInterval: Duration = .seconds(3_600)

    package init(pool: ReplicaPool, logger: Logger) {
        self.pool = pool
        self.logger = logger
        self.sequence = Self.sequences.wrappingAdd(1, ordering: .relaxed).newValue
    }

    /// What changes while it runs. On the loop.
    private final class Course {
        var change: RingChange<RingDescription>
        let registry: GatewayRegistry
        var registered: ContinuousClock.Instant?
        var remembered: (state: PoolState<RingDescription>, at: ContinuousClock.Instant)?
        var told: RingChange<RingDescription>.Situation?
        var toldEpoch: UInt64 = 0
        var toldDisagreement: [String] = []
        var activity = ""
        var lease: PoolLease?

        init(_ pool: ReplicaPool) {
            self.change = RingChange(
                barrier: pool.configuration.stateBarrier.nanoseconds,
                patience: pool.configuration.lossPatience.nanoseconds
            )
            self.registry = GatewayRegistry(pool: pool)
        }
    }

    /// Until the task is cancelled.
    package func run() async {
        let course = Course(self.pool)
        while !Task.isCancelled {
            await self.register(course)
            await self.remember(course)
            await self.look(course, wish: await self.wish(course))
            // Not all at once.
            try? await Task.sleep(for: Self.pause * Double.random(in: 0.7...1.3))
        }
    }

    /// Takes the pool to a ring that nobody is configured with, as a command does; returns when it is in force and nobody
    /// works by another any more.
    ///
    /// - Returns: false where that was not possible in time.
    package func bring(to ring: RingDescription, within time: Duration) async -> Bool {
        let course = Course(self.pool)
        let deadline = ContinuousClock.now + time
        while !Task.isCancelled, ContinuousClock.now < deadline {
            await self.pool.lookAtAll()
            await self.look(course, wish: ring)
            let state = self.pool.state
            let now = NIODeadline.now().nanoseconds
            if state.stage == .stable(ring), course.change.isInForce(state, at: now) { return true }
            try? await Task.sleep(for: .milliseconds(100))
        }
        return false
    }

    // MARK: What the others know

    private func register(_ course: Course, force: Bool = false) async {
        let now = ContinuousClock.now
        if !force, let last = course.registered, now - last < Self.registrationInterval { return }
        course.registered = now
        await course.registry.renew(
            GatewayRegistration(
                identity: Self.identity,
                sequence: self.sequence,
                name: Self.name,
                epoch: self.pool.state.epoch,
                configured: self.pool.configuration.ringDescription,
                activity: course.activity
            )
        )
    }

    private func remember(_ course: Course) async {
        let state = self.pool.state
        let now = ContinuousClock.now
        guard state.epoch > 0, let memory = self.pool.configuration.memory else { return }
        if let known = course.remembered, known.state == state, now - known.at < Self.memoryInterval { return }
        course.remembered = (state, now)
        let problem = try? await NIOThreadPool.singleton.runIfActive { memory.remember(state) }
        guard let problem else { return }
        self.logger.warning(
            "the pool's state cannot be remembered: after a restart the servers must be asked for it",
            metadata: ["path": "\(memory.path)", "error": "\(problem)"]
        )
    }

    /// The ring that all gateways are configured with; nil where they differ.
    private func wish(_ course: Course) async -> RingDescription? {
        let state = self.pool.state
        var drained: Set<String> = []
        if case .stable(let ring) = state.stage { drained = ring.drained }
        let own = self.pool.configuration.ringDescription.draining(drained)
        // Nothing to agree on.
        if state.stage == .stable(own) {
            course.toldDisagreement = []
            return own
        }
        guard state.guardian.canBeReplaced(by: own) else {
            if course.toldDisagreement.isEmpty {
                course.toldDisagreement = ["refused"]
                self.logger.error(
                    "the configured servers cannot take the others' place in one step: a session would have more than 16"
                )
            }
            return nil
        }
        let others = await course.registry.all().filter { $0.identity != Self.identity }
        let different = others.filter { !$0.configured.placesAlike(own) }.map(\.name)
        if different != course.toldDisagreement {
            course.toldDisagreement = different
            if !different.isEmpty {
                self.logger.warning(
                    "the servers are not changed before all gateways are configured with the same ones",
                    metadata: ["others": "\(different.joined(separator: ", "))"]
                )
            }
        }
        return different.isEmpty ? own : nil
    }

    // MARK: The change

    private func look(_ course: Course, wish: RingDescription?) async {
        let state = self.pool.state
        let now = NIODeadline.now().nanoseconds
        let step = course.change.look(self.pool.sights, state, wish: wish, at: now)
        self.tell(course, state)
        switch step {
        case .rest:
            break
        case .write(let next, let servers):
            for name in servers {
                if let number = self.pool.numbers[name] { await self.pool.replaceMarker(of: number, by: next) }
            }
        case .move(let move):
            await self.move(move, course, state)
        }
    }

    private func move(_ move: RingMove<RingDescription>, _ course: Course, _ state: PoolState<RingDescription>) async {
        let lease = course.lease ?? PoolLease(pool: self.pool, name: "\(Self.identity)")
        course.lease = lease
        guard await lease.take() else { return }
        self.logger.notice(
            "the sessions are moved to the new servers",
            metadata: ["epoch": "\(state.epoch)", "servers": "\(state.goal.members.joined(separator: ", "))"]
        )
        let mover = SessionMover(pool: self.pool, state: state, logger: self.logger)
        let isDone = await mover.run(move) {
            course.activity = "moved \(mover.moved) sessions"
            await self.register(course)
            return await lease.take()
        }
        course.activity = ""
        if mover.lost > 0 {
            self.logger.warning(
                "sessions were lost before they could be moved",
                metadata: ["sessions": "\(mover.lost)"]
            )
        }
        if isDone {
            self.logger.notice("all sessions are on the new servers", metadata: ["sessions": "\(mover.moved)"])
        } else {
            self.logger.warning("the move of the sessions was interrupted and begins again")
        }
        course.change.moved(state, isDone: isDone)
    }

    /// Each turn once.
    private func tell(_ course: Course, _ state: PoolState<RingDescription>) {
        let situation = course.change.situation
        guard course.told != situation || course.toldEpoch != state.epoch else { return }
        defer {
            course.told = situation
            course.toldEpoch = state.epoch
        }
        let isFirst = course.told == nil
        var metadata: Logger.Metadata = ["epoch": "\(state.epoch)", "stage": "\(state.stageName)"]
        switch situation {
        case .stable:
            if isFirst || course.toldEpoch == 0 { return }
            metadata["servers"] = "\(state.goal.members.joined(separator: ", "))"
            self.logger.notice("the servers are in force", metadata: metadata)
        case .settling, .moving:
            if state.isStable { return }
            if course.toldEpoch != state.epoch {
                metadata["servers"] = "\(state.goal.members.joined(separator: ", "))"
                self.logger.notice("the servers are being changed", metadata: metadata)
            }
        case .spreading(let missing):
            guard !state.isStable else { return }
            metadata["missing"] = "\(missing.joined(separator: ", "))"
            self.logger.info("the servers are being changed: some have not been told", metadata: metadata)
        case .obstructed(.missing(let servers)):
            metadata["missing"] = "\(servers.joined(separator: ", "))"
            self.logger.warning(
                "the servers cannot be changed: these may have sessions that no other has, and do not answer",
                metadata: metadata
            )
        case .obstructed(.unreachable(let servers)):
            metadata["missing"] = "\(servers.joined(separator: ", "))"
            self.logger.warning(
                "the servers cannot be changed: these are to be added, and do not answer",
                metadata: metadata
            )
        case .givingUp(let servers):
            metadata["missing"] = "\(servers.joined(separator: ", "))"
            self.logger.error(
                "as many servers as copies are down and not configured any more: sessions that only they had are lost",
                metadata: metadata
            )
        case .undecided:
            self.logger.warning(
                "two changes of the servers have met: all servers must be up to decide",
                metadata: metadata
            )
        }
    }
}

extension PoolState {
    package var stageName: String {
        switch self.stage {
        case .stable: "stable"
        case .joining: "joining"
        case .joined: "joined"
        }
    }
}

/// So that one gateway at a time moves sessions: saves work, and nothing else. On the pool's event loop.
final class PoolLease {
    private let pool: ReplicaPool
    private let name: String
    private static let duration = MemcachedExpiry.seconds(10)

    init(pool: ReplicaPool, name: String) {
        self.pool = pool
        self.name = name
    }

    /// Takes it, or takes it for longer.
    func take() async -> Bool {
        guard let key = MemcachedKey(self.pool.configuration.moveLeaseKey), let index = self.pool.reachableServers.first
        else { return false }
        let value = MemcachedValue(head: ByteBuffer(string: self.name))
        switch await self.pool.send(.get(key, touch: nil), to: index) {
        case .miss:
            guard case .stored = await self.pool.send(.add(key, value, Self.duration), to: index) else { return false }
            return true
        case .hit(let holder, let token, _) where String(buffer: holder) == self.name:
            let renewal = MemcachedCommand.compareAndSet(key, value, token: token, Self.duration)
            guard case .stored = await self.pool.send(renewal, to: index) else { return false }
            return true
        default:
            return false
        }
    }
}
