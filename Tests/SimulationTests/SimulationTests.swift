import Simulation
import Testing

struct SimulationTests {
    @Test func aHistoryIsToldByItsSeed() {
        let simulation = Simulation()
        #expect(simulation.play(7).figures.messages == simulation.play(7).figures.messages)
        #expect(simulation.play(7).figures.messages != simulation.play(8).figures.messages)
    }
}
