import Testing

@testable import Sessions

struct ShortRing: PoolRing {
    var members: [String]
    var redundancy = 2
    var version = 1

    func placesAlike(_ other: ShortRing) -> Bool { self.members == other.members }
}

private typealias State = PoolState<ShortRing>

/// From state to state; servers A, B and C, and D that comes.
struct RingChangeTests {
    private static let old = ShortRing(members: ["A", "B", "C"])
    private static let new = ShortRing(members: ["A", "B", "D"])
    private static let barrier: Int64 = 100

    private var change = RingChange<ShortRing>(barrier: Self.barrier, patience: 1_000)

    private static func complete(_ state: State?, _ connection: UInt64 = 1) -> RingChange<ShortRing>.Sight {
        .init(condition: .complete(ConnectionIdentity(number: connection)), state: state)
    }

    private static func all(_ state: State, _ servers: [String] = ["A", "B", "C"]) -> [String: RingChange<ShortRing>
        .Sight]
    {
        var sights: [String: RingChange<ShortRing>.Sight] = [:]
        for server in servers { sights[server] = Self.complete(state) }
        if sights["D"] == nil { sights["D"] = .init(condition: .incomplete(ConnectionIdentity(number: 9)), state: nil) }
        return sights
    }

    private static func written(_ step: RingChange<ShortRing>.Step) -> (state: State, servers: Set<String>)? {
        guard case .write(let state, let servers) = step else { return nil }
        return (state, Set(servers))
    }

    /// Looks when nobody can work by the state before any more.
    private mutating func lookLate(
        _ sights: [String: RingChange<ShortRing>.Sight],
        _ state: State,
        wish: ShortRing?
    ) -> RingChange<ShortRing>.Step {
        _ = self.change.look(sights, state, wish: wish, at: 0)
        return self.change.look(sights, state, wish: wish, at: Self.barrier + 1)
    }

    @Test mutating func itGoesThroughAllStages() throws {
        let stable = State(epoch: 4, stage: .stable(Self.old))
        let joining = State(epoch: 5, stage: .joining(from: Self.old, to: Self.new))
        let joined = State(epoch: 6, stage: .joined(from: Self.old, to: Self.new))
        let first = try #require(Self.written(self.lookLate(Self.all(stable), stable, wish: Self.new)))
        #expect(first.state == joining)
        #expect(first.servers == ["A", "B", "C"])

        guard case .move(var move) = self.lookLate(Self.all(joining), joining, wish: Self.new) else {
            Issue.record("no move")
            return
        }
        let one = ConnectionIdentity(number: 1)
        for source in ["A", "B", "C"] {
            #expect(move.next == .list(source: source))
            #expect(move.listed(isDone: true) == .confirm(source, on: one))
            _ = move.confirmed(isThere: true)
        }
        #expect(move.next == .mark("D", on: ConnectionIdentity(number: 9)))
        #expect(move.confirmed(isThere: true) == .finish(isDone: true))
        self.change.moved(joining, isDone: true)

        let everywhere = Self.all(joining, ["A", "B", "C", "D"])
        let second = try #require(
            Self.written(self.change.look(everywhere, joining, wish: Self.new, at: Self.barrier + 2))
        )
        #expect(second.state == joined)
        #expect(second.servers == ["A", "B", "C", "D"])
        let third = try #require(
            Self.written(self.lookLate(Self.all(joined, ["A", "B", "C", "D"]), joined, wish: Self.new))
        )
        #expect(third.state == State(epoch: 7, stage: .stable(Self.new)))
        #expect(third.servers == ["A", "B", "D"])
    }

    @Test mutating func nothingHappensBeforeTheBarrier() {
        let state = State(epoch: 5, stage: .joined(from: Self.old, to: Self.new))
        let sights = Self.all(state, ["A", "B", "C", "D"])
        for now in [0, 50, Self.barrier] {
            guard case .rest = self.change.look(sights, state, wish: Self.new, at: now) else {
                Issue.record("it went on at \(now)")
                return
            }
        }
        #expect(self.change.situation == .settling)
    }

    /// Everywhere, and in force only when nobody can work by the state before any more.
    @Test mutating func aRingIsInForceBehindTheBarrier() {
        let state = State(epoch: 4, stage: .stable(Self.old))
        let sights = Self.all(state)
        for now in [0, 50, Self.barrier] {
            _ = self.change.look(sights, state, wish: Self.old, at: now)
            #expect(!self.change.isInForce(state, at: now))
        }
        _ = self.change.look(sights, state, wish: Self.old, at: Self.barrier + 1)
        #expect(self.change.isInForce(state, at: Self.barrier + 1))
        #expect(!self.change.isInForce(State(epoch: 3, stage: .stable(Self.old)), at: Self.barrier + 1))
        var restarted = sights
        restarted["B"] = Self.complete(state, 2)
        restarted["C"] = Self.complete(state, 2)
        _ = self.change.look(restarted, state, wish: Self.old, at: Self.barrier + 2)
        #expect(!self.change.isInForce(state, at: Self.barrier + 2))
    }

    /// With two servers that know a state, one that restarts was the one that mattered.
    @Test mutating func theTimeBeginsAnewWhenAServerRestarts() {
        let state = State(epoch: 5, stage: .joined(from: Self.old, to: Self.new))
        var sights = Self.all(state, ["A", "B", "D"])
        sights["C"] = .init(condition: .down, state: nil)
        _ = self.change.look(sights, state, wish: Self.new, at: 0)
        sights["A"] = Self.complete(state, 2)
        guard case .rest = self.change.look(sights, state, wish: Self.new, at: Self.barrier + 1) else {
            Issue.record("it went on")
            return
        }
        #expect(Self.written(self.change.look(sights, state, wish: Self.new, at: 2 * Self.barrier + 2)) != nil)
    }

    @Test mutating func aMoveCountsOnlyWhileTheServersLive() {
        let state = State(epoch: 5, stage: .joining(from: Self.old, to: Self.new))
        var sights = Self.all(state, ["A", "B", "D"])
        sights["C"] = .init(condition: .down, state: nil)
        _ = self.lookLate(sights, state, wish: Self.new)
        self.change.moved(state, isDone: true)
        sights["B"] = Self.complete(state, 2)
        guard case .rest = self.change.look(sights, state, wish: Self.new, at: Self.barrier + 2) else {
            Issue.record("it went on")
            return
        }
    }

    @Test mutating func whoIsBehindIsTold() throws {
        let stable = State(epoch: 4, stage: .stable(Self.old))
        let joining = State(epoch: 5, stage: .joining(from: Self.old, to: Self.new))
        var sights = Self.all(stable)
        sights["A"] = Self.complete(joining)
        let step = try #require(Self.written(self.change.look(sights, joining, wish: Self.new, at: 0)))
        #expect(step.state == joining)
        #expect(step.servers == ["B", "C"])
        #expect(self.change.situation == .spreading(missing: ["B", "C"]))
    }

    @Test mutating func aServerThatIsToBeAddedMustBeThere() {
        let stable = State(epoch: 4, stage: .stable(Self.old))
        var sights = Self.all(stable)
        sights["D"] = .init(condition: .down, state: nil)
        guard case .rest = self.lookLate(sights, stable, wish: Self.new) else {
            Issue.record("it began")
            return
        }
        #expect(self.change.situation == .obstructed(.unreachable(["D"])))
    }

    @Test mutating func asManyMissingServersAsCopiesStopIt() {
        let ring = ShortRing(members: ["A", "B", "C", "E", "F"])
        let state = State(epoch: 4, stage: .joining(from: ring, to: Self.new))
        var sights = Self.all(state, ["A", "B", "C"])
        sights["E"] = .init(condition: .down, state: nil)
        #expect(RingMove.obstacle(to: state, conditions: sights.mapValues(\.condition)) == .missing(["E", "F"]))
        sights["F"] = Self.complete(state)
        #expect(RingMove.obstacle(to: state, conditions: sights.mapValues(\.condition)) == nil)
    }

    @Test mutating func whatIsNotWantedAnyMoreIsTakenBack() throws {
        let state = State(epoch: 5, stage: .joining(from: Self.old, to: Self.new))
        let back = try #require(Self.written(self.lookLate(Self.all(state), state, wish: Self.old)))
        #expect(back.state == State(epoch: 6, stage: .stable(Self.old)))
        // Not when sessions may be on the new servers alone soon.
        self.change = RingChange(barrier: Self.barrier, patience: 1_000)
        let joined = State(epoch: 6, stage: .joined(from: Self.old, to: Self.new))
        let on = try #require(Self.written(self.lookLate(Self.all(joined), joined, wish: Self.old)))
        #expect(on.state == State(epoch: 7, stage: .stable(Self.new)))
    }

    /// Nobody goes on from either.
    @Test mutating func twoChangesThatMeetAreTakenBackWhenAllServersTell() throws {
        let one = State(epoch: 5, stage: .joining(from: Self.old, to: Self.new))
        let other = State(epoch: 5, stage: .joining(from: Self.old, to: ShortRing(members: ["A", "B", "E"])))
        var sights = Self.all(one)
        sights["B"] = Self.complete(other)
        sights["C"] = .init(condition: .down, state: nil)
        guard case .rest = self.lookLate(sights, one, wish: Self.new) else {
            Issue.record("it went on")
            return
        }
        #expect(self.change.situation == .undecided)
        sights["C"] = Self.complete(State(epoch: 5, stage: .stable(ShortRing(members: ["A", "B", "C"], version: 2))))
        let back = try #require(Self.written(self.lookLate(sights, one, wish: Self.new)))
        #expect(back.state == State(epoch: 6, stage: .stable(Self.old)))
    }

    /// Two of five with two copies: nobody can promise anything of the sessions that were on both.
    @Test mutating func whatWasTakenOutAndIsDownIsGivenUpAfterAWhile() throws {
        let five = ShortRing(members: ["A", "B", "C", "E", "F"])
        let three = ShortRing(members: ["A", "B", "C"])
        let stable = State(epoch: 4, stage: .stable(five))
        var sights = Self.all(stable)
        for server in ["E", "F"] { sights[server] = .init(condition: .down, state: nil) }
        #expect(Self.written(self.change.look(sights, stable, wish: three, at: 0)) == nil)
        #expect(Self.written(self.change.look(sights, stable, wish: three, at: 1_000)) == nil)
        let step = try #require(Self.written(self.change.look(sights, stable, wish: three, at: 1_001)))
        #expect(step.state == State(epoch: 5, stage: .stable(three)))
        #expect(step.servers == ["A", "B", "C"])
        #expect(self.change.situation == .givingUp(["E", "F"]))
        // One that is still wanted is waited for.
        let four = ShortRing(members: ["A", "B", "C", "E"])
        self.change = RingChange(barrier: Self.barrier, patience: 1_000)
        for now in [0, 1_001, 5_000] as [Int64] {
            #expect(Self.written(self.change.look(sights, stable, wish: four, at: now)) == nil)
        }
    }

    @Test mutating func drainingIsOneStep() throws {
        let stable = State(epoch: 4, stage: .stable(Self.old))
        let wish = ShortRing(members: Self.old.members, version: 2)
        let step = try #require(Self.written(self.lookLate(Self.all(stable), stable, wish: wish)))
        #expect(step.state == State(epoch: 5, stage: .stable(wish)))
    }
}

struct PoolViewTests {
    private static let old = PoolState(epoch: 4, stage: .stable(ShortRing(members: ["A", "B", "C"])))
    private static let next = PoolState(
        epoch: 5,
        stage: .joining(from: ShortRing(members: ["A", "B", "C"]), to: ShortRing(members: ["A", "B", "D"]))
    )
    private var view = PoolView(assumed: Self.old, lease: 100)

    @Test mutating func aServersAnswersCountForATimeFromWhenItWasAsked() {
        #expect(!self.view.isFresh("A", at: 0))
        #expect(self.view.saw(Self.old, on: "A", asked: 10) == false)
        #expect(self.view.isFresh("A", at: 109))
        #expect(!self.view.isFresh("A", at: 110))
        self.view.lost("A")
        #expect(!self.view.isFresh("A", at: 11))
    }

    @Test mutating func theLatestStateIsWorkedBy() {
        #expect(self.view.saw(Self.old, on: "A", asked: 10) == false)
        #expect(self.view.saw(Self.next, on: "B", asked: 10) == true)
        #expect(self.view.state == Self.next)
        // One that has not been told yet is no trouble.
        #expect(self.view.isFresh("A", at: 50) && self.view.isFresh("B", at: 50))
        #expect(self.view.saw(Self.old, on: "C", asked: 10) == false)
        #expect(self.view.isFresh("C", at: 50) && self.view.state == Self.next)
    }

    @Test mutating func aServerThatWasToldSomethingElseDoesNotCount() {
        _ = self.view.saw(Self.next, on: "A", asked: 10)
        let rival = PoolState(epoch: 5, stage: .stable(ShortRing(members: ["A", "B", "C"], version: 2)))
        #expect(self.view.saw(rival, on: "B", asked: 10) == false)
        #expect(!self.view.isFresh("B", at: 11))
    }

    @Test mutating func whatIsOnlyAssumedIsNotWorkedByBeforeAllWereTried() {
        self.view = PoolView(assumed: PoolState(epoch: 0, stage: Self.old.stage), lease: 100)
        _ = self.view.saw(nil, on: "A", asked: 10)
        #expect(!self.view.isFresh("A", at: 11))
        self.view.trustsAssumption = true
        #expect(self.view.isFresh("A", at: 11))
    }
}
