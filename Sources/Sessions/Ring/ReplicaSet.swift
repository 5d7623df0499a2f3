/// The first servers of a key in ring order, as indexes of the ring's list; at most 16, held inline.
package struct ReplicaSet: Sendable, Hashable, RandomAccessCollection {
    package static let capacity = 16

    /// Lanes beyond `count` hold a number that is no server's.
    private var indexes = SIMD16<UInt16>(repeating: .max)
    package private(set) var count = 0

    package init() {}

    package var startIndex: Int { 0 }
    package var endIndex: Int { self.count }

    package subscript(position: Int) -> Int {
        precondition(position < self.count)
        return Int(self.indexes[position])
    }

    /// Does nothing if the set is full or the server is there already.
    mutating func append(_ server: UInt16) {
        guard self.count < Self.capacity, !any(self.indexes .== SIMD16(repeating: server)) else { return }
        self.indexes[self.count] = server
        self.count += 1
    }

    /// Puts a server in front of the others, of which the last goes if there are too many.
    mutating func moveToFront(_ server: UInt16) {
        var moved = server
        for position in 0..<self.count {
            swap(&self.indexes[position], &moved)
            if moved == server { return }
        }
        self.append(moved)
    }

    /// The lanes alone, for a table of many sets.
    var lanes: SIMD16<UInt16> { self.indexes }

    /// The first `count` of the lanes, which must be there.
    init(lanes: SIMD16<UInt16>, count: Int) {
        self.indexes = lanes.replacing(
            with: .max,
            where: Self.positions .>= SIMD16(repeating: UInt16(truncatingIfNeeded: count))
        )
        self.count = count
    }

    private static let positions = SIMD16<UInt16>(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
}
