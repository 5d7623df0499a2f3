/// What was the matter, and when.
package enum Trouble: Sendable, Equatable {
    case server(ServerFault)
    /// A memcached is there again, and not all that belongs there is.
    case repairing
    case gateway(GatewayFault)
    /// A php-fpm worker was killed: a moment.
    case worker
}

package struct TroubleSpan: Sendable, Equatable {
    package var trouble: Trouble
    package var began: Int64
    /// `Int64.max` while it lasts.
    package var ended: Int64

    package init(_ trouble: Trouble, began: Int64, ended: Int64 = .max) {
        self.trouble = trouble
        self.began = began
        self.ended = ended
    }
}

/// Who is to blame for an answer that was none.
package enum Blame: String, Sendable, CaseIterable, Codable, CodingKeyRepresentable {
    /// The session could not be had or kept: a memcached's failure reached the visitor.
    case store
    /// A gateway died or slept with the request.
    case gateway
    /// The php-fpm worker that ran the page was killed.
    case worker
    /// None of these.
    case unexplained
}

/// All spans of a run, and what they say of a visit.
package struct Timeline: Sendable {
    /// What has gone wrong with a memcached a moment ago is not known to the gateways yet.
    package static let detection: Int64 = 1_000_000_000
    /// A killed worker is noticed, a killed gateway passed over, by then.
    private static let aftermath: Int64 = 2_000_000_000

    package private(set) var spans: [TroubleSpan] = []

    package init(_ spans: [TroubleSpan] = []) { self.spans = spans }

    package mutating func begin(_ trouble: Trouble, at time: Int64) -> Int {
        self.spans.append(TroubleSpan(trouble, began: time))
        return self.spans.count - 1
    }

    package mutating func end(_ span: Int, at time: Int64) { self.spans[span].ended = time }

    /// The row of the table of latencies where a visit belongs, and whether the gateways knew of the trouble by then.
    package func phase(of visit: Visit) -> (name: String, isDetected: Bool) {
        var found = (rank: 0, name: "healthy", began: Int64.min)
        for span in self.spans where visit.began <= span.ended && visit.ended >= span.began {
            let (rank, name): (Int, String) =
                switch span.trouble {
                case .gateway(let fault): (3, "gateway \(fault.rawValue)")
                case .server(let fault): (2, fault.rawValue)
                case .repairing: (1, "repairing")
                case .worker: (0, "healthy")
                }
            if rank > found.rank { found = (rank, name, span.began) }
        }
        return (found.name, found.rank == 0 || visit.began - found.began >= Self.detection)
    }

    /// - Returns: nil where the visitor got the page.
    package func blame(for visit: Visit) -> Blame? {
        if visit.hasPage, visit.status == 200, visit.outcome != .degraded, visit.outcome != .unavailable { return nil }
        // 500 is what the page answers where PHP's own handler has said that it failed.
        if visit.outcome == .degraded || visit.outcome == .unavailable || visit.status == 503 || visit.status == 500 {
            // Whoever sleeps misses its own deadlines.
            return self.sleptThrough(visit) ? .gateway : .store
        }
        switch visit.status {
        case 200, 502, 504:
            // The gateway's own answers say what became of the session, nginx's do not. Both may break off.
            if visit.outcome == .none || visit.status == 200, self.hasGatewayTrouble(visit) { return .gateway }
            if visit.outcome != .none, self.hasWorkerTrouble(visit) { return .worker }
            return .unexplained
        default:
            return .unexplained
        }
    }

    private func hasGatewayTrouble(_ visit: Visit) -> Bool {
        self.spans.contains { span in
            if case .gateway = span.trouble { self.touches(span, visit) } else { false }
        }
    }

    private func sleptThrough(_ visit: Visit) -> Bool {
        self.spans.contains { span in
            span.trouble == .gateway(.frozen) && visit.began <= span.ended && visit.ended >= span.began
        }
    }

    private func hasWorkerTrouble(_ visit: Visit) -> Bool {
        self.spans.contains { $0.trouble == .worker && self.touches($0, visit) }
    }

    private func touches(_ span: TroubleSpan, _ visit: Visit) -> Bool {
        visit.ended >= span.began && (span.ended == .max || visit.began <= span.ended + Self.aftermath)
    }
}
