import Configuration
import Logging
import NIOCore
import Sessions
import Store

/// An answer about the session that comes after the response's head: gathered, and carried out at its end.
///
/// What cannot be read leaves the session as it was and says so in the log.
struct LateAnswer {
    private let visit: SessionVisit
    private var answer: SessionAnswer
    private var error: SessionContractError?
    /// Of another request, or none of the contract's.
    private var otherLines = 0

    init(_ visit: SessionVisit) {
        self.visit = visit
        self.answer = SessionAnswer(token: visit.token, maximumSize: visit.site.configuration.maximumSize)
    }

    /// Whether there is nothing that `finish` would carry out or say.
    var isEmpty: Bool { !self.answer.isAnnounced && self.error == nil && self.otherLines == 0 }

    mutating func receive(_ field: SessionField, _ value: ByteBuffer) {
        guard self.error == nil else { return }
        do {
            if try self.answer.receive(field, value) == .foreign { self.otherLines += 1 }
        } catch {
            self.error = error
        }
    }

    mutating func leftOut(lines: Int) { self.otherLines += lines }

    mutating func refuseTooLong() {
        self.error = self.error ?? SessionContractError(.tooLarge, "a line of a late answer is too long")
    }

    /// Carries the answer out.
    /// - Returns: what became of the session; nil where there was nothing to carry out.
    consuming func finish() async -> SessionOutcome? {
        if self.otherLines > 0 {
            self.visit.site.logger.warning(
                "lines of a late answer that are not about its request's session were left out",
                metadata: ["lines": "\(self.otherLines)"]
            )
        }
        guard self.answer.isAnnounced || self.error != nil else { return nil }
        do {
            if let error = self.error { throw error }
            let change = try self.answer.finish()
            // Without a word more may follow, as in a head.
            if change == SessionChange() { return self.visit.outcome }
            // A word that nothing more comes says nothing against what the head brings.
            if !change.controls.contains(.readonly) { self.visit.hasLateAnswer = true }
            _ = await self.visit.apply(change, isAnnounced: false)
            self.visit.lateAnswerCame()
            self.visit.site.counters.lateAnswerCame()
            self.visit.site.logger.log(
                level: self.visit.lateLevel,
                "a late answer about a session",
                metadata: .of([.outcome: self.visit.outcome.rawValue])
            )
        } catch {
            // No other one is waited for.
            self.visit.lateAnswerCame()
            self.visit.site.counters.lateAnswerRefused()
            self.visit.site.logger.error(
                "a late answer cannot be carried out: the session is as it was",
                metadata: .of([.error: "\(error)"])
            )
        }
        return self.visit.outcome
    }
}

extension SessionVisit {
    /// What did not end well is said, and the end of what the response's head called pending.
    fileprivate var lateLevel: Logger.Level {
        switch self.outcome {
        case .unknown, .unavailable: .warning
        case .discarded: .notice
        default: self.isPending ? .info : .debug
        }
    }
}
