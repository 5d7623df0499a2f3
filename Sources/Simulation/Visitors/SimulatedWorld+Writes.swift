import HistoryChecker
import NIOCore
import Sessions

/// Saves and creations, as `SessionStore` makes them.
extension SimulatedWorld {
    func save(_ request: Request) {
        guard let loaded = request.loaded, let base = request.base else { return self.end(request) }
        request.saves += 1
        let session = request.session
        let number = self.checker.writeBegan(self.sessions[session].number, base: base)
        let newest = request.stored?.newest ?? loaded.record.identity.version
        let identity = self.newIdentity(request.gateway, after: newest)
        self.identities.append(identity)
        var proposal = loaded.record
        proposal.identity = identity
        proposal.ancestors = loaded.record.lineage
        proposal.written = SessionRecord.Timestamp(self.clock(request.gateway) / 1_000)
        proposal.payload = SessionRecord.payload(session: session, number)
        if self.profile.hasDatabase, let stored = request.stored {
            let isDurable = !self.isPeace && self.chance.isLucky(percent: 30)
            return self.start(
                .save(stored, proposal: proposal, isDurable: isDurable),
                session,
                request.gateway,
                for: .write(request, number, isDurable: isDurable)
            )
        }
        self.start(
            .save(base: loaded, proposal: proposal),
            session: session,
            gateway: request.gateway,
            for: .write(request, number),
            timeout: self.weather.loadTimeout
        )
    }

    func create(_ request: Request, _ session: Int) {
        let number = self.checker.writeBegan(self.sessions[session].number, base: nil)
        let identity = self.newIdentity(request.gateway, after: nil)
        self.identities.append(identity)
        let now = SessionRecord.Timestamp(self.clock(request.gateway) / 1_000)
        let proposal = SessionRecord(
            identity: identity,
            created: now,
            written: now,
            idleSeconds: UInt32(self.weather.idleSeconds),
            // Days of skew would end every session at once: the deadline is the deciding gateway's matter.
            absoluteDeadline: .max,
            payload: SessionRecord.payload(session: session, number)
        )
        if self.profile.hasDatabase {
            let isDurable = !self.isPeace && self.chance.isLucky(percent: 30)
            return self.start(
                .create(proposal: proposal, isDurable: isDurable),
                session,
                request.gateway,
                for: .write(request, number, isDurable: isDurable)
            )
        }
        self.start(
            .create(proposal: proposal),
            session: session,
            gateway: request.gateway,
            for: .write(request, number),
            timeout: self.weather.loadTimeout
        )
    }

    func written(
        _ request: Request,
        _ number: HistoryChecker.WriteNumber,
        _ operation: RunningOperation,
        _ outcome: ReplicaOutcome
    ) {
        var isKept = false
        switch outcome {
        case .chosen(let loaded):
            self.figures.acknowledged += 1
            self.checker.writeEnded(number, .acknowledged)
            self.sessions[operation.session].used = max(self.sessions[operation.session].used, operation.began)
            self.keep(loaded, number, operation, request)
            request.ending = .saved
            isKept = true
        case .discarded:
            self.figures.discarded += 1
            self.checker.writeEnded(number, .discarded)
            request.ending = .discarded
        case .unavailable:
            self.figures.unavailable += 1
            guard self.profile.isDegradedServed, let degraded = operation.goal.degraded else {
                self.checker.writeEnded(number, .unknown)
                request.ending = .failed
                break
            }
            self.start(
                degraded,
                session: operation.session,
                gateway: operation.gateway,
                for: .write(request, number),
                timeout: self.weather.loadTimeout
            )
            return
        case .degraded(let loaded):
            self.figures.degraded += 1
            self.checker.writeEnded(number, .unknown)
            self.keep(loaded, number, operation, request)
            request.ending = .failed
            isKept = true
        case .none, .destroyed, .unknown, .beyondRepair:
            self.figures.unknown += 1
            self.checker.writeEnded(number, .unknown)
            request.ending = .failed
        }
        self.wrote(request, operation.session, isKept: isKept)
    }

    /// What comes behind a save or creation.
    func wrote(_ request: Request, _ session: Int, isKept: Bool) {
        let isDiscarded = request.ending == .discarded
        if session == request.newSession {
            self.regenerationCreated(request, isKept: isKept)
            return
        }
        guard request.visitor >= 0, !self.isPeace, request.saves < 3 else { return self.end(request) }
        // From what was just written, without another load; or once more from a base that has lost.
        if isKept ? self.chance.isLucky(percent: 30) : isDiscarded && self.chance.isLucky(percent: 10) {
            self.schedule(.act(request), in: self.chance.within(1...2_000))
            return
        }
        self.end(request)
    }

    private func keep(
        _ loaded: LoadedRecord,
        _ number: HistoryChecker.WriteNumber,
        _ operation: RunningOperation,
        _ request: Request
    ) {
        guard operation.session == request.session else { return }
        request.loaded = loaded
        request.base = number
        request.plan = .save
    }
}
