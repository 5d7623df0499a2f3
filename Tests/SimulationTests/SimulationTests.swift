import HistoryChecker
import Simulation
import Testing

struct SimulationTests {
    @Test func aHistoryIsToldByItsSeed() {
        let simulation = Simulation()
        #expect(simulation.play(7).figures.messages == simulation.play(7).figures.messages)
        #expect(simulation.play(7).figures.messages != simulation.play(8).figures.messages)
    }

    /// A slice of the campaign; `swift run -c release simulate` plays more.
    @Test(arguments: 0..<8)
    func nothingThatWasPromisedIsBroken(_ part: UInt64) {
        let first = 1 + part * 25
        let (figures, finding) = Simulation().run(first..<first + 25)
        #expect(finding == nil, "seed \(finding?.seed ?? 0): \(String(describing: finding?.violation))")
        #expect(figures.operations > 0 && figures.faults > 0)
    }

    /// The checker sees what it is there for. Those that show rarely are played by `simulate --mistakes`.
    @Test(arguments: MistakeSearch.all.filter { $0.histories <= 60 })
    func aDeliberateBugShows(_ search: MistakeSearch) {
        let (_, finding) = search.run()
        #expect(finding != nil, "\(search.mistake.rawValue)")
    }
}
