import HistoryChecker

@testable import Sessions

/// Plays a small case in every order in which its commands can arrive, with a bounded number of faults anywhere.
///
/// Two events that touch neither the same server nor the order in which operations end lead to the same world in
/// either order; only one of the two orders is played (sleep sets, Godefroid 1996). Each end is then examined: with every
/// set of servers away that the redundancy allows.
struct ReplicaExplorer {
    /// Faults that one play may have: each a command that is lost, unanswered, or late.
    var faults: Int
    /// Plays in which an operation needs more tries than this are given up: duels have no longest play. What was said
    /// until then is checked all the same.
    var maximumTries: Int

    private(set) var ends = 0
    private(set) var events = 0
    /// Plays given up.
    private(set) var cut = 0
    private(set) var violations: [(play: [ReplicaWorld.Event], violation: Violation)] = []

    init(faults: Int, maximumTries: Int) {
        self.faults = faults
        self.maximumTries = maximumTries
    }

    private struct Sleeper {
        var event: ReplicaWorld.Event
        /// Whether an operation ended with it.
        var isEnd: Bool
    }

    mutating func explore(_ world: ReplicaWorld) {
        self.explore(world, faultsLeft: self.faults, asleep: [], play: [])
    }

    private mutating func explore(
        _ world: ReplicaWorld,
        faultsLeft: Int,
        asleep: [Sleeper],
        play: [ReplicaWorld.Event]
    ) {
        let candidates = self.candidates(in: world, faultsLeft: faultsLeft)
        if candidates.isEmpty {
            self.examine(world, play)
            return
        }
        var asleep = asleep
        for event in candidates where !asleep.contains(where: { $0.event == event }) {
            var next = world
            next.perform(event)
            self.events += 1
            let isEnd = next.active.count < world.active.count
            if next.active.contains(where: { next.running[$0].operation.tries > self.maximumTries }) {
                self.cut += 1
                self.violations += next.checker.violations.map { (play + [event], $0) }
            } else {
                self.explore(
                    next,
                    faultsLeft: faultsLeft - (event.isFault ? 1 : 0),
                    asleep: asleep.filter { Self.areIndependent($0.event, event) && !($0.isEnd && isEnd) },
                    play: play + [event]
                )
            }
            asleep.append(Sleeper(event: event, isEnd: isEnd))
        }
    }

    private func candidates(in world: ReplicaWorld, faultsLeft: Int) -> [ReplicaWorld.Event] {
        let deliveries = faultsLeft > 0 ? ReplicaWorld.Delivery.faults : [.answered]
        return world.messages.flatMap { message in deliveries.map { .message(message.key, $0) } }
            + world.strays.filter { if case .write = $0.command { true } else { false } }.map { .stray($0.key) }
            + world.active.filter { world.running[$0].isBackingOff }.map { .backOffElapsed($0) }
    }

    private static func areIndependent(_ left: ReplicaWorld.Event, _ right: ReplicaWorld.Event) -> Bool {
        if left.isFault && right.isFault { return false }
        switch (left.server, right.server) {
        case (let left?, let right?): return left != right
        // A back-off that ends sends reads.
        case (nil, _), (_, nil): return left.operation != right.operation
        }
    }

    /// All that could be said is said: what do loads find now, whichever servers are away?
    private mutating func examine(_ world: ReplicaWorld, _ play: [ReplicaWorld.Event]) {
        self.ends += 1
        for away in Self.subsets(
            of: world.set.all,
            atMost: min(world.set.redundancy - 1, world.set.count - world.set.redundancy)
        ) {
            var world = world
            var troubles: [String] = []
            let load = world.start(.load, by: 2, heldDown: away)
            world.runToEnd(load)
            switch world.outcome(of: load) {
            case .chosen(let loaded)?:
                let proposal = world.proposal(from: loaded.record)
                if world.run(.save(base: loaded, proposal: proposal), by: 2, heldDown: away)
                    != .chosen(proposal.identity)
                {
                    troubles.append("the last save failed without \(Array(away))")
                }
                if world.run(.load, by: 3) != .chosen(proposal.identity) {
                    troubles.append("the last load failed after one without \(Array(away))")
                }
            case .none?:
                if world.run(.load, by: 3) != Ending.none { troubles.append("it is back") }
            default:
                troubles.append("it cannot be loaded without \(Array(away))")
            }
            for trouble in troubles { world.fail(trouble) }
            self.violations += world.checker.violations.map { (play, $0) }
        }
    }

    private static func subsets(of positions: Positions, atMost count: Int) -> [Positions] {
        (0...positions.rawValue).map { Positions(rawValue: $0) }
            .filter { $0.count <= count && $0.subtracting(positions).isEmpty }
    }
}

extension ReplicaWorld.Event {
    fileprivate var isFault: Bool {
        if case .message(_, let delivery) = self { delivery != .answered } else { false }
    }

    fileprivate var server: Int? {
        switch self {
        case .message(let key, _), .stray(let key): key.server
        case .crash(let server), .corrupt(let server), .walk(let server): server
        case .backOffElapsed, .deadline, .abandon: nil
        }
    }

    fileprivate var operation: Int? {
        switch self {
        case .message(let key, _), .stray(let key): key.operation
        case .backOffElapsed(let index), .deadline(let index), .abandon(let index): index
        case .crash, .corrupt, .walk: nil
        }
    }
}
