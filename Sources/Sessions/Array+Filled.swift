extension Array {
    /// Does what `init(repeating:count:)` does, of which the compiler leaves a part generic: that part asks for the type's
    /// metadata every time.
    init(filledWith element: Element, count: Int) {
        self = []
        self.reserveCapacity(count)
        for _ in 0..<count { self.append(element) }
    }
}
