/// Takes a pool from state to state: looks at the markers of its servers, and says what to write to which, when to wait,
/// and when to move the sessions. Several gateways may do so at once. A value: no I/O, no clock.
///
/// It goes on from a state only when that is **established**: on all members of the ring that everybody hears, but for
/// those that no quorum is made of without another one. And only after the **barrier**: by then nobody works by the state
/// before any more, neither a gateway that has not looked for a while (the lease of what it has seen is over) nor an
/// operation that it had begun (which is too old to acknowledge anything). The servers on which the state was
/// established must have been the same lives all the time; if one of them has restarted, the time begins anew.
package struct RingChange<Ring: PoolRing>: Sendable {
    /// What is known of a server.
    package struct Sight: Sendable {
        package var condition: ServerCondition
        /// Of the marker on that connection.
        package var state: PoolState<Ring>?

        package init(condition: ServerCondition, state: PoolState<Ring>?) {
            self.condition = condition
            self.state = state
        }
    }

    package enum Step: Sendable {
        /// Nothing to do but to look again after a moment.
        case rest
        /// Replace the markers of these servers, each by compare-and-set from what it was seen to be.
        case write(PoolState<Ring>, to: [Ring.Server])
        /// Report back by `moved`.
        case move(RingMove<Ring>)
    }

    /// For the operator.
    package enum Situation: Hashable, Sendable {
        case stable
        /// The state is not on enough servers yet.
        case spreading(missing: [Ring.Server])
        /// Until nobody can work by the state before.
        case settling
        case moving
        case obstructed(RingMove<Ring>.Obstacle)
        /// As many servers as there are copies are down and not configured any more: what only they have is given up.
        case givingUp([Ring.Server])
        /// Two states that follow one have met, and a server is away that may know which it is.
        case undecided
    }

    private struct Establishment: Sendable {
        var state: PoolState<Ring>
        var since: Int64
        var connections: [Ring.Server: ConnectionIdentity]
        var hasMoved = false
    }

    private let barrier: Int64
    private let patience: Int64
    /// Members of the state that are down, and since when.
    private var absent: [Ring.Server: Int64] = [:]
    private var establishment: Establishment?
    package private(set) var situation = Situation.stable

    /// - Parameters:
    ///   - barrier: longer than the lease and the longest operation together, with what two clocks may run apart.
    ///   - patience: for how long servers that are not wanted any more must be down before what they have is given up.
    package init(barrier: Int64, patience: Int64) {
        self.barrier = barrier
        self.patience = patience
    }

    /// - Parameters:
    ///   - sights: of all members of the state, and of the wish.
    ///   - state: what this gateway works by: the latest that it has heard of.
    ///   - wish: the ring that all gateways are configured with; nil where they differ, or it is not known.
    package mutating func look(
        _ sights: [Ring.Server: Sight],
        _ state: PoolState<Ring>,
        wish: Ring?,
        at now: Int64
    ) -> Step {
        let ring = state.guardian
        var connections: [Ring.Server: ConnectionIdentity] = [:]
        for server in ring.members {
            if let sight = sights[server], sight.condition.isComplete, sight.state == state {
                connections[server] = sight.condition.connection
            }
        }
        if let step = self.giveUp(state, sights, wish: wish, at: now) { return step }
        let needed = ring.members.count - ring.tolerance
        guard connections.count >= needed, state.epoch > 0 else {
            self.establishment = nil
            return self.spread(state, sights)
        }
        if var known = self.establishment, known.state == state {
            known.connections = known.connections.filter { connections[$0] == $1 }
            self.establishment = known.connections.count >= needed ? known : nil
        } else {
            self.establishment = nil
        }
        let lagging = self.lagging(behind: state, sights)
        guard let establishment else {
            self.establishment = Establishment(state: state, since: now, connections: connections)
            self.situation = .settling
            return lagging.isEmpty ? .rest : .write(state, to: lagging)
        }
        if !lagging.isEmpty { return .write(state, to: lagging) }
        guard now - establishment.since > self.barrier else {
            self.situation = state.isStable && wish.map { $0 == state.goal } ?? true ? .stable : .settling
            return .rest
        }
        return self.goOn(from: establishment, sights, wish: wish)
    }

    /// More has failed than the promises allow, and those that are down were taken out of the configuration: nobody waits
    /// for them any more. The other ring at once; its servers are walked for from those that are left.
    private mutating func giveUp(
        _ state: PoolState<Ring>,
        _ sights: [Ring.Server: Sight],
        wish: Ring?,
        at now: Int64
    ) -> Step? {
        guard case .stable(let ring) = state.stage, let wish, wish != ring else {
            self.absent = [:]
            return nil
        }
        let down = ring.members.filter { sights[$0]?.condition.connection == nil && !wish.members.contains($0) }
        self.absent = self.absent.filter { down.contains($0.key) }
        for server in down where self.absent[server] == nil { self.absent[server] = now }
        let lost = down.filter { now - (self.absent[$0] ?? now) > self.patience }
        let layout = ReplicaLayout(redundancy: ring.redundancy, servers: ring.members.count, placement: 0)
        let left = ring.members.filter { sights[$0]?.condition.isComplete == true }
        guard lost.count >= layout.redundancy, !left.isEmpty else { return nil }
        self.situation = .givingUp(lost)
        return .write(state.followed(by: .stable(wish)), to: left)
    }

    /// Whether nobody works by an earlier state any more, as far as `look` has seen.
    package func isInForce(_ state: PoolState<Ring>, at now: Int64) -> Bool {
        self.establishment.map { $0.state == state && now - $0.since > self.barrier } ?? false
    }

    /// All members have been brought to the new ring.
    package mutating func moved(_ state: PoolState<Ring>, isDone: Bool) {
        guard self.establishment?.state == state else { return }
        self.establishment?.hasMoved = isDone
    }

    private mutating func goOn(
        from establishment: Establishment,
        _ sights: [Ring.Server: Sight],
        wish: Ring?
    ) -> Step {
        let state = establishment.state
        switch state.stage {
        case .stable(let ring):
            self.situation = .stable
            guard let wish, wish != ring else { return .rest }
            if ring.placesAlike(wish) { return self.write(state.followed(by: .stable(wish)), after: state, sights) }
            let next = state.followed(by: .joining(from: ring, to: wish))
            // From then on the new servers hold what is written: not before they are there.
            if let obstacle = RingMove.obstacle(to: next, conditions: sights.mapValues(\.condition)) {
                self.situation = .obstructed(obstacle)
                return .rest
            }
            return self.write(next, after: state, sights)
        case .joining(let from, let to):
            if let wish, wish != to { return self.write(state.followed(by: .stable(from)), after: state, sights) }
            if establishment.hasMoved {
                return self.write(state.followed(by: .joined(from: from, to: to)), after: state, sights)
            }
            let conditions = sights.mapValues(\.condition)
            if let obstacle = RingMove.obstacle(to: state, conditions: conditions) {
                self.situation = .obstructed(obstacle)
                return .rest
            }
            self.situation = .moving
            return .move(RingMove(of: state, conditions: conditions))
        case .joined(_, let to):
            return self.write(state.followed(by: .stable(to)), after: state, sights)
        }
    }

    /// To all that have the state before; to others it spreads later.
    private func write(
        _ next: PoolState<Ring>,
        after state: PoolState<Ring>,
        _ sights: [Ring.Server: Sight]
    ) -> Step {
        .write(next, to: next.members.filter { sights[$0]?.condition.isComplete == true && sights[$0]?.state == state })
    }

    private func lagging(behind state: PoolState<Ring>, _ sights: [Ring.Server: Sight]) -> [Ring.Server] {
        state.members.filter { server in
            guard let sight = sights[server], sight.condition.isComplete else { return false }
            return sight.state.map { $0.epoch < state.epoch } ?? true
        }
    }

    private mutating func spread(_ state: PoolState<Ring>, _ sights: [Ring.Server: Sight]) -> Step {
        let ring = state.guardian
        let missing = ring.members.filter { sights[$0]?.state != state || sights[$0]?.condition.isComplete != true }
        self.situation = .spreading(missing: missing)
        if state.epoch == 0 {
            // Nobody has said anything: the first state of all. A server that is away may know of a later one.
            let silent = ring.members.filter { sights[$0]?.condition.isComplete != true }
            guard silent.count <= ring.tolerance else { return .rest }
            return .write(
                PoolState(epoch: 1, stage: state.stage),
                to: self.lagging(behind: state, sights, orSame: true)
            )
        }
        let lagging = self.lagging(behind: state, sights)
        if !lagging.isEmpty { return .write(state, to: lagging) }
        let rivals = ring.members.contains { server in
            sights[server]?.state.map { $0.epoch == state.epoch && $0 != state } ?? false
        }
        guard rivals else { return .rest }
        // None of them is established, nor ever was: back to what they all come from. Not from what may have been gone on from.
        guard ring.members.allSatisfy({ sights[$0]?.condition.isComplete == true }) else {
            self.situation = .undecided
            return .rest
        }
        return .write(
            state.followed(by: .stable(ring)),
            to: ring.members
        )
    }

    private func lagging(
        behind state: PoolState<Ring>,
        _ sights: [Ring.Server: Sight],
        orSame: Bool
    ) -> [Ring.Server] {
        state.members.filter { server in
            guard let sight = sights[server], sight.condition.isComplete else { return false }
            return sight.state == nil
        }
    }
}
