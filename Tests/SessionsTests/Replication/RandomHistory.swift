@testable import Sessions

/// One session, some clients, and every kind of trouble, all told by a seed. Then peace: the session must go on, and
/// everything that was promised must have been kept.
struct RandomHistory {
    struct Profile: Sendable, CustomStringConvertible {
        var redundancy: Int
        var servers: Int
        var isDegradedServed = false
        var mistakes: Set<Mistake> = []
        var description: String {
            "r = \(self.redundancy), n = \(self.servers)\(self.isDegradedServed ? ", degraded" : "")"
        }
    }

    struct Figures: Sendable {
        var histories = 0
        var operations = 0
        var commands = 0
        var acknowledged = 0
        var discarded = 0
        var unknown = 0
        var loads = 0
        var crashes = 0
        var violations: [(seed: UInt64, violation: SessionHistory.Violation)] = []
    }

    private struct Client {
        var operation: Int?
        var loaded: LoadedRecord?
        var isDegraded = false
    }

    private let profile: Profile
    private var world: ReplicaWorld
    private var chance: SplitMix
    private var clients: [Client]
    private var crashes = 0
    private let lossPercent: Int
    private let lockoutPercent: Int
    private let crashPercent: Int
    /// Servers that a gateway cannot reach, by gateway.
    private var cutOff: [Positions]

    init(_ profile: Profile, seed: UInt64) {
        self.profile = profile
        self.chance = SplitMix(seed: seed)
        let clients = 3
        self.world = ReplicaWorld(
            ReplicaLayout(redundancy: profile.redundancy, servers: profile.servers, placement: 5),
            gateways: clients + 2,
            seed: seed,
            mistakes: profile.mistakes
        )
        self.clients = Array(repeating: Client(), count: clients)
        self.cutOff = Array(repeating: [], count: clients + 2)
        self.lossPercent = [0, 5, 15, 30][self.chance.below(4)]
        self.lockoutPercent = [0, 10, 30][self.chance.below(3)]
        self.crashPercent = [0, 1, 3][self.chance.below(3)]
    }

    /// Runs `count` histories.
    static func run(_ profile: Profile, count: Int, firstSeed: UInt64 = 1, steps: Int = 110) -> Figures {
        var figures = Figures()
        for seed in firstSeed..<(firstSeed + UInt64(count)) {
            var history = RandomHistory(profile, seed: seed)
            let violations = history.play(steps: steps)
            figures.histories += 1
            figures.operations += history.world.running.count
            figures.commands += history.world.running.reduce(0) { $0 + $1.commandsSent }
            figures.loads += history.world.history.reads.count
            figures.crashes += history.crashes
            for write in history.world.history.writes {
                switch write.verdict {
                case .acknowledged: figures.acknowledged += 1
                case .discarded: figures.discarded += 1
                case .unknown: figures.unknown += 1
                }
            }
            figures.violations += violations.map { (seed, $0) }
        }
        return figures
    }

    mutating func play(steps: Int) -> [SessionHistory.Violation] {
        guard self.begin() else { return [] }
        for _ in 0..<steps {
            self.step()
        }
        self.calm()
        return self.epilogue()
    }

    private mutating func begin() -> Bool {
        if self.chance.isLucky(percent: 75) {
            _ = self.world.seedSession()
            return true
        }
        // A session of which nobody knows before it is acknowledged.
        let proposal = self.world.proposal()
        let create = self.world.start(.create(proposal: proposal), by: 0)
        var left = 200
        while !self.world.isQuiet, left > 0 {
            left -= 1
            self.happen()
        }
        self.clients[0].loaded = self.world.outcome(of: create)?.loaded
        if case .chosen? = self.world.outcome(of: create) { return true }
        return false
    }

    private mutating func step() {
        let idle = self.clients.indices.filter { self.clients[$0].operation == nil }
        if let client = idle.randomElement(using: &self.chance), self.chance.isLucky(percent: 35) {
            self.act(client)
        } else {
            self.happen()
        }
        for index in self.clients.indices {
            self.notice(index)
        }
    }

    /// Something that no client does.
    private mutating func happen() {
        let set = self.world.set
        if self.chance.isLucky(percent: self.crashPercent) {
            let position = self.chance.below(set.count)
            if self.amnesiacs(with: position) < set.redundancy {
                let isCrash = self.chance.isLucky(percent: 75)
                self.world.perform(isCrash ? .crash(position) : .corrupt(position))
                self.crashes += 1
                return
            }
        }
        if self.chance.isLucky(percent: 3) {
            let gateway = self.chance.below(self.cutOff.count)
            var away: Positions = []
            if self.chance.isLucky(percent: self.lockoutPercent) {
                away.insert(self.chance.below(set.count))
                if self.chance.isLucky(percent: 40) { away.insert(self.chance.below(set.count)) }
            }
            self.cutOff[gateway] = away
        }
        if self.chance.isLucky(percent: 1), let index = self.world.active.randomElement(using: &self.chance) {
            self.world.perform(self.chance.isLucky(percent: 70) ? .abandon(index) : .deadline(index))
            return
        }
        if self.chance.isLucky(percent: 10), let position = self.walkable() {
            self.world.perform(.walk(position))
            return
        }
        if self.chance.isLucky(percent: 12), let stray = self.world.strays.randomElement(using: &self.chance) {
            self.world.perform(.stray(stray.key))
            return
        }
        let backingOff = self.world.active.filter { self.world.running[$0].isBackingOff }
        if !backingOff.isEmpty, self.world.messages.isEmpty || self.chance.isLucky(percent: 25) {
            self.world.perform(.backOffElapsed(backingOff[self.chance.below(backingOff.count)]))
            return
        }
        guard let message = self.world.messages.randomElement(using: &self.chance) else { return }
        self.world.perform(.message(message.key, self.fate(of: message)))
    }

    private mutating func fate(of message: ReplicaWorld.Message) -> ReplicaWorld.Delivery {
        let gateway = self.world.running[message.key.operation].gateway
        if self.cutOff[gateway].contains(message.key.server) {
            return self.chance.isLucky(percent: 70) ? .lost : self.chance.isLucky(percent: 50) ? .answerLost : .late
        }
        guard self.chance.isLucky(percent: self.lossPercent) else { return .answered }
        return [.lost, .answerLost, .late][self.chance.below(3)]
    }

    /// How many servers would have lost what they knew of the session, with this one.
    private func amnesiacs(with position: Int) -> Int {
        self.world.servers.indices.count { index in
            let server = self.world.servers[index]
            let isUnreadable = server.item.map { $0.copy == nil } ?? false
            // With a mistake in the walk, "complete" says nothing.
            return index == position || !server.isComplete || isUnreadable
        }
    }

    private func walkable() -> Int? {
        self.world.servers.indices.first { position in
            !self.world.servers[position].isComplete
                && !self.world.active.contains {
                    if case .walk(position, _) = self.world.running[$0].role { true } else { false }
                }
        }
    }

    private mutating func act(_ client: Int) {
        var heldDown: Positions = []
        if self.chance.isLucky(percent: self.lockoutPercent) {
            heldDown.insert(self.chance.below(self.world.set.count))
        }
        let goal: ReplicaOperation.Goal
        switch (self.chance.below(100), self.clients[client].loaded) {
        case (0..<50, let loaded?):
            let proposal = self.world.proposal(from: loaded.record)
            goal =
                self.clients[client].isDegraded
                ? .saveDegraded(base: loaded.record, proposal: proposal) : .save(base: loaded, proposal: proposal)
        case (96..., _):
            goal = .destroy(identity: self.world.proposal().identity)
        case (88..., _):
            goal = .keep
        default:
            goal = .load
        }
        self.clients[client].operation = self.world.start(goal, by: client, heldDown: heldDown)
    }

    private mutating func notice(_ client: Int) {
        guard let index = self.clients[client].operation, self.world.isOver(index) else { return }
        self.clients[client].operation = nil
        guard let outcome = self.world.outcome(of: index) else { return }
        switch outcome {
        case .chosen(let loaded):
            // Sometimes it goes on with what it had: a slow request.
            if case .repair = self.world.running[index].role { return }
            if self.clients[client].loaded != nil, self.chance.isLucky(percent: 25) { return }
            self.clients[client].loaded = loaded
            self.clients[client].isDegraded = false
        case .unavailable(let best?), .degraded(let best):
            guard self.profile.isDegradedServed, !best.record.isTombstone else { return }
            if case .save(let base, let proposal) = self.world.running[index].operation.goal {
                // As the store does: the save that found too few servers is made where there are some.
                self.clients[client].operation = self.world.start(
                    .saveDegraded(base: base.record, proposal: proposal),
                    by: client
                )
                return
            }
            self.clients[client].loaded = best
            self.clients[client].isDegraded = true
        case .none, .destroyed, .discarded, .unknown, .unavailable, .beyondRepair:
            break
        }
    }

    // MARK: Peace

    private mutating func calm() {
        self.finishWhatRuns()
        // What was late arrives now, after everything else.
        while let stray = self.world.strays.first {
            self.world.perform(.stray(stray.key))
        }
        for position in self.world.servers.indices where !self.world.servers[position].isComplete {
            self.world.perform(.walk(position))
            self.finishWhatRuns()
        }
    }

    private mutating func finishWhatRuns() {
        var left = 2_000
        while !self.world.isQuiet, left > 0 {
            left -= 1
            if let message = self.world.messages.randomElement(using: &self.chance) {
                self.world.perform(.message(message.key, .answered))
            } else if let index = self.world.active.first(where: { self.world.running[$0].isBackingOff }) {
                self.world.perform(.backOffElapsed(index))
            }
        }
    }

    private mutating func epilogue() -> [SessionHistory.Violation] {
        var troubles: [String] = []
        if !self.world.isQuiet { troubles.append("an operation does not end") }
        if !self.world.servers.allSatisfy(\.isComplete) { troubles.append("a walk does not end") }
        let mayBeGone = !self.world.history.destructions.isEmpty
        for gateway in self.clients.indices {
            let load = self.world.start(.load, by: gateway)
            self.world.runToEnd(load)
            switch self.world.outcome(of: load) {
            case .none?:
                if !mayBeGone { troubles.append("the session is gone") }
            case .chosen(let loaded)?:
                let proposal = self.world.proposal(from: loaded.record)
                if self.world.run(.save(base: loaded, proposal: proposal), by: gateway) != .chosen(proposal.identity) {
                    troubles.append("the last save failed")
                }
                if self.world.run(.load, by: gateway + 1) != .chosen(proposal.identity) {
                    troubles.append("the last load failed")
                }
            default:
                troubles.append("the session cannot be loaded")
            }
        }
        return self.world.history.violations(last: self.world.highestRecord)
            + troubles.map { SessionHistory.Violation(promise: .itGoesOnWhenFaultsStop, story: $0) }
    }
}
