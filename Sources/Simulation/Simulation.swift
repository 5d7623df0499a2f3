package import HistoryChecker

/// Histories of sessions under faults, each told by its seed.
package struct Simulation: Sendable {
    /// What was found in one history, with what led to it.
    package struct Finding: Sendable {
        package var seed: UInt64
        package var profile: SimulationProfile
        package var violation: Violation
        /// The last things that happened to the session.
        package var trace: [String] = []
    }

    /// One after another, by seed.
    package var profiles: [SimulationProfile]
    package var mistake: Mistake?

    package init(profiles: [SimulationProfile] = SimulationProfile.all, mistake: Mistake? = nil) {
        self.profiles = profiles
        self.mistake = mistake
    }

    package func profile(of seed: UInt64) -> SimulationProfile {
        self.profiles[Int(seed % UInt64(self.profiles.count))]
    }

    /// Plays one history.
    /// - Parameter traceLength: how many lines a finding tells; 0 for none, which is faster.
    package func play(_ seed: UInt64, traceLength: Int = 0) -> (figures: Figures, finding: Finding?) {
        let profile = self.profile(of: seed)
        let world = SimulatedWorld(profile, seed: seed, mistake: self.mistake, isTraced: traceLength > 0)
        world.play()
        var figures = world.figures
        figures.histories = 1
        let finding = world.checker.violations.first.map { violation in
            Finding(
                seed: seed,
                profile: profile,
                violation: violation,
                trace: world.trace?.excerpt(of: violation.session?.index, count: traceLength) ?? []
            )
        }
        return (figures, finding)
    }

    /// Plays histories until one finds something.
    package func run(_ seeds: some Sequence<UInt64>) -> (figures: Figures, finding: Finding?) {
        var figures = Figures()
        for seed in seeds {
            let played = self.play(seed)
            figures.add(played.figures)
            if let finding = played.finding { return (figures, finding) }
        }
        return (figures, nil)
    }
}
