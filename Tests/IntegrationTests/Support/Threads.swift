import Foundation
import GatewayTesting

/// Work that blocks, on threads of its own: the tasks of the tests share two.
enum Threads {
    static func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            let thread = Thread { continuation.resume(with: Swift.Result { try body() }) }
            thread.stackSize = 512 * 1_024
            thread.start()
        }
    }

    /// Runs the body for each number, so many at a time, and gives back what they returned, in the order of the numbers.
    static func map<Result: Sendable>(
        _ numbers: Range<Int>,
        atOnce: Int,
        _ body: @escaping @Sendable (Int) async throws -> Result
    ) async throws -> [Result] {
        try await withThrowingTaskGroup(of: (Int, Result).self) { group in
            var results: [Int: Result] = [:]
            var next = numbers.lowerBound
            while results.count < numbers.count {
                while next < numbers.upperBound, next - numbers.lowerBound - results.count < atOnce {
                    let number = next
                    group.addTask { (number, try await body(number)) }
                    next += 1
                }
                if let (number, result) = try await group.next() { results[number] = result }
            }
            return numbers.compactMap { results[$0] }
        }
    }
}

/// Whether campaigns run at their full length; CI runs a slice of each.
enum Campaign {
    static let isLong = ProcessInfo.processInfo.environment["SESSION_GATEWAY_LONG"] == "1"

    static func count(_ slice: Int, long: Int) -> Int { self.isLong ? long : slice }
}
