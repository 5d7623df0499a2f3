import Sessions

/// What a gateway writes behind the responses, as `DatabaseTier` does it.
extension SimulatedWorld {
    func writeDue(_ gateway: Int) {
        guard !self.gateways[gateway].isSyncing else { return }
        let now = self.timestamp(gateway)
        let batch = self.gateways[gateway].memory.nextBatch(limit: 256, at: now, isLast: false)
        guard !batch.isEmpty else { return }
        self.gateways[gateway].isSyncing = true
        self.call(.apply(batch), for: .sync(batch), gateway)
    }

    /// What another gateway may have saved is asked for.
    func askForRivals(_ gateway: Int) {
        let asked = self.gateways[gateway].memory.queue.toAsk(limit: 100, from: 0)
        for (key, written) in asked.sorted(by: { $0.key.bytes.lexicographicallyPrecedes($1.key.bytes) }).prefix(8) {
            guard let session = self.session(key), self.gateways[gateway].asking.insert(session).inserted else {
                continue
            }
            self.start(
                .look,
                session: session,
                gateway: gateway,
                for: .question(written),
                timeout: self.weather.loadTimeout
            )
        }
    }

    func answered(_ operation: RunningOperation, _ written: WriteIdentity, _ outcome: ReplicaOutcome) {
        let gateway = operation.gateway
        guard self.gateways[gateway].life == operation.gatewayLife, let key = self.sessions[operation.session].key
        else { return }
        self.gateways[gateway].asking.remove(operation.session)
        self.gateways[gateway].memory.answered(key, written, self.finding(outcome, gateway))
    }

    /// What a look into memcached tells the reaper, and whoever writes a row.
    func finding(_ outcome: ReplicaOutcome, _ gateway: Int) -> ReapFinding {
        switch outcome {
        case .chosen(let loaded):
            let seconds = loaded.secondsToLive ?? Int(loaded.record.idleSeconds)
            let left = SessionRecord.Timestamp(max(0, seconds)) * 1_000
            return .live(loaded.record, expires: self.timestamp(gateway) + left)
        case .none:
            return .none
        case .unavailable, .destroyed, .discarded, .unknown, .degraded, .beyondRepair:
            return .unavailable
        }
    }
}
