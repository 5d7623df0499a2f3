@testable import Sessions

/// An outcome, reduced to what can be compared.
enum Ending: Equatable, Sendable {
    case chosen(WriteIdentity)
    case none
    case destroyed
    case discarded(WriteIdentity?)
    case unknown
    case unavailable(WriteIdentity?)
    case beyondRepair
    case degraded(WriteIdentity)

    init(_ outcome: ReplicaOutcome) {
        switch outcome {
        case .chosen(let loaded): self = .chosen(loaded.record.identity)
        case .none: self = .none
        case .destroyed: self = .destroyed
        case .discarded(let winner): self = .discarded(winner)
        case .unknown: self = .unknown
        case .unavailable(let best, _): self = .unavailable(best?.record.identity)
        case .beyondRepair: self = .beyondRepair
        case .degraded(let loaded): self = .degraded(loaded.record.identity)
        }
    }
}

extension ReplicaOutcome {
    var loaded: LoadedRecord? {
        switch self {
        case .chosen(let loaded), .degraded(let loaded): loaded
        case .unavailable(let best, _): best
        case .none, .destroyed, .discarded, .unknown, .beyondRepair: nil
        }
    }
}

extension LoadedRecord {
    /// As it would be if another record, or other tokens, had been read.
    func changed(tokens: [ReplicaToken?]? = nil, _ change: (inout SessionRecord) -> Void) -> LoadedRecord {
        var record = self.record
        change(&record)
        return LoadedRecord(
            record: record,
            tokens: tokens ?? self.tokens,
            needsRepair: self.needsRepair,
            secondsToLive: self.secondsToLive
        )
    }
}
