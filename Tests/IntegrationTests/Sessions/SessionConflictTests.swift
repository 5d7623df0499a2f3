import GatewayTesting
import Testing

extension SessionPathTests {
    /// The slow request of the mission: what is late is dropped, visibly, and what was saved meanwhile stays.
    struct SessionConflictTests {
        @Test func theSlowRequestIsDiscardedAndTheOthersDataIsThere() async throws {
            var visitor = try Visitor(site: "conflict")
            _ = try await visitor.view("/page.php?set=start")
            let start = visitor
            async let slow = { () async throws -> SessionView in
                var visitor = start
                return try await visitor.view("/page.php?wait=conflict&set=slow")
            }()
            try await Eventually.holds(within: .seconds(30), "the slow request") {
                try await visitor.isReached("conflict")
            }
            #expect(try await visitor.view("/page.php?set=quick").outcome == "saved")
            #expect(try await visitor.view("/page.php?set=quicker").outcome == "saved")
            try visitor.letGo("conflict")

            let discarded = try await slow
            #expect(discarded.outcome == "discarded")
            #expect(discarded.text == "start")
            #expect(discarded.response.headers("Set-Cookie").isEmpty)
            let kept = try await visitor.view()
            #expect(kept.text == "quicker")
            #expect(kept.version > discarded.version)

            let lines = visitor.stack.logLines("discarded", "site=conflict")
            #expect(lines.count == 1, "\(lines)")
            #expect(lines.first?.contains("loaded_version=\(discarded.version) ") == true)
            #expect(lines.first?.contains("winning_version=\(kept.version) ") == true, "\(lines)")
            #expect(lines.first?.contains(discarded.id) == false)
        }

        @Test func aSlowRequestThatChangesNothingDisturbsNobody() async throws {
            var visitor = try Visitor()
            _ = try await visitor.view("/page.php?set=start")
            let start = visitor
            async let slow = { () async throws -> SessionView in
                var visitor = start
                return try await visitor.view("/page.php?wait=idle&set=start")
            }()
            try await Eventually.holds(within: .seconds(30), "the slow request") { try await visitor.isReached("idle") }
            _ = try await visitor.view("/page.php?set=changed")
            try visitor.letGo("idle")
            #expect(try await slow.outcome == "unchanged")
            #expect(try await visitor.view().text == "changed")
        }

        @Test func ofManyRequestsAtOnceOneIsSaved() async throws {
            var visitor = try Visitor()
            _ = try await visitor.view("/page.php?set=start")
            let start = visitor
            let outcomes = try await withThrowingTaskGroup { group in
                for number in 0..<4 {
                    group.addTask {
                        var visitor = start
                        return (number, try await visitor.view("/page.php?wait=many\(number)&set=\(number)").outcome)
                    }
                }
                for number in 0..<4 {
                    try await Eventually.holds(within: .seconds(30), "request \(number)") {
                        try await start.isReached("many\(number)")
                    }
                }
                for number in 0..<4 { try start.letGo("many\(number)") }
                return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            #expect(outcomes.values.filter { $0 == "saved" }.count == 1, "\(outcomes)")
            #expect(outcomes.values.filter { $0 == "discarded" }.count == 3, "\(outcomes)")
            let kept = try await visitor.view()
            #expect(outcomes[Int(kept.text) ?? -1] == "saved")
        }
    }
}

extension Visitor {
    /// Whether a page that was asked to `wait` has begun (contract.php).
    func isReached(_ name: String) async throws -> Bool {
        self.stack.exists("\(name).reached")
    }

    /// Lets it go on.
    func letGo(_ name: String) throws {
        try self.stack.write("\(name).go", "")
    }
}
