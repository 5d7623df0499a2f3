import ArgumentParser
import Simulation

@main
struct SimulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Plays histories of sessions under faults, in virtual time, and judges what the visitors were told.",
        discussion: """
            The decisions are the gateway's own; servers, network, time and visitors are made up, each history by its \
            seed. The last line is "histories H operations O faults F violations V"; the exit status is 1 where V is \
            not 0.
            """
    )

    @Option(help: "How many histories.")
    var seeds: UInt64 = 1_000

    @Option(help: "The seed of the first history.")
    var first: UInt64 = 1

    @Option(help: "Plays this one history, and prints what happened.")
    var replay: UInt64?

    @Option(help: "Only this kind of pool and trouble, by name or a part of it; it decides what a seed tells.")
    var profile: String?

    @Option(help: "With this deliberate bug (\(Mistake.allCases.map(\.rawValue).joined(separator: ", "))).")
    var mistake: Mistake?

    @Flag(help: "Plays each deliberate bug until it shows; the exit status is 1 where one does not.")
    var mistakes = false

    @Option(help: "How many lines a violation's story has.")
    var trace = 60

    func run() throws {
        if self.mistakes { return try self.searchMistakes() }
        var simulation = Simulation(mistake: self.mistake)
        if let profile {
            let all = SimulationProfile.all
            let named = all.filter { $0.name == profile }
            simulation.profiles = named.isEmpty ? all.filter { $0.name.contains(profile) } : named
            guard !simulation.profiles.isEmpty else {
                let names = all.map(\.name).joined(separator: "; ")
                throw ValidationError("there is no such profile; there are: \(names)")
            }
        }
        var figures = Figures()
        var violations = 0
        let first = self.replay ?? self.first
        for seed in first..<(first + (self.replay == nil ? self.seeds : 1)) {
            let played = simulation.play(seed, traceLength: self.replay == nil ? 0 : self.trace)
            figures.add(played.figures)
            guard let finding = played.finding else { continue }
            violations += 1
            if self.mistake != nil, self.replay == nil {
                print(
                    "found after \(figures.histories) histories, \(figures.operations) operations:",
                    finding.violation
                )
                break
            }
            if violations <= 3 {
                // Once more, to tell the story.
                self.tell(simulation.play(seed, traceLength: self.trace).finding ?? finding)
            }
        }
        print(
            "loads \(figures.loads) acknowledged \(figures.acknowledged) discarded \(figures.discarded)",
            "unknown \(figures.unknown) unavailable \(figures.unavailable) degraded \(figures.degraded)",
            "destroyed \(figures.destroyed) moved \(figures.moved) sessions \(figures.sessions)",
            "exempt \(figures.exempt) restarts \(figures.restarts) walks \(figures.walks) messages \(figures.messages)"
        )
        print(
            "histories \(figures.histories) operations \(figures.operations) faults \(figures.faults)",
            "violations \(violations)"
        )
        if violations > 0 { throw ExitCode(1) }
    }

    /// That the checker sees what it is there for.
    private func searchMistakes() throws {
        var isEachFound = true
        for search in MistakeSearch.all {
            let (figures, finding) = search.run(from: self.first)
            if let finding {
                print(
                    "\(search.mistake.rawValue): found after \(figures.histories) histories,",
                    "\(figures.operations) operations (\(search.profile)): \(finding.violation)"
                )
            } else {
                print("\(search.mistake.rawValue): not found in \(figures.histories) histories (\(search.profile))")
                isEachFound = false
            }
        }
        guard isEachFound else { throw ExitCode(1) }
    }

    private func tell(_ finding: Simulation.Finding) {
        print("seed \(finding.seed) (\(finding.profile.name)): \(finding.violation)")
        for line in finding.trace { print("    \(line)") }
    }
}

extension Mistake: ExpressibleByArgument {}
