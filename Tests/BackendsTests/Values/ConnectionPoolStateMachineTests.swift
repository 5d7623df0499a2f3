import NIOCore
import Testing

@testable import Backends

struct ConnectionPoolStateMachineTests {
    final class Connection {}
    final class Waiter {}
    typealias Machine = ConnectionPoolStateMachine<Connection, Waiter>

    private let here = Connection()
    private let there = Connection()
    private var loop: ObjectIdentifier { ObjectIdentifier(self.here) }
    private var otherLoop: ObjectIdentifier { ObjectIdentifier(self.there) }
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func machine(upstreams: Int = 1, connections: Int = 1, queue: Int = 10) -> Machine {
        Machine(
            upstreamCount: upstreams,
            maximumConnections: connections,
            line: WaitingLine(maximumCount: queue, patience: .seconds(10))
        )
    }

    /// What an action means, in words.
    private func text(_ action: Machine.LeaseAction) -> String {
        switch action {
        case .proceed(.use): "use"
        case .proceed(.connect(let upstream)): "connect \(upstream)"
        case .wait(armTimer: .some, turn: _): "wait and arm"
        case .wait(armTimer: .none, turn: _): "wait"
        case .refuse(let refusal): "\(refusal)"
        }
    }

    private func arrive(_ machine: inout Machine, on loop: ObjectIdentifier? = nil) -> String {
        self.text(machine.requestArrived(Waiter(), on: loop ?? self.loop, now: self.start))
    }

    @Test func aRequestConnectsUntilTheLimitThenWaitsThenIsRefused() {
        var machine = self.machine(connections: 2, queue: 2)
        let actions = (0..<5).map { _ in self.arrive(&machine) }
        #expect(actions == ["connect 0", "connect 0", "wait and arm", "wait", "full"])
        #expect(machine.openCount == 2)
        #expect(machine.waitingCount == 2)
    }

    @Test func aRestedConnectionOfTheSameLoopComesFirstThenANewOneThenTheLongestIdle() {
        var machine = self.machine(connections: 3)
        let mine = Connection()
        let foreign = Connection()
        #expect(self.arrive(&machine) == "connect 0")
        #expect(self.arrive(&machine) == "connect 0")
        let rested = self.start + .milliseconds(50)
        _ = machine.connectionFreed(foreign, upstream: 0, loop: self.otherLoop, now: self.start)
        _ = machine.connectionFreed(mine, upstream: 0, loop: self.loop, now: self.start)
        guard case .proceed(.use(let first)) = machine.requestArrived(Waiter(), on: self.loop, now: rested) else {
            Issue.record("there is an idle connection")
            return
        }
        #expect(first === mine)
        #expect(self.arrive(&machine) == "connect 0")
        guard case .proceed(.use(let third)) = machine.requestArrived(Waiter(), on: self.loop, now: rested) else {
            Issue.record("there is an idle connection of another loop")
            return
        }
        #expect(third === foreign)
    }

    /// Its script may still be at work behind the end of its response.
    @Test func aConnectionThatHasJustBeenFreedIsTakenOnlyWhereThereIsNoOther() {
        var machine = self.machine(connections: 2)
        let connection = Connection()
        #expect(self.arrive(&machine) == "connect 0")
        _ = machine.connectionFreed(connection, upstream: 0, loop: self.loop, now: self.start)
        #expect(self.arrive(&machine) == "connect 0")
        guard case .proceed(.use(let last)) = machine.requestArrived(Waiter(), on: self.loop, now: self.start) else {
            Issue.record("there is an idle connection")
            return
        }
        #expect(last === connection)
    }

    @Test func aFreedConnectionGoesToWhoeverHasWaitedLongest() {
        var machine = self.machine()
        let first = Waiter()
        let second = Waiter()
        #expect(self.arrive(&machine) == "connect 0")
        _ = machine.requestArrived(first, on: self.loop, now: self.start)
        _ = machine.requestArrived(second, on: self.loop, now: self.start)
        for expected in [first, second] {
            guard
                case .hand(let waiter, nil) = machine.connectionFreed(
                    self.here,
                    upstream: 0,
                    loop: self.loop,
                    now: self.start
                )
            else {
                Issue.record("somebody waits")
                return
            }
            #expect(waiter === expected)
        }
        guard case .park = machine.connectionFreed(self.here, upstream: 0, loop: self.loop, now: self.start) else {
            Issue.record("nobody waits")
            return
        }
    }

    @Test func aClosedConnectionMakesRoomForTheNextInLine() {
        var machine = self.machine()
        let waiter = Waiter()
        #expect(self.arrive(&machine) == "connect 0")
        _ = machine.requestArrived(waiter, on: self.loop, now: self.start)
        let turn = machine.connectionClosed(self.here, upstream: 0, now: self.start)
        #expect(turn?.waiter === waiter)
        #expect(machine.openCount == 1)
        #expect(machine.waitingCount == 0)
    }

    @Test func upstreamsTakeTurns() {
        var machine = self.machine(upstreams: 3, connections: 2)
        let actions = (0..<6).map { _ in self.arrive(&machine) }
        #expect(actions == ["connect 0", "connect 1", "connect 2", "connect 0", "connect 1", "connect 2"])
    }

    @Test func aLostUpstreamIsHeldOutLongerEachTimeAndTheNextOneIsTriedAtOnce() {
        var machine = self.machine(upstreams: 2, connections: 10)
        let waiter = Waiter()
        var now = self.start
        #expect(self.arrive(&machine) == "connect 0")
        let failure = machine.connectFailed(upstream: 0, waiter: waiter, tried: [0], on: self.loop, now: now)
        #expect(self.text(failure.action) == "connect 1")
        #expect(failure.wentDown)
        for pause: Int64 in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            let early = machine.requestArrived(waiter, on: self.loop, now: now + .milliseconds(pause - 1))
            #expect(self.text(early) == "connect 1")
            _ = machine.connectionClosed(self.here, upstream: 1, now: now)
            now = now + .milliseconds(pause)
            let afterwards = machine.requestArrived(waiter, on: self.loop, now: now)
            #expect(self.text(afterwards) == "connect 0")
            let again = machine.connectFailed(upstream: 0, waiter: waiter, tried: [0], on: self.loop, now: now)
            #expect(!again.wentDown)
            _ = machine.connectionClosed(self.here, upstream: 1, now: now)
        }
        let answer1 = machine.connectSucceeded(upstream: 0)
        #expect(answer1)
        let answer2 = machine.connectSucceeded(upstream: 0)
        #expect(!answer2)
    }

    @Test func anUpstreamThatIsBackIsUsedThoughOthersWait() {
        var machine = self.machine(upstreams: 2)
        let waiters = (0..<3).map { _ in Waiter() }
        #expect(self.arrive(&machine) == "connect 0")
        _ = machine.connectFailed(upstream: 0, waiter: Waiter(), tried: [0, 1], on: self.loop, now: self.start)
        #expect(self.arrive(&machine) == "connect 1")
        _ = machine.requestArrived(waiters[0], on: self.loop, now: self.start)
        _ = machine.requestArrived(waiters[1], on: self.loop, now: self.start)
        let later = self.start + .milliseconds(100)
        // By the next one that comes: the first in line has its turn there.
        guard case .wait(_, .some(let turn)) = machine.requestArrived(waiters[2], on: self.loop, now: later),
            case .connect(0) = turn.lease
        else {
            Issue.record("the upstream may be tried again")
            return
        }
        #expect(turn.waiter === waiters[0])
        // And by a connection that becomes free elsewhere.
        _ = machine.connectionClosed(self.there, upstream: 0, now: self.start)
        guard
            case .hand(let next, let other) = machine.connectionFreed(
                self.here,
                upstream: 1,
                loop: self.loop,
                now: later
            )
        else {
            Issue.record("somebody waits")
            return
        }
        #expect(next === waiters[1])
        #expect(other?.waiter === waiters[2])
    }

    @Test func whenAllAreHeldOutTheOneWhoseTimeEndsFirstIsTriedAndThenTheRequestFails() {
        var machine = self.machine(upstreams: 2)
        let waiter = Waiter()
        #expect(self.arrive(&machine) == "connect 0")
        var failure = machine.connectFailed(upstream: 0, waiter: waiter, tried: [0], on: self.loop, now: self.start)
        #expect(self.text(failure.action) == "connect 1")
        let later = self.start + .milliseconds(10)
        failure = machine.connectFailed(upstream: 1, waiter: waiter, tried: [0, 1], on: self.loop, now: later)
        #expect(self.text(failure.action) == "unreachable")
        let again = machine.requestArrived(waiter, on: self.loop, now: later)
        #expect(self.text(again) == "connect 0")
        #expect(machine.openCount == 1)
    }

    @Test func aFailedConnectionLetsTheNextInLineTry() {
        var machine = self.machine()
        let waiting = Waiter()
        #expect(self.arrive(&machine) == "connect 0")
        _ = machine.requestArrived(waiting, on: self.loop, now: self.start)
        let failure = machine.connectFailed(upstream: 0, waiter: Waiter(), tried: [0], on: self.loop, now: self.start)
        #expect(self.text(failure.action) == "unreachable")
        #expect(failure.turn?.waiter === waiting)
    }

    @Test func whoeverFindsAnUpstreamLostAndTheOtherBusyIsTheFirstInLine() {
        var machine = self.machine(upstreams: 2)
        let waiter = Waiter()
        #expect(self.arrive(&machine) == "connect 0")
        #expect(self.arrive(&machine) == "connect 1")
        #expect(self.arrive(&machine) == "wait and arm")
        let failure = machine.connectFailed(upstream: 0, waiter: waiter, tried: [0], on: self.loop, now: self.start)
        #expect(self.text(failure.action) == "wait")
        guard
            case .hand(let next, _) = machine.connectionFreed(self.here, upstream: 1, loop: self.loop, now: self.start)
        else {
            Issue.record("somebody waits")
            return
        }
        #expect(next === waiter)
    }

    @Test func onlyAnIdleConnectionTimesOut() {
        var machine = self.machine()
        #expect(self.arrive(&machine) == "connect 0")
        let answer3 = machine.idleTimedOut(self.here, upstream: 0)
        #expect(!answer3)
        _ = machine.connectionFreed(self.here, upstream: 0, loop: self.loop, now: self.start)
        let answer4 = machine.idleTimedOut(self.here, upstream: 0)
        #expect(answer4)
        // It is not given away between the decision and the closing.
        #expect(self.arrive(&machine) == "wait and arm")
        let turn = machine.connectionClosed(self.here, upstream: 0, now: self.start)
        #expect(turn != nil)
    }

    @Test func waitersExpireInOrderAndOneTimerIsEnough() {
        var machine = self.machine()
        let early = Waiter()
        let late = Waiter()
        #expect(self.arrive(&machine) == "connect 0")
        _ = machine.requestArrived(early, on: self.loop, now: self.start)
        let joined = machine.requestArrived(late, on: self.loop, now: self.start + .seconds(4))
        #expect(self.text(joined) == "wait")
        let (expired, next) = machine.expire(now: self.start + .seconds(10))
        #expect(expired.count == 1 && expired.first === early)
        #expect(next == self.start + .seconds(14))
        let answer5 = machine.giveUp(late)
        #expect(answer5)
        let answer6 = machine.giveUp(late)
        #expect(!answer6)
        let (_, last) = machine.expire(now: self.start + .seconds(14))
        #expect(last == nil)
    }

    @Test func aShutDownServesTheLineClosesWhatIsIdleAndThenIsDrained() {
        var machine = self.machine(connections: 2)
        let idle = Connection()
        #expect(self.arrive(&machine) == "connect 0")
        #expect(self.arrive(&machine) == "connect 0")
        #expect(self.arrive(&machine) == "wait and arm")
        let idleOnes = machine.shutDown()
        #expect(idleOnes.isEmpty)
        #expect(self.arrive(&machine) == "shuttingDown")
        guard case .hand = machine.connectionFreed(idle, upstream: 0, loop: self.loop, now: self.start),
            case .close = machine.connectionFreed(idle, upstream: 0, loop: self.loop, now: self.start)
        else {
            Issue.record("the line is served, then connections are closed")
            return
        }
        #expect(!machine.isDrained)
        let turns = [idle, self.here].map { machine.connectionClosed($0, upstream: 0, now: self.start) }
        #expect(turns.allSatisfy { $0 == nil })
        #expect(machine.isDrained)
    }
}
