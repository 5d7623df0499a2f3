import Foundation
import Testing

@testable import Chaos

struct TimelineTests {
    private let timeline = Timeline([
        TroubleSpan(.server(.frozen), began: 10_000_000_000, ended: 20_000_000_000),
        TroubleSpan(.repairing, began: 20_000_000_000, ended: 21_000_000_000),
        TroubleSpan(.gateway(.killed), began: 30_000_000_000, ended: 31_000_000_000),
        TroubleSpan(.gateway(.frozen), began: 33_000_000_000, ended: 35_000_000_000),
        TroubleSpan(.worker, began: 40_000_000_000, ended: 40_000_000_000),
    ])

    private func visit(
        _ seconds: Double,
        _ length: Double = 0.001,
        status: Int = 200,
        outcome: Visit.Outcome = .loaded
    )
        -> Visit
    {
        var visit = Visit(.read, session: 1, began: Int64(seconds * 1e9), ended: Int64((seconds + length) * 1e9))
        visit.status = status
        visit.outcome = outcome
        visit.hasPage = status == 200
        return visit
    }

    @Test func aVisitBelongsToTheTroubleThatItTouches() {
        #expect(self.timeline.phase(of: self.visit(1)) == ("healthy", true))
        #expect(self.timeline.phase(of: self.visit(9.9, 0.2)) == ("frozen", false))
        #expect(self.timeline.phase(of: self.visit(10.5)) == ("frozen", false))
        #expect(self.timeline.phase(of: self.visit(11)) == ("frozen", true))
        #expect(self.timeline.phase(of: self.visit(19, 5)) == ("frozen", true))
        #expect(self.timeline.phase(of: self.visit(20.5)).name == "repairing")
        #expect(self.timeline.phase(of: self.visit(30.5)).name == "gateway killed")
        #expect(self.timeline.phase(of: self.visit(40)) == ("healthy", true))
    }

    @Test func errorsAreTheirs() {
        #expect(self.timeline.blame(for: self.visit(15)) == nil)
        #expect(self.timeline.blame(for: self.visit(15, status: 503, outcome: .unavailable)) == .store)
        #expect(self.timeline.blame(for: self.visit(15, outcome: .degraded)) == .store)
        #expect(self.timeline.blame(for: self.visit(32, 3.1, status: 503, outcome: .unavailable)) == .gateway)
        #expect(self.timeline.blame(for: self.visit(35.1, status: 503, outcome: .unavailable)) == .store)
        // nginx's own 502 says nothing of a session.
        #expect(self.timeline.blame(for: self.visit(30.1, status: 502, outcome: .none)) == .gateway)
        #expect(self.timeline.blame(for: self.visit(25, status: 502, outcome: .none)) == .unexplained)
        #expect(self.timeline.blame(for: self.visit(39.9, 0.2, status: 502, outcome: .unchanged)) == .worker)
        #expect(self.timeline.blame(for: self.visit(25, status: 502, outcome: .unchanged)) == .unexplained)
        #expect(self.timeline.blame(for: self.visit(15, status: 0, outcome: .none)) == .unexplained)
    }

    @Test func aReportCountsAndSaysWhetherAllIsWell() throws {
        var report = ChaosReport(subject: "session-gateway", seed: 1, seconds: 60, copies: 2)
        let visits = (0..<100).map { self.visit(Double($0) / 100, Double($0) / 1_000) }
        report.count(visits + [self.visit(30.1, status: 502, outcome: .none)], self.timeline)
        #expect(report.requests == 101)
        #expect(report.isFaultless)
        let healthy = try #require(report.phases.first)
        #expect(healthy.name == "healthy" && healthy.requests == 100)
        #expect(abs((healthy.p50 ?? 0) - 49) < 0.01)
        #expect(abs((healthy.p99 ?? 0) - 98) < 0.01)
        #expect(abs((healthy.max ?? 0) - 99) < 0.01)
        #expect(report.faults["memcached frozen"] == 1)
        #expect(try JSONDecoder().decode(ChaosReport.self, from: report.json()) == report)
        #expect(report.text.contains("lost updates 0, resurrected logouts 0, stale overwrites 0, errors 0"))

        var wronged = report
        wronged.wrongs[.lost] = 1
        #expect(!wronged.isFaultless)
        var failed = report
        failed.count([self.visit(15, status: 503, outcome: .unavailable)], self.timeline)
        #expect(!failed.isFaultless)
    }
}
