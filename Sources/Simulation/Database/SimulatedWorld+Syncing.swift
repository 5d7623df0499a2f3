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
        for (key, written) in self.gateways[gateway].memory.toAsk(limit: 8, at: self.timestamp(gateway)) {
            guard let session = self.session(key) else { continue }
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
        let now = self.timestamp(gateway)
        self.gateways[gateway].memory.answered(key, written, MemcachedFinding(outcome, at: now), at: now)
    }

    /// Sessions that have no row.
    func look(for rowless: [SessionKey], _ gateway: Int) {
        for session in rowless.compactMap({ self.session($0) }) {
            let timeout = self.weather.loadTimeout
            self.start(.look, session: session, gateway: gateway, for: .rowless, timeout: timeout)
        }
    }

    func foundRowless(_ operation: RunningOperation, _ outcome: ReplicaOutcome) {
        let gateway = operation.gateway
        let now = self.timestamp(gateway)
        guard self.gateways[gateway].life == operation.gatewayLife, let key = self.sessions[operation.session].key,
            case .live(let record, let expires) = MemcachedFinding(outcome, at: now)
        else { return }
        self.gateways[gateway].memory.foundWithoutRow(record, key, expires: expires, at: now)
    }
}
