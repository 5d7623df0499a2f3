import Synchronization

/// A count that several threads keep.
final class ManagedCounter: Sendable {
    private let value = Atomic<Int>(0)

    /// - Returns: whether the count was below the limit and has been increased.
    func increment(upTo limit: Int) -> Bool {
        if self.value.wrappingAdd(1, ordering: .relaxed).newValue <= limit { return true }
        self.value.wrappingSubtract(1, ordering: .relaxed)
        return false
    }

    func decrement() {
        self.value.wrappingSubtract(1, ordering: .relaxed)
    }

    /// The count before; for turns among equals.
    func next() -> Int {
        self.value.wrappingAdd(1, ordering: .relaxed).oldValue
    }
}
