/// Milliseconds of some requests.
package struct Latencies: Sendable {
    private var values: [Double] = []
    private var isSorted = true

    package init() {}

    package mutating func add(_ milliseconds: Double) {
        self.values.append(milliseconds)
        self.isSorted = false
    }

    package var count: Int { self.values.count }

    /// - Parameter share: 0.5 is the median; the smallest value that this share of all does not exceed.
    package mutating func percentile(_ share: Double) -> Double? {
        if !self.isSorted {
            self.values.sort()
            self.isSorted = true
        }
        guard !self.values.isEmpty else { return nil }
        let rank = (Double(self.values.count) * share).rounded(.up)
        return self.values[min(max(Int(rank) - 1, 0), self.values.count - 1)]
    }
}
