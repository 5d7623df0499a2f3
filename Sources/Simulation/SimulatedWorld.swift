import HistoryChecker
import NIOCore
import Sessions

/// Gateways, servers, the network between them and the visitors of a few sessions, in virtual time: one history, told by
/// a seed. The decisions of the gateways are the production state machines; the rest is made up here, and worse than any
/// network. A class, since everything in it meets everything else; it never leaves its thread.
final class SimulatedWorld {
    /// What the world knows of one session, beyond what its visitors were told.
    struct Session {
        let number: HistoryChecker.SessionNumber
        let set: ReplicaLayout
        /// By position; all that it has in any ring.
        let servers: [Int]
        /// In ring order, in the ring that there is at first, and in the one that takes its place.
        let formerServers: [Int]
        let nextServers: [Int]
        let key: SessionKey?
        /// A moment before which its expiry was slid for sure.
        var used: EventQueue.Time = 0
        /// How much earlier than by the time of the world it may run out, as servers' clocks have jumped.
        var aged: EventQueue.Time = 0
        /// The last moment at which any server may have slid it.
        var slid: EventQueue.Time = 0
        var losses = ItemLosses()
        /// Operations under way; those of a gateway that has crashed stay until somebody looks.
        var running: [RunningOperation] = []
        /// The same with a database, and what else there is then.
        var tierRuns: [TierRun] = []
        var acknowledged: [(number: HistoryChecker.WriteNumber, time: EventQueue.Time)] = []
        /// There are, or may be, states that not everything that was acknowledged descends from.
        var isForked = false
        /// The last save that ended without anybody knowing how.
        var unknown: (number: HistoryChecker.WriteNumber, time: EventQueue.Time)?
        /// Memcached could not be told that it is destroyed.
        var isBuriedInDatabaseAlone = false
        /// When all its memory was lost, and when its servers were seen filled again.
        var lost: EventQueue.Time = 0
        var recovered: EventQueue.Time?
    }

    struct Visitor {
        var session: Int?
        var request: Request?
    }

    let profile: SimulationProfile
    let weather: Weather
    let mistake: Mistake?
    /// Chance of the world, and of the attempts that the machines number: apart, so that one more of these changes
    /// nothing else.
    var chance: Chance
    var attemptChance: Chance

    var now: EventQueue.Time = 0
    var queue = EventQueue()
    var servers: [SimulatedServer]
    var gateways: [SimulatedGateway] = []
    var sessions: [Session] = []
    var visitors: [Visitor] = []
    var checker = HistoryChecker()
    /// By the number of the write.
    var identities: [WriteIdentity] = []
    /// Writes that go on under another identity.
    var aliases: [WriteIdentity: Int] = [:]
    var database = SimulatedDatabase()
    var isDatabaseDown = false
    /// When the database last missed something, or a gateway forgot what it was to be told.
    var lastTrouble: EventQueue.Time = 0
    /// With what these had not told the database yet.
    var gatewayCrashes: [EventQueue.Time] = []
    /// The pass of the gateway that leads.
    var reaper: ReapRun?
    var sessionNumbers: [SessionKey: Int] = [:]
    var cuts: [Cut] = []
    var lastConnection: UInt64 = 0
    /// No more faults, no more visits.
    var isPeace = false
    /// Until then nobody comes, and nothing fails.
    var restingUntil: EventQueue.Time = 0
    /// The first ring, and the one that takes its place where one does.
    let rings: (first: SimulatedRing, next: SimulatedRing?)
    /// What all gateways will be configured with in the end.
    var lastRing: SimulatedRing
    /// Whether the servers of the next ring were ever heard alone, or those of the first one will never be again.
    var isNextHeard = false
    var figures = Figures()
    let codec: RecordCodec?
    private(set) var trace: Trace?

    init(_ profile: SimulationProfile, seed: UInt64, mistake: Mistake?, isTraced: Bool) {
        var chance = Chance(seed: seed)
        self.profile = profile
        self.mistake = mistake
        self.weather = Weather(profile, &chance)
        self.attemptChance = Chance(seed: chance.next())
        let first = SimulatedRing(members: Array(0..<profile.servers), redundancy: profile.redundancy)
        let next = profile.nextServers.map {
            SimulatedRing(members: $0, redundancy: profile.redundancy, drained: profile.drainedServers)
        }
        self.rings = (first, next)
        self.lastRing = next ?? first
        let count = Set(first.members + (next?.members ?? [])).count
        self.servers = Array(repeating: SimulatedServer(), count: count)
        self.codec = profile.hasLostItems ? RecordCodec(secret: Array("simulation".utf8)) : nil
        self.trace = isTraced ? Trace() : nil
        self.chance = chance
        for _ in 0..<self.weather.gateways {
            let lead = self.chance.within(-self.weather.clockSpread...self.weather.clockSpread)
            self.gateways.append(
                SimulatedGateway(
                    servers: count,
                    clockLead: lead,
                    writer: self.chance.next(),
                    view: PoolView(
                        assumed: PoolState(epoch: next == nil ? 0 : 1, stage: .stable(first)),
                        lease: Int64(self.weather.lease)
                    ),
                    change: RingChange(barrier: self.barrier, patience: .max),
                    tier: self.weather.tier
                )
            )
        }
        self.visitors = Array(repeating: Visitor(), count: self.weather.visitors)
    }

    // MARK: Time

    func schedule(_ event: SimulationEvent, in delay: EventQueue.Time) {
        self.queue.schedule(event, at: self.now + delay)
    }

    /// - Returns: whether there was anything before that moment.
    @discardableResult
    func step(until limit: EventQueue.Time = .max) -> Bool {
        guard let time = self.queue.nextTime, time <= limit, let next = self.queue.next() else { return false }
        self.now = max(self.now, next.time)
        self.perform(next.event)
        return true
    }

    private func perform(_ event: SimulationEvent) {
        switch event {
        case .arrival(let message):
            self.arrive(message)
        case .answer(let message, let isSecond):
            guard !self.waits(for: message.gateway, event, behindAnswers: false) else { return }
            self.answered(message, isSecond: isSecond)
        case .timeout(let message):
            guard !message.isOver, !self.waits(for: message.gateway, event) else { return }
            self.timedOut(message)
        case .backOff(let operation):
            guard !operation.isOver, !self.waits(for: operation.gateway, event) else { return }
            self.advance(operation) { $0.backOffElapsed(&$1) }
        case .deadline(let operation):
            guard !operation.isOver, !self.waits(for: operation.gateway, event) else { return }
            self.execute(operation.machine.deadlinePassed(), operation)
        case .connect(let gateway, let server, let attempt):
            guard !self.waits(for: gateway, event) else { return }
            self.connect(gateway, server, attempt: attempt)
        case .reset(let gateway, let server, let connection):
            guard !self.waits(for: gateway, event) else { return }
            self.close(gateway, server, connection: connection)
        case .poll(let gateway, let server, let connection):
            guard !self.waits(for: gateway, event) else { return }
            self.poll(gateway, server, connection: connection)
        case .walk(let run):
            guard !self.waits(for: run.gateway, event) else { return }
            self.goOn(run)
        case .move(let run):
            guard !self.waits(for: run.gateway, event) else { return }
            self.goOn(run)
        case .check(let gateway, let life):
            guard !self.waits(for: gateway, event) else { return }
            self.checkMarkers(gateway, life)
        case .lookAfterPool(let gateway, let life):
            guard !self.waits(for: gateway, event) else { return }
            self.lookAfterPool(gateway, life)
        case .configure(let gateway, let ring):
            self.configure(gateway, ring)
        case .visit(let visitor):
            self.visit(visitor)
        case .act(let request):
            guard !self.waits(for: request.gateway, event) else { return }
            self.act(request)
        case .fault:
            self.faultIsDue()
        case .restart(let server):
            self.restart(server)
        case .thaw(let server, let freeze):
            self.thaw(server, freeze: freeze)
        case .gatewayStart(let gateway):
            self.startGateway(gateway)
        case .gatewayCrash(let gateway):
            if !self.isPeace { self.crashGateway(gateway) }
        case .heal(let cut):
            self.cuts.removeAll { $0.number == cut }
        case .databaseArrival(let call):
            self.arrive(call)
        case .databaseAnswer(let call):
            guard !self.waits(for: call.gateway, event, behindAnswers: false) else { return }
            self.answered(call)
        case .databaseTimeout(let call):
            guard !call.isOver, !self.waits(for: call.gateway, event) else { return }
            self.timedOut(call)
        case .databaseStart:
            self.startDatabase()
        case .beat(let gateway, let life):
            guard !self.waits(for: gateway, event) else { return }
            self.beat(gateway, life)
        case .reap(let gateway, let life):
            guard !self.waits(for: gateway, event) else { return }
            self.reapIsDue(gateway, life)
        }
    }

    /// A gateway that is stopped does nothing; when it goes on, it reads its sockets before it looks at its clock.
    private func waits(for gateway: Int, _ event: SimulationEvent, behindAnswers: Bool = true) -> Bool {
        let end = self.gateways[gateway].pausedUntil
        guard end > self.now else { return false }
        self.queue.schedule(event, at: end + (behindAnswers ? 1_000 : 0))
        return true
    }

    // MARK: Telling

    func note(_ session: Int, _ line: @autoclosure () -> String) {
        self.trace?.add(self.now, session, line())
    }

    func clock(_ gateway: Int) -> EventQueue.Time {
        self.now + self.gateways[gateway].clockLead + Self.longestLag
    }

    /// Where clocks begin, so that one that is a day behind is no trouble.
    static let longestLag = 2 * 86_400_000_000
}
