import HistoryChecker
import Simulation
import Testing

/// One ring takes another one's place, under all faults.
struct RingChangeSimulationTests {
    private static let profiles = SimulationProfile.ringChanges

    /// A slice; `swift run -c release simulate --profile server` plays more.
    @Test(arguments: 0..<6)
    func nothingThatWasPromisedIsBrokenWhileServersComeAndGo(_ part: UInt64) {
        let first = 1 + part * 12
        let (figures, finding) = Simulation(profiles: Self.profiles).run(first..<first + 12)
        #expect(finding == nil, "seed \(finding?.seed ?? 0): \(String(describing: finding?.violation))")
        #expect(figures.operations > 0 && figures.faults > 0)
    }

    /// The histories are bounded: a checker that finds nothing in them is blind.
    @Test(arguments: [(Mistake.ringDirect, 20 as UInt64), (.ringNoWalk, 120)])
    func aChangeWithoutItsStagesIsFound(_ mistake: Mistake, _ histories: UInt64) {
        let finding = Simulation(profiles: Self.profiles, mistake: mistake).run(1...histories).finding
        #expect(finding != nil)
    }
}
