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
}
