import HistoryChecker
import Simulation
import Testing

/// A database behind the servers, all of which may lose their memory at once.
struct DatabaseSimulationTests {
    private static let profiles = SimulationProfile.databases

    /// A slice; `swift run -c release simulate --profile "and a database"` plays more.
    @Test(arguments: 0..<4)
    func nothingThatTheDatabaseHasIsLost(_ part: UInt64) {
        let first = 1 + part * 8
        let (figures, finding) = Simulation(profiles: Self.profiles).run(first..<first + 8)
        #expect(finding == nil, "seed \(finding?.seed ?? 0): \(String(describing: finding?.violation))")
        #expect(figures.doubts > 0 && figures.durable > 0 && figures.databaseCalls > 0)
    }
}
