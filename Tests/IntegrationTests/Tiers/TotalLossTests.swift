import Foundation
import GatewayTesting
import Testing

/// All memcacheds lose their memory at once, again and again, some of the time with one gateway or both: what goes back then is
/// no older than the database's interval, and says so.
///
///     SESSION_GATEWAY_LONG=1 swift test --filter TotalLossTests      2,000 sessions, 20 rounds of 1, 5 and 30 s; 1,000 sign-outs
///
/// Two thousand visitors at once need a release build of the gateway: SESSION_GATEWAY_BUILT_PRODUCTS names its directory.
@Suite(.serialized, .timeLimit(.minutes(30)))
struct TotalLossTests {
    private static func stack(_ directory: TemporaryDirectory, interval: Int) async throws -> FaultStack {
        try await FaultStack.ready {
            $0.gateways = 2
            $0.site = [
                "connect_timeout: 2s", "operation_timeout: 2s", "load_timeout: 2s", "database:",
                "  url: \"sqlite:\(directory.path("sessions.sqlite"))\"", "  statement_timeout: 5s",
                "  sync_interval: \(interval)s", "  reap_interval: 1s", "  reap_after: 2s",
            ]
        }
    }

    private static func loseEverything(_ stack: FaultStack, gateways: [Int]) {
        for gateway in gateways { stack.gateways[gateway].kill() }
        for memcached in stack.memcacheds { memcached.kill() }
    }

    private static func startEverything(_ stack: FaultStack, gateways: [Int]) async throws {
        for memcached in stack.memcacheds { try await memcached.start() }
        for gateway in gateways { try await stack.gateways[gateway].start() }
        try await stack.waitUntilComplete()
    }

    /// Somebody who saves all the time, and remembers what was acknowledged, and when.
    private struct Person: Sendable {
        let number: Int
        var visitor: CountingVisitor
        var acknowledged: [(count: Int, end: ContinuousClock.Instant, gateway: Int)] = []
        var saves = 0
        /// A save was told that it went on from an older state, or from what one gateway had while memcached was away.
        var wasTold = false

        mutating func save(_ stack: FaultStack, until isOver: Flag) async {
            if Campaign.isLong { try? await Task.sleep(for: .milliseconds(Int.random(in: 0...2_000))) }
            while !isOver.isSet {
                self.saves += 1
                let gateway = (self.number + self.saves / 4) % 2
                let client = stack.client(gateway)
                let visit = await self.visitor.write("\(self.number).\(self.saves)", through: client)
                if visit.outcome == "degraded" || visit.outcome == "reverted" { self.wasTold = true }
                guard visit.isAcknowledged else { continue }
                self.acknowledged.append(((visit.seen?.count ?? 0) + 1, visit.end, gateway))
                // Thousands at full speed, or all at the same moment, would measure the machine.
                let pause = Campaign.isLong ? 300...2_000 : 5...60
                try? await Task.sleep(for: .milliseconds(Int.random(in: pause)))
            }
        }

        /// The first read that promises something says where the session is, and whether it went back.
        mutating func look(_ stack: FaultStack) async -> (count: Int?, hasGoneBack: Bool) {
            var hasGoneBack = false
            for _ in 0..<100 {
                let visit = await self.visitor.read(through: stack.client(self.number % 2))
                if visit.outcome == "reverted" { hasGoneBack = true }
                if visit.isPromised { return (visit.seen?.count, hasGoneBack) }
                try? await Task.sleep(for: .milliseconds(100))
            }
            return (nil, hasGoneBack)
        }

        /// The last states, by which gateway they were acknowledged, and how long before the moment.
        private func story(before moment: ContinuousClock.Instant) -> String {
            self.acknowledged.suffix(16).map {
                "\($0.count) by \($0.gateway) at \(Int(($0.end - moment) / .milliseconds(1))) ms"
            }
            .joined(separator: ", ")
        }

        /// - Parameter moment: when everything was lost.
        mutating func judge(
            _ found: (count: Int?, hasGoneBack: Bool),
            at moment: ContinuousClock.Instant,
            interval: Duration
        ) {
            guard let count = found.count else {
                // A new one is in the database within a quarter of a second.
                let isNew = self.acknowledged.allSatisfy { $0.end > moment - .milliseconds(1_200) }
                #expect(isNew, "\(self.number) is missing; what was acknowledged: \(self.story(before: moment))")
                self.acknowledged = []
                return
            }
            func last(before time: Duration) -> Int {
                self.acknowledged.last { $0.end <= moment - time }?.count ?? 0
            }
            #expect(count >= last(before: interval + .seconds(1)), "\(self.number) is at \(count)")
            // The row hears within a quarter of a second that it is old, where the machine keeps up.
            if count < last(before: .milliseconds(1_200)) {
                #expect(
                    found.hasGoneBack || self.wasTold,
                    """
                    \(self.number) went back to \(count) without a word, asked for at gateway \(self.number % 2); what was \
                    acknowledged: \(self.story(before: moment))
                    """
                )
            }
            self.wasTold = false
            self.acknowledged.removeAll { $0.count > count }
        }
    }

    @Test(arguments: Campaign.isLong ? [1, 5, 30] : [1])
    func whatGoesBackIsYoungAndSaysSo(_ seconds: Int) async throws {
        let directory = try TemporaryDirectory()
        let stack = try await Self.stack(directory, interval: seconds)
        var people = (0..<Campaign.count(16, long: 2_000)).map {
            Person(number: $0, visitor: CountingVisitor(stack.client()))
        }
        var wentBack = 0
        for round in 0..<Campaign.count(4, long: 20) {
            let isOver = Flag()
            let saving = Task { [people] in
                try await Threads.map(0..<people.count, atOnce: people.count) { index in
                    var person = people[index]
                    await person.save(stack, until: isOver)
                    return person
                }
            }
            try await Task.sleep(for: .milliseconds(1_500 + Int.random(in: 0...(1_000 * seconds))))
            // What the gateways had in their memory is lost with them.
            let victims = [[0, 1], [], [round / 4 % 2], [0, 1]][round % 4]
            let moment = ContinuousClock.now
            Self.loseEverything(stack, gateways: victims)
            isOver.set()
            people = try await saving.value
            try await Self.startEverything(stack, gateways: victims)
            // Some had not come before everything was lost.
            for index in people.indices where !people[index].acknowledged.isEmpty {
                let found = await people[index].look(stack)
                if found.hasGoneBack { wentBack += 1 }
                people[index].judge(found, at: moment, interval: .seconds(seconds))
            }
        }
        #expect(wentBack > 0)
        #expect(people.allSatisfy { $0.saves > (Campaign.isLong ? 5 : 10) })
    }

    @Test func aSignOutThatWasAcknowledgedOutlivesTheGatewayAndAllMemcacheds() async throws {
        let directory = try TemporaryDirectory()
        let stack = try await Self.stack(directory, interval: 1)
        var acknowledged = 0
        for _ in 0..<Campaign.count(4, long: 40) {
            let cookies = try await Threads.map(0..<25, atOnce: 25) { number in
                var visitor = CountingVisitor(stack.client())
                for save in 0..<2 { _ = await visitor.write("\(number).\(save)") }
                return visitor.cookies
            }
            let isKilled = Flag()
            let gone = try await Threads.map(0..<25, atOnce: 25) { number in
                var visitor = CountingVisitor(stack.client(), cookies[number])
                let outcome = await visitor.read("control=destroy").outcome
                // Straight behind the first answer.
                if outcome == "destroyed", number == 12 {
                    isKilled.set()
                    Self.loseEverything(stack, gateways: [0])
                }
                return outcome == "destroyed"
            }
            if !isKilled.isSet { Self.loseEverything(stack, gateways: [0]) }
            try await Self.startEverything(stack, gateways: [0])
            for (number, cookies) in cookies.enumerated() where gone[number] {
                acknowledged += 1
                for gateway in 0..<2 {
                    // A late tab has the old cookie still.
                    var late = CountingVisitor(stack.client(gateway), cookies)
                    let visit = await late.read()
                    #expect(visit.seen == nil, "\(number) is back: \(visit.outcome)")
                }
            }
        }
        #expect(acknowledged > 10)
    }
}
