/// Where a deliberate bug shows, so that it can be shown again that the checker sees it.
package struct MistakeSearch: Sendable {
    package var mistake: Mistake
    /// The kind of pool and trouble in which it shows soonest.
    package var profile: String
    /// In how many histories it must have shown: several times as many as it took when this was written.
    package var histories: UInt64

    /// One for each mistake, but for `noConfirm`, which no history has shown, and a test of the walk's steps shows.
    package static let all: [MistakeSearch] = [
        MistakeSearch(.noPrep, in: "2 of 3", histories: 20),
        MistakeSearch(.flatClass, in: "2 of 3", histories: 60),
        MistakeSearch(.fastOverProm, in: "2 of 3", histories: 40),
        MistakeSearch(.noWriteback, in: "2 of 3", histories: 20),
        MistakeSearch(.verOnly, in: "2 of 3, restarts", histories: 2_000),
        MistakeSearch(.earlyDiscard, in: "2 of 3", histories: 20),
        MistakeSearch(.copySync, in: "2 of 3, restarts", histories: 60),
        MistakeSearch(.amnesiaVote, in: "2 of 3", histories: 20),
        MistakeSearch(.stubAmn, in: "2 of 3", histories: 20),
        MistakeSearch(.noWalk, in: "2 of 3", histories: 20),
        MistakeSearch(.noSettle, in: "2 of 3, long times", histories: 12_000),
        MistakeSearch(.tokReuse, in: "2 of 3 in a pool of 5", histories: 12_000),
        MistakeSearch(.plainSet, in: "2 of 3", histories: 20),
        MistakeSearch(.olderWins, in: "2 of 3", histories: 20),
        MistakeSearch(.deleteTomb, in: "2 of 3", histories: 20),
        MistakeSearch(.ackOne, in: "2 of 3", histories: 20),
        MistakeSearch(.degFlat, in: "2 of 3, degraded served", histories: 40),
        MistakeSearch(.absReuse, in: "3 of 5, restarts", histories: 2_000),
        MistakeSearch(.shortTomb, in: "2 of 3, long times", histories: 12_000),
        MistakeSearch(.rowUnguarded, in: "2 of 3 and a database", histories: 20),
        MistakeSearch(.tombRowDropped, in: "2 of 3 and a database", histories: 20),
        MistakeSearch(.durableLater, in: "2 of 3 and a database", histories: 20),
        MistakeSearch(.oldCopies, in: "2 of 3 and a database", histories: 2_000),
        MistakeSearch(.noMark, in: "2 of 3 and a database, only losses", histories: 500),
        MistakeSearch(.rivalIgnored, in: "2 of 3 and a database, only losses", histories: 4_000),
        MistakeSearch(.noWord, in: "2 of 3 and a database, only gateways", histories: 1_000),
        MistakeSearch(.reapUnasked, in: "2 of 3 and a database, long times", histories: 100),
    ]

    private init(_ mistake: Mistake, in profile: String, histories: UInt64) {
        self.mistake = mistake
        self.profile = profile
        self.histories = histories
    }

    /// - Returns: nil if no history has shown it.
    package func run(from first: UInt64 = 1) -> (figures: Figures, finding: Simulation.Finding?) {
        let profiles = SimulationProfile.all.filter { $0.name == self.profile }
        return Simulation(profiles: profiles, mistake: self.mistake).run(first..<(first + self.histories))
    }
}
