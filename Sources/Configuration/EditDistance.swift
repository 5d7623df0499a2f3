/// Finds what somebody meant who wrote something similar.
package enum EditDistance {
    /// The nearest of the candidates, if it is near enough to be a slip: at most a third of the letters differ.
    package static func nearest(to word: String, among candidates: some Sequence<String>) -> String? {
        let word = Array(word.utf8.prefix(64))
        var best: (candidate: String, distance: Int)?
        for candidate in candidates {
            let distance = self.distance(word, Array(candidate.utf8))
            if distance < best?.distance ?? Int.max {
                best = (candidate, distance)
            }
        }
        guard let best, best.distance <= max(1, max(word.count, best.candidate.utf8.count) / 3) else { return nil }
        return best.candidate
    }

    /// Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other, at the least
    /// (optimal string alignment); letters that differ only in case, or `-` for `_`, count as equal.
    static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        let left = left.map(Self.folded)
        let right = right.map(Self.folded)
        var beforePrevious = [Int](repeating: 0, count: right.count + 1)
        var previous = Array(0...right.count)
        for i in left.indices {
            var current = [i + 1]
            for j in right.indices {
                var best = min(previous[j + 1] + 1, current[j] + 1, previous[j] + (left[i] == right[j] ? 0 : 1))
                if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                    best = min(best, beforePrevious[j - 1] + 1)
                }
                current.append(best)
            }
            beforePrevious = previous
            previous = current
        }
        return previous[right.count]
    }

    private static func folded(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
        case UInt8(ascii: "-"): UInt8(ascii: "_")
        default: byte
        }
    }
}
