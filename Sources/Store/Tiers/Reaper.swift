package import Database
package import Logging
package import Sessions

/// What a pass of the reaper did.
package struct ReaperReport: Sendable, Equatable {
    package var rows = 0
    package var expired = 0
    package var refreshed = 0
    package var postponed = 0
    /// Another gateway leads.
    package var isFollower = false
}

/// Walks over the rows that are due, in small batches by key, one gateway at a time: what has ended goes, what lives in
/// memcached gets its latest state.
package final class Reaper: Sendable {
    private let database: any SessionDatabase
    private let configuration: TierConfiguration
    private let source: ReplicaPool?
    private let tier: DatabaseTier?
    private let sessionLog: SessionLog?
    private let site: String
    private let logger: Logger
    private let figures: ReaperFigures?
    private let clock: @Sendable () -> SessionRecord.Timestamp

    private static let batchSize = 200

    /// - Parameters:
    ///   - source: memcached; nil where the database is all there is.
    ///   - tier: asks again about rows that may be old.
    package init(
        database: any SessionDatabase,
        configuration: TierConfiguration,
        source: ReplicaPool?,
        tier: DatabaseTier? = nil,
        sessionLog: SessionLog?,
        site: String,
        logger: Logger,
        figures: ReaperFigures? = nil,
        clock: @escaping @Sendable () -> SessionRecord.Timestamp = { StoreClock.now }
    ) {
        self.database = database
        self.configuration = configuration
        self.source = source
        self.tier = tier
        self.sessionLog = sessionLog
        self.site = site
        self.logger = logger
        self.figures = figures
        self.clock = clock
    }

    /// Passes, with pauses that differ by chance, until it is cancelled.
    package func run() async {
        // Told once, until a pass succeeds.
        var told: Set<DatabaseError.Code> = []
        while !Task.isCancelled {
            try? await Task.sleep(for: self.configuration.reapInterval * Double.random(in: 0.75...1.25))
            if Task.isCancelled { return }
            do throws(DatabaseError) {
                let report = try await self.pass()
                told = []
                guard !report.isFollower else { continue }
                self.figures?.passed(report)
                guard report.rows > 0 else { continue }
                self.logger.info(
                    "the reaper has passed",
                    metadata: [
                        "rows": "\(report.rows)", "expired": "\(report.expired)", "refreshed": "\(report.refreshed)",
                        "postponed": "\(report.postponed)",
                    ]
                )
            } catch {
                self.logger.log(
                    level: told.insert(error.code).inserted ? .warning : .debug,
                    "the reaper could not pass",
                    metadata: ["error": "\(error)"]
                )
            }
        }
    }

    /// One pass over what is due when it begins.
    /// - Parameter progress: rows so far, of how many, where they could be counted in time. Without it nobody counts.
    package func pass(
        progress: ((_ rows: Int, _ total: Int?) -> Void)? = nil
    ) async throws(DatabaseError) -> ReaperReport {
        guard let lease = try await self.database.lead(self.configuration.keyspace) else {
            return ReaperReport(isFollower: true)
        }
        do throws(DatabaseError) {
            let report = try await self.pass(lease, progress)
            await lease.giveBack()
            return report
        } catch {
            await lease.giveBack()
            throw error
        }
    }

    private func pass(
        _ lease: any LeaderLease,
        _ progress: ((Int, Int?) -> Void)?
    ) async throws(DatabaseError) -> ReaperReport {
        let begun = self.clock()
        let total = progress == nil ? nil : try? await self.database.dueCount(self.configuration.keyspace, at: begun)
        var report = ReaperReport()
        var cursor: DueCursor?
        while !Task.isCancelled, await lease.isHeld() {
            let rows = try await self.database.due(
                self.configuration.keyspace,
                at: begun,
                after: cursor,
                limit: Self.batchSize
            )
            guard let last = rows.last else { break }
            cursor = DueCursor(after: last)
            try await self.reap(rows, &report)
            progress?(report.rows, total)
        }
        return report
    }

    private func reap(_ rows: [DueRow], _ report: inout ReaperReport) async throws(DatabaseError) {
        let findings = await self.findings(rows)
        let now = self.clock()
        var changes: [RowChange] = []
        var changed: [DueRow] = []
        for (row, finding) in zip(rows, findings) {
            let step = ReapStep.step(for: row, finding, at: now, self.configuration)
            switch step {
            case .delete, .leave: break
            case .refresh: report.refreshed += 1
            case .postpone: report.postponed += 1
            }
            guard let change = step.change(of: row, at: now, self.configuration) else { continue }
            changes.append(change)
            changed.append(row)
        }
        let results = try await self.database.applyEach(changes)
        report.rows += rows.count
        for (index, row) in changed.enumerated() {
            guard case .delete = changes[index], results[index] == .applied else { continue }
            report.expired += 1
            if !row.isTombstone { self.sessionLog?.ended(row, site: self.site) }
        }
        self.tier?.question(
            changed.indices.compactMap { index in
                ReapStep.inQuestion(changed[index], after: changes[index], results[index]).map {
                    (changed[index].key, $0)
                }
            }
        )
        let next = zip(changes, results).compactMap { ReapStep.afterwards($0, $1, at: now, self.configuration) }
        _ = try await self.database.applyEach(next)
    }

    /// In the order of the rows.
    private func findings(_ rows: [DueRow]) async -> [MemcachedFinding] {
        guard let source = self.source else {
            let patience = self.configuration.touchInterval.wholeMilliseconds * 2
            return rows.map { _ in .alone(patience: patience) }
        }
        // A tombstone's fate is not memcached's affair.
        let asked = rows.indices.filter { !rows[$0].isTombstone }
        var findings = [MemcachedFinding](repeating: .unavailable, count: rows.count)
        for (index, finding) in zip(asked, await source.findings(asked.map { rows[$0].key }, at: self.clock())) {
            findings[index] = finding
        }
        return findings
    }
}
