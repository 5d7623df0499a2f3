/// Waits for what gives no event: a process that gets ready, a file that fills.
package enum Eventually {
    /// Asks every 5 ms.
    /// - Throws: after the limit, and whatever the condition throws.
    package static func holds(
        within limit: Duration = .seconds(30),
        _ what: @autoclosure () -> String,
        _ condition: () async throws -> Bool
    ) async throws {
        _ = try await self.value(within: limit, what()) { try await condition() ? true : nil }
    }

    package static func value<Value>(
        within limit: Duration = .seconds(30),
        _ what: @autoclosure () -> String,
        _ condition: () async throws -> Value?
    ) async throws -> Value {
        let deadline = ContinuousClock.now + limit
        while true {
            if let value = try await condition() { return value }
            guard .now < deadline else { throw TestingError("waited \(limit) in vain for \(what())") }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}
