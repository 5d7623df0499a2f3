package import NIOCore

/// How many unknown ids a client address may ask for: `perSecond` a second, twice as many at once. A value:
/// time comes from outside, in milliseconds.
///
/// Remembers at most `maximumAddresses`. When there are more, all are forgotten, and the newcomers share what one address
/// has for the rest of the second: somebody with very many addresses is limited too.
package struct UnknownIDLimit: Sendable {
    package static let maximumAddresses = 8_192

    private struct Bucket: Sendable {
        var tokens: Double
        var filled: UInt64
    }

    private let perSecond: Double
    private var buckets: [[UInt8]: Bucket] = [:]
    /// Of those that are not remembered.
    private var others: Bucket
    private var isCrowdedUntil: UInt64 = 0

    package init(perSecond: Int) {
        self.perSecond = Double(perSecond)
        self.others = Bucket(tokens: Double(perSecond) * 2, filled: 0)
    }

    /// Whether an id of this client's may be asked for. Costs nothing yet: it may turn out to be known.
    ///
    /// - Parameter client: nil where it is not known: all of those share one.
    package mutating func admits(_ client: ByteBufferView?, at now: UInt64) -> Bool {
        self.withBucket(of: client, at: now) { $0.tokens >= 1 }
    }

    /// The id was nobody's.
    package mutating func charge(_ client: ByteBufferView?, at now: UInt64) {
        self.withBucket(of: client, at: now) { $0.tokens = max(0, $0.tokens - 1) }
    }

    private mutating func withBucket<Result>(
        of client: ByteBufferView?,
        at now: UInt64,
        _ body: (inout Bucket) -> Result
    ) -> Result {
        let address = client.map { Array($0) }
        if let address, self.buckets.count >= Self.maximumAddresses, self.buckets[address] == nil {
            self.buckets.removeAll(keepingCapacity: true)
            self.isCrowdedUntil = now &+ 1_000
        }
        guard let address, now >= self.isCrowdedUntil || self.buckets[address] != nil else {
            Self.fill(&self.others, self.perSecond, now)
            return body(&self.others)
        }
        var bucket = self.buckets[address] ?? Bucket(tokens: self.perSecond * 2, filled: now)
        defer { self.buckets[address] = bucket }
        Self.fill(&bucket, self.perSecond, now)
        return body(&bucket)
    }

    private static func fill(_ bucket: inout Bucket, _ perSecond: Double, _ now: UInt64) {
        let seconds = Double(now &- min(bucket.filled, now)) / 1_000
        bucket.tokens = min(bucket.tokens + seconds * perSecond, perSecond * 2)
        bucket.filled = max(bucket.filled, now)
    }
}
