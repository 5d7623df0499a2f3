/// A set of positions among the servers of a key: position 0 is the first server in ring order. At most 16.
package struct Positions: Sendable, Hashable {
    package var rawValue: UInt16

    package init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    package static func first(_ count: Int) -> Positions {
        Positions(rawValue: count >= 16 ? .max : (1 &<< UInt16(count)) &- 1)
    }

    package var count: Int { self.rawValue.nonzeroBitCount }
    package var isEmpty: Bool { self.rawValue == 0 }

    package func contains(_ position: Int) -> Bool {
        self.rawValue & Self.bit(position) != 0
    }

    package mutating func insert(_ position: Int) {
        self.rawValue |= Self.bit(position)
    }

    package mutating func remove(_ position: Int) {
        self.rawValue &= ~Self.bit(position)
    }

    package func union(_ other: Positions) -> Positions {
        Positions(rawValue: self.rawValue | other.rawValue)
    }

    package func subtracting(_ other: Positions) -> Positions {
        Positions(rawValue: self.rawValue & ~other.rawValue)
    }

    package func intersection(_ other: Positions) -> Positions {
        Positions(rawValue: self.rawValue & other.rawValue)
    }

    package func isDisjoint(with other: Positions) -> Bool {
        self.rawValue & other.rawValue == 0
    }

    /// The first `count` of them in ring order; all if there are fewer.
    package func prefix(_ count: Int) -> Positions {
        var result: Positions = []
        for position in self where result.count < count {
            result.insert(position)
        }
        return result
    }

    private static func bit(_ position: Int) -> UInt16 {
        // A smart shift: a position beyond the sixteenth is in no set.
        1 << position
    }
}

extension Positions: ExpressibleByArrayLiteral {
    package init(arrayLiteral positions: Int...) {
        self.init(rawValue: 0)
        for position in positions {
            self.insert(position)
        }
    }
}

extension Positions: Sequence {
    package struct Iterator: IteratorProtocol {
        fileprivate var rest: UInt16

        package mutating func next() -> Int? {
            guard self.rest != 0 else { return nil }
            let position = self.rest.trailingZeroBitCount
            self.rest &= self.rest &- 1
            return position
        }
    }

    package func makeIterator() -> Iterator { Iterator(rest: self.rawValue) }

    /// What is made of each of them is made room for at once.
    package var underestimatedCount: Int { self.count }
}
