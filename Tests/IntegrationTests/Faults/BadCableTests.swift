import GatewayTesting
import Testing

/// One memcached hangs on a bad cable: operations are lost, reset, cut, or late, on the way there and on the way back.
/// Sessions are created, read and changed on all servers meanwhile, through one gateway and through two.
struct BadCableTests {
    struct Trial: Sendable, CustomTestStringConvertible {
        var percent: Int
        var gateways: Int
        var testDescription: String { "\(self.percent) % through \(self.gateways) gateways" }
    }

    @Test(arguments: [
        Trial(percent: 1, gateways: 1), Trial(percent: 20, gateways: 1),
        Trial(percent: 1, gateways: 2), Trial(percent: 20, gateways: 2),
    ])
    func noOldDataWinsAndNothingAcknowledgedIsLost(_ trial: Trial) async throws {
        let bad = (trial.percent + trial.gateways) % 3
        let seed = Campaign.isLong ? UInt64.random(in: 0...9_999) : UInt64(trial.percent * 10 + trial.gateways)
        let stack = try await FaultStack.ready {
            $0.gateways = trial.gateways
            // Answers of the other two are never late, so that only the cable decides what fails.
            $0.site = ["connect_timeout: 500ms", "operation_timeout: 300ms", "load_timeout: 2s"]
            $0.cables = [bad: FaultyCable.Settings(percent: 0, seed: seed)]
            $0.top = "threads: 2"
        }
        let cable = try #require(stack.cables[bad])
        cable.set(percent: trial.percent)
        let rounds = Campaign.count(trial.percent == 1 ? 80 : 40, long: 2_000)

        // Twelve sessions, of which half have two browsers that get in each other's way.
        let histories = try await Threads.map(0..<12, atOnce: 12) { session in
            let history = SharedHistory()
            var first = CountingVisitor(stack.client(session % trial.gateways))
            for attempt in 0..<20 {
                let visit = await first.write("\(session).\(attempt)")
                history.add(visit)
                if visit.outcome == "new" { break }
            }
            let browsers = session % 2 == 0 ? 1 : 2
            let opened = first
            _ = try await Threads.map(0..<browsers, atOnce: browsers) { browser in
                var visitor = opened
                for round in 0..<rounds {
                    let client = stack.client((session + browser + round) % trial.gateways)
                    history.add(await visitor.write("\(session).\(browser).\(round)", through: client))
                    if round % 3 == 0 { history.add(await visitor.read(through: client)) }
                }
            }
            return (history, opened)
        }
        let counts = cable.counts
        cable.set(percent: 0)
        try await stack.waitUntilComplete([bad])

        var visits = 0
        var acknowledged = 0
        for (history, visitor) in histories {
            var visitor = visitor
            history.add(await visitor.read())
            let value = history.value
            #expect(value.violations() == [], "seed \(seed)")
            visits += value.visits.count
            acknowledged += value.acknowledged
        }
        #expect(counts.faults > 0, "\(counts.pieces) pieces")
        // Two healthy servers hold every session: the bad one costs time, not service.
        let refused = histories.flatMap { $0.0.value.visits }.filter { $0.status != 200 }.count
        #expect(refused * 100 <= visits * 3, "\(refused) of \(visits) refused")
        #expect(acknowledged * 2 > visits, "\(acknowledged) of \(visits) acknowledged")
    }
}

struct FaultyCableTests {
    @Test func aGoodCablePassesEverything() async throws {
        let memcached = try await MemcachedProcess()
        let cable = try await FaultyCable(to: memcached.port, FaultyCable.Settings(percent: 0, seed: 1))
        let answer = try await Threads.run {
            let socket = try ClientSocket(.port(cable.port), timeout: .seconds(5))
            try socket.send("mn\r\n")
            return try socket.receive()
        }
        #expect(answer == Array("MN\r\n".utf8))
    }
}
