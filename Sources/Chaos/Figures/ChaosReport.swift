/// What a run has shown; printed as a table, written as JSON.
package struct ChaosReport: Sendable, Codable, Equatable {
    package struct Phase: Sendable, Codable, Equatable {
        package var name: String
        package var requests: Int
        package var errors: Int
        /// Milliseconds.
        package var p50: Double?
        package var p99: Double?
        package var max: Double?
        /// Of what began a second or more after the trouble.
        package var p99AfterDetection: Double?
    }

    /// Whose sessions these are: session-gateway's, or one of PHP's own handlers'.
    package var subject: String
    package var seed: UInt64
    package var seconds: Double
    package var copies: Int
    /// Of the machine at the end of the run, over a minute: latencies are those of whatever else it did.
    package var loadAverage = 0.0
    package var processors = 0
    package var requests = 0
    package var sessions = 0
    package var saved = 0
    package var discarded = 0
    /// Saves of which the gateway could not tell.
    package var unknown = 0
    package var signIns = 0
    package var signOuts = 0
    /// By kind.
    package var faults: [String: Int] = [:]
    /// Sessions, by the first wrong that was done to each.
    package var wrongs: [Wrong: Int] = [:]
    package var errors: [Blame: Int] = [:]
    package var phases: [Phase] = []
    /// Seconds from the end of a memcached's fault until everything was as before, the longest.
    package var longestRepair = 0.0
    /// Seconds from the end of a memcached's fault until every gateway used it again, the longest.
    package var longestReturn = 0.0
    /// Errors that should not be.
    package var examples: [String] = []
    /// What else was not as it should be.
    package var complaints: [String] = []

    package init(subject: String, seed: UInt64, seconds: Double, copies: Int) {
        self.subject = subject
        self.seed = seed
        self.seconds = seconds
        self.copies = copies
    }

    /// No session was wronged.
    package var isSafe: Bool { self.wrongs.values.allSatisfy { $0 == 0 } }

    /// Gateways and workers that are killed take requests along, which says nothing about sessions.
    package var isFaultless: Bool {
        self.isSafe && self.complaints.isEmpty
            && self.errors[.store, default: 0] == 0 && self.errors[.unexplained, default: 0] == 0
    }

    package mutating func count(_ visits: [Visit], _ timeline: Timeline) {
        var latencies: [String: (all: Latencies, detected: Latencies, errors: Int)] = [:]
        for visit in visits {
            self.requests += 1
            if visit.isAcknowledged { self.saved += 1 }
            if visit.outcome == .discarded { self.discarded += 1 }
            if visit.outcome == .unknown { self.unknown += 1 }
            if visit.outcome == .moved { self.signIns += 1 }
            if visit.outcome == .destroyed { self.signOuts += 1 }
            if visit.newSession != nil { self.sessions += 1 }
            let (name, isDetected) = timeline.phase(of: visit)
            var entry = latencies[name] ?? (Latencies(), Latencies(), 0)
            if let blame = timeline.blame(for: visit) {
                self.errors[blame, default: 0] += 1
                self.note(visit, blame)
                entry.errors += 1
            }
            if !visit.isSlow {
                entry.all.add(visit.milliseconds)
                if isDetected { entry.detected.add(visit.milliseconds) }
            }
            latencies[name] = entry
        }
        let order = ["healthy", "repairing"] + ServerFault.allCases.map(\.rawValue)
        for (name, entry) in latencies.sorted(by: { Self.rank($0.key, order) < Self.rank($1.key, order) }) {
            var (all, detected, errors) = entry
            self.phases.append(
                Phase(
                    name: name,
                    requests: all.count,
                    errors: errors,
                    p50: all.percentile(0.5),
                    p99: all.percentile(0.99),
                    max: all.percentile(1),
                    p99AfterDetection: detected.percentile(0.99)
                )
            )
        }
        for span in timeline.spans {
            switch span.trouble {
            case .server(let fault): self.faults["memcached \(fault.rawValue)", default: 0] += 1
            case .gateway(let fault): self.faults["gateway \(fault.rawValue)", default: 0] += 1
            case .worker: self.faults["php-fpm worker killed", default: 0] += 1
            case .repairing: break
            }
        }
    }

    /// The first few errors that should not be, for whoever looks for the reason.
    private mutating func note(_ visit: Visit, _ blame: Blame) {
        guard blame == .store || blame == .unexplained, self.examples.count < 20 else { return }
        let times = [visit.began, visit.ended].map { "\(Double($0 / 1_000_000) / 1_000)" }.joined(separator: " to ")
        self.examples.append("\(blame.rawValue): \(times) s, \(visit.purpose), \(visit.status) \(visit.outcome)")
    }

    package mutating func take(_ judgement: Judgement) {
        for wrong in Wrong.allCases { self.wrongs[wrong] = judgement.count(wrong) }
    }

    private static func rank(_ name: String, _ order: [String]) -> (Int, String) {
        (order.firstIndex(of: name) ?? order.count, name)
    }
}
