/// Under which a record was accepted, or a promise made; compared in the order of its fields.
package struct Ballot: Sendable, Hashable, Comparable {
    /// A fast record follows the record it was made from by one round trip; a slow one was prepared first and outranks
    /// every fast one of its round.
    package enum Class: UInt8, Sendable {
        case fast = 0
        case slow = 1
    }

    package var round: UInt32
    package var ballotClass: Class
    /// Above zero only for degraded writes: how many of them follow the last chosen record.
    package var depth: UInt8
    /// Random, new for every attempt: two attempts are never taken for one another.
    package var attempt: UInt64

    package init(round: UInt32, ballotClass: Class, depth: UInt8 = 0, attempt: UInt64) {
        self.round = round
        self.ballotClass = ballotClass
        self.depth = depth
        self.attempt = attempt
    }

    /// Below every ballot that is ever used.
    package static let none = Ballot(round: 0, ballotClass: .fast, depth: 0, attempt: 0)

    package static func < (left: Ballot, right: Ballot) -> Bool {
        if left.round != right.round { return left.round < right.round }
        if left.ballotClass != right.ballotClass { return left.ballotClass.rawValue < right.ballotClass.rawValue }
        if left.depth != right.depth { return left.depth < right.depth }
        return left.attempt < right.attempt
    }
}
