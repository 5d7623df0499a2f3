import Foundation
import GatewayTesting
import Testing

/// Two gateways over the same memcacheds and one database, the clock of one ten minutes ahead.
@Suite(.serialized, .timeLimit(.minutes(4)))
struct HybridFleetTests {
    private static func settings(_ url: String, _ clock: FalseClock?) -> FaultStack.Settings {
        FaultStack.Settings {
            $0.gateways = clock == nil ? 1 : 2
            if let clock { $0.gatewayEnvironments = [1: clock.environment] }
            $0.site = [
                "connect_timeout: 2s", "operation_timeout: 2s", "load_timeout: 2s", "database:", "  url: \"\(url)\"",
                "  statement_timeout: 5s", "  sync_interval: 1s", "  reap_interval: 1s", "  reap_after: 1s",
            ]
        }
    }

    private static func server(_ kind: String) async throws -> any DatabaseServerProcess {
        if kind == "postgresql" { try await PostgreSQLProcess() } else { try await MariaDBProcess() }
    }

    /// A visitor whose saves are all of one kind, through both gateways in turn.
    private struct Person: Sendable {
        let number: Int
        let isDurable: Bool
        var visitor: CountingVisitor
        var history = VisitHistory()
        var saves = 0
        var reverted = 0
        var loggedOut = 0

        mutating func visit(_ stack: FaultStack, for time: Duration) async {
            let end = ContinuousClock.now + time
            while ContinuousClock.now < end {
                let client = stack.client(self.saves % stack.gateways.count)
                self.visitor = CountingVisitor(client, self.visitor.cookies)
                self.saves += 1
                let hadSession = self.history.acknowledged > 0
                let visit = await self.visitor.write(
                    "\(self.number)-\(self.saves)",
                    self.isDurable ? "control=durable" : ""
                )
                self.history.add(visit)
                if visit.outcome == "reverted" { self.reverted += 1 }
                if hadSession, visit.status == 200, visit.seen == nil { self.loggedOut += 1 }
                try? await Task.sleep(for: .milliseconds(20))
            }
        }

        /// The write that a load must show, or what came of it.
        var last: Visit? { self.history.visits.last { $0.isAcknowledged } }
    }

    private static func visit(
        _ people: [Person],
        _ stack: FaultStack,
        for time: Duration,
        meanwhile: @Sendable () async throws -> Void = {}
    ) async throws -> [Person] {
        try await withThrowingTaskGroup(of: Person?.self) { group in
            for person in people {
                group.addTask {
                    var person = person
                    await person.visit(stack, for: time)
                    return person
                }
            }
            try await meanwhile()
            var back: [Person] = []
            for try await person in group { if let person { back.append(person) } }
            return back.sorted { $0.number < $1.number }
        }
    }

    private static func restartMemcacheds(_ stack: FaultStack) async throws {
        for memcached in stack.memcacheds { memcached.kill() }
        for memcached in stack.memcacheds { try await memcached.start() }
    }

    @Test(arguments: ["postgresql", "mariadb"])
    func whateverFailsAtOnceNobodyIsLoggedOutAndNothingDurableIsLost(_ kind: String) async throws {
        let server = try await Self.server(kind)
        let url = try await server.createDatabase("sessions")
        let clock = try FalseClock(600)
        let stack = try await FaultStack(Self.settings(url, clock))
        try await stack.waitUntilComplete()
        var people = (0..<6).map {
            Person(number: $0, isDurable: $0 < 3, visitor: CountingVisitor(stack.client()))
        }
        var gone = CountingVisitor(stack.client(0))
        #expect(await gone.write("gone", "control=durable").outcome == "new")

        // Saving, syncing and reaping at once. One memcached at a time restarts: nothing is lost, durable or not.
        people = try await Self.visit(people, stack, for: .seconds(8)) {
            for index in stack.memcacheds.indices {
                try await stack.memcacheds[index].restart()
                try await stack.waitUntilComplete([index])
            }
        }
        for person in people {
            #expect(person.history.violations().isEmpty, "\(person.history.violations().prefix(3))")
            #expect(person.loggedOut == 0 && person.reverted == 0 && person.history.acknowledged > 5)
        }

        // All at once, a sign-out before.
        var late = gone
        #expect(await gone.read("control=destroy").outcome == "destroyed")
        people = try await Self.visit(people, stack, for: .seconds(6)) {
            try await Task.sleep(for: .seconds(2))
            try await Self.restartMemcacheds(stack)
        }
        try await stack.waitUntilComplete()
        for person in people {
            #expect(person.loggedOut == 0, "\(person.number) was logged out")
            #expect(person.reverted <= 1, "\(person.number) went back \(person.reverted) times")
            // All of a durable visitor's acknowledged saves are in all that was read later.
            if person.isDurable {
                #expect(person.history.violations().isEmpty, "\(person.history.violations().prefix(3))")
                #expect(person.reverted == 0)
            }
        }

        // The rows are what the visitors have seen last: memcached starts empty.
        for gateway in stack.gateways { #expect(try await gateway.stop() == .status(0)) }
        try await Self.restartMemcacheds(stack)
        for gateway in stack.gateways { try await gateway.start() }
        try await stack.waitUntilComplete()
        for var person in people {
            let visit = await person.visitor.read(through: stack.client(person.number % 2))
            #expect(visit.seen != nil, "\(person.number): \(visit.outcome)")
            person.history.add(visit)
            if person.isDurable { #expect(person.history.violations().isEmpty) }
            if let last = person.last, last.isAcknowledged, last.seen != nil, person.reverted == 0 {
                #expect(visit.seen?.count ?? 0 >= (last.seen?.count ?? 0) + 1)
            }
        }
        for gateway in 0..<2 { #expect(await late.read(through: stack.client(gateway)).seen == nil) }
        try await server.kill()
    }

    @Test func aKilledGatewayLosesNothingThatIsDurable() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("sessions.sqlite")
        let stack = try await FaultStack(Self.settings("sqlite:\(path)", nil))
        try await stack.waitUntilComplete()
        var people = (0..<4).map { Person(number: $0, isDurable: true, visitor: CountingVisitor(stack.client())) }
        var random = SystemRandomNumberGenerator()
        for _ in 0..<5 {
            let pause = Duration.milliseconds(Int.random(in: 300...1_200, using: &random))
            people = try await Self.visit(people, stack, for: pause + .milliseconds(300)) {
                try await Task.sleep(for: pause)
                stack.gateway.kill()
            }
            // With it all that memcached has, so that the file is what is left.
            try await Self.restartMemcacheds(stack)
            try await stack.gateway.start()
            try await stack.waitUntilComplete()
        }
        for person in people {
            var person = person
            person.history.add(await person.visitor.read())
            #expect(person.history.violations().isEmpty, "\(person.history.violations().prefix(3))")
            #expect(person.history.acknowledged > 3)
        }
        #expect(try await stack.gateway.stop() == .status(0))
        let check = try ServerProcess(
            Executable.find("sqlite3", package: "sqlite3"),
            [path, "PRAGMA integrity_check"],
            output: directory.path("check")
        )
        _ = try await check.waitForEnd()
        #expect(check.output == "ok\n")
    }
}
