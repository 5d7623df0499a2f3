import Sessions

/// What a machine has seen, for the mistakes that act on it.
struct FalsifiedView {
    var copies: [(position: Int, copy: ReplicaCopy, token: ReplicaToken)] = []
    /// Answers of the present stage that are held back until all are there.
    var held: [(answer: ReplicaAnswer, position: Int)] = []
    var call: ReplicaCall?
    var expected = 0
    /// Servers seen absent that have forgotten.
    var forgetful: [(position: Int, connection: ConnectionIdentity)] = []
    /// The fast write of the operation's own record.
    var proposal: SessionRecord?
}

/// The mistakes, put between the production state machines and the servers.
extension SimulatedWorld {
    func ignoresConnection(of command: ReplicaCommand) -> Bool {
        guard case .write(_, let condition, _) = command else { return false }
        switch condition {
        case .compareAndSet: return self.mistake == .tokReuse
        case .add: return self.mistake == .absReuse
        }
    }

    // MARK: What the machine wants

    func falsified(_ steps: [ReplicaStep], _ operation: RunningOperation) -> [ReplicaStep] {
        var steps = steps
        var extra: [ReplicaStep] = []
        for step in steps {
            guard case .send(let command, let position, let call) = step else { continue }
            if operation.falsified.call != call {
                operation.falsified.call = call
                operation.falsified.expected = 0
                operation.falsified.held = []
            }
            operation.falsified.expected += 1
            guard case .write(let copy, _, let lifetime) = command else { continue }
            if let record = copy.record, record.accepted.ballotClass == .fast { operation.falsified.proposal = record }
            if self.mistake == .stubAmn, copy.isPromisedElsewhere, extra.isEmpty {
                _ = position
                extra = operation.falsified.forgetful.map { position, connection in
                    let stub = ReplicaCopy(promised: copy.promised, record: nil)
                    return .send(
                        .write(stub, .add(connection), lifetime),
                        to: position,
                        call: .unawaited
                    )
                }
                operation.falsified.forgetful = []
            }
            if self.mistake == .noWriteback, case .load = operation.goal,
                let best = self.seen(operation, isNewest: true)
            {
                // In place of finishing or replacing what is half written.
                return [.finish(.chosen(best))]
            }
        }
        steps += extra
        return steps
    }

    /// The newest or oldest copy that the operation has met.
    private func seen(_ operation: RunningOperation, isNewest: Bool) -> LoadedRecord? {
        let records = operation.falsified.copies.compactMap(\.copy.record)
        let best = isNewest ? records.max { $0.accepted < $1.accepted } : records.min { $0.accepted < $1.accepted }
        guard let best, !best.isTombstone else { return nil }
        var tokens = [ReplicaToken?](repeating: nil, count: operation.servers.count)
        for seen in operation.falsified.copies where seen.copy.accepted == best.accepted {
            tokens[seen.position] = seen.token
        }
        return LoadedRecord(record: best, tokens: tokens, needsRepair: true)
    }

    // MARK: What the servers keep

    func falsified(_ copy: ReplicaCopy) -> ReplicaCopy {
        var copy = copy
        switch self.mistake {
        case .flatClass:
            copy.promised.ballotClass = .fast
            copy.record?.accepted.ballotClass = .fast
        case .degFlat:
            if let accepted = copy.record?.accepted, accepted.depth > 0 {
                copy.record?.accepted.round = accepted.round + UInt32(accepted.depth)
                copy.record?.accepted.depth = 0
                copy.promised = max(copy.promised, copy.record?.accepted ?? .none)
            }
        default:
            break
        }
        return copy
    }

    // MARK: What the database does

    /// - Returns: nil where it does what it should.
    func falsified(_ change: RowChange) -> RowChangeResult? {
        switch (self.mistake, change) {
        case (.rowUnguarded, .upsert(let row, _)):
            if self.database.load(row.key)?.record.isTombstone == true { return nil }
            self.database.overwrite(row)
            return .applied
        case (.tombRowDropped, .tombstone(let row)):
            self.database.remove(row.key)
            return .applied
        case (.noMark, .mark):
            return .applied
        case (.noMark, .touch(let key, let expires, let due, _, _)):
            return self.database.apply(.touch(key, expires: expires, due: due))
        case (.rivalIgnored, .upsert(var row, let replaced)) where row.newest == row.maybeNewer:
            row.newest = row.record.identity.version
            return self.database.apply(.upsert(row, over: replaced))
        case (.noWord, .tombstone(var row)) where row.due == SessionRow.unplaced:
            row.due = row.expires
            return self.database.apply(.tombstone(row))
        default:
            return nil
        }
    }

    // MARK: What the machine is told

    func deliverFalsified(
        _ answer: ReplicaAnswer,
        from position: Int,
        call: ReplicaCall,
        _ operation: RunningOperation
    ) {
        switch answer {
        case .copy(let copy, let token, _):
            operation.falsified.copies.append((position, copy, token))
            if self.mistake == .earlyDiscard, case .save(let base, let proposal) = operation.goal,
                let record = copy.record, record.identity != proposal.identity,
                record.ancestors.contains(base.record.identity)
            {
                self.execute([.finish(.discarded(winner: record.identity))], operation)
                return
            }
        case .absent(let connection, isComplete: false):
            operation.falsified.forgetful.append((position, connection))
        case .stored:
            if self.mistake == .ackOne, let record = operation.falsified.proposal, operation.hasOwnWrite {
                let tokens = [ReplicaToken?](repeating: nil, count: operation.servers.count)
                let loaded = LoadedRecord(record: record, tokens: tokens, needsRepair: false)
                self.execute([.finish(.chosen(loaded))], operation)
                return
            }
        case .absent, .corrupt, .refused, .declined, .failed:
            break
        }
        guard self.mistake == .verOnly else {
            self.advance(operation) { $0.answered(answer, by: position, to: call, &$1) }
            return
        }
        self.deliverByVersion(answer, from: position, call: call, operation)
    }

    /// All answers of a stage at once, so that copies of one write can be given the highest ballot of them all.
    private func deliverByVersion(
        _ answer: ReplicaAnswer,
        from position: Int,
        call: ReplicaCall,
        _ operation: RunningOperation
    ) {
        guard operation.falsified.call == call else { return }
        operation.falsified.held.append((answer, position))
        guard operation.falsified.held.count == operation.falsified.expected else { return }
        let held = operation.falsified.held
        operation.falsified.held = []
        operation.falsified.expected = 0
        for (answer, position) in held {
            var answer = answer
            if case .copy(var copy, let token, let secondsToLive) = answer, let record = copy.record {
                for case (.copy(let other, _, _), _) in held {
                    guard let rival = other.record, rival.identity == record.identity,
                        rival.accepted > copy.accepted
                    else { continue }
                    copy.record = rival
                    copy.promised = max(copy.promised, rival.accepted)
                }
                answer = .copy(copy, token, secondsToLive: secondsToLive)
            }
            self.advance(operation) { $0.answered(answer, by: position, to: call, &$1) }
        }
    }

    // MARK: How it ends

    func falsified(_ outcome: ReplicaOutcome, _ operation: RunningOperation) -> ReplicaOutcome {
        guard case .load = operation.goal, case .chosen(let loaded) = outcome else { return outcome }
        switch self.mistake {
        case .olderWins:
            return self.seen(operation, isNewest: false).map { .chosen($0) } ?? outcome
        case .fastOverProm:
            var tokens = loaded.tokens
            for seen in operation.falsified.copies
            where loaded.record.holders.contains(seen.position) && seen.copy.accepted == loaded.record.accepted
                && tokens[seen.position] == nil
            {
                tokens[seen.position] = seen.token
            }
            return .chosen(
                LoadedRecord(
                    record: loaded.record,
                    tokens: tokens,
                    needsRepair: loaded.needsRepair,
                    secondsToLive: loaded.secondsToLive
                )
            )
        default:
            return outcome
        }
    }

    /// A walk that copies what it finds as it stands.
    func copyNewest(to server: Int, from source: Int) {
        for session in self.sessions.indices where self.sessions[session].servers.contains(server) {
            guard let item = self.servers[source].item(session, at: self.now),
                let copy = self.decoded(item.value, session), let record = copy.record,
                self.servers[server].item(session, at: self.now) == nil
            else { continue }
            _ = self.servers[server].put(
                session,
                .copy(ReplicaCopy(accepted: record)),
                seconds: self.weather.idleSeconds,
                at: self.now
            )
        }
    }
}

extension RunningOperation {
    /// Whether it writes a record of its own.
    fileprivate var hasOwnWrite: Bool {
        switch self.goal {
        case .save, .create: true
        case .load, .look, .restore, .destroy, .keep, .saveDegraded, .createDegraded: false
        }
    }
}
