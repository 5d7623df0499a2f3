package import NIOCore

/// How many unknown ids a client address may ask for: `perSecond` a second, twice as many at once. A value: time comes from
/// outside, in milliseconds.
///
/// Each look is admitted first and settled when it is known whose the id is: what is under way counts as unknown until then.
/// Where a client has asked for no unknown id lately, five times `perSecond` may be under way instead: after a restart of
/// memcached all ids behind one address are looked up at once, and all are known. If they are not, the client has spent in
/// advance what it gets within the next seconds.
///
/// Remembers at most `maximumAddresses`. When there are more, those with nothing under way are forgotten, and the newcomers
/// share what one address has for the rest of the second: somebody with very many addresses is limited too.
package struct UnknownIDLimit: Sendable {
    package static let maximumAddresses = 8_192

    private struct Bucket: Sendable {
        /// Below zero where more was spent than there was.
        var tokens: Double
        var filled: UInt64
        var underWay = 0
    }

    /// One that was admitted.
    package struct Look: Sendable {
        /// Nil: of those that are not remembered.
        fileprivate let address: [UInt8]?
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

    /// - Parameter client: nil where it is not known: all of those share one.
    /// - Returns: nil where it may not be asked for; else what `settle` wants.
    package mutating func admit(_ client: ByteBufferView?, at now: UInt64) -> Look? {
        let look = Look(address: client.flatMap { self.remembered(Array($0), at: now) })
        return self.withBucket(of: look, at: now) { bucket, capacity in
            let left = (bucket.tokens == capacity ? capacity * 2.5 : bucket.tokens) - Double(bucket.underWay)
            guard left >= 1 else { return nil }
            bucket.underWay += 1
            return look
        }
    }

    /// The end of a look.
    /// - Parameter isKnown: then it costs nothing.
    package mutating func settle(_ look: Look, isKnown: Bool, at now: UInt64) {
        self.withBucket(of: look, at: now) { bucket, _ in
            bucket.underWay = max(0, bucket.underWay - 1)
            if !isKnown { bucket.tokens -= 1 }
        }
    }

    private mutating func remembered(_ address: [UInt8], at now: UInt64) -> [UInt8]? {
        if self.buckets[address] != nil { return address }
        if self.buckets.count >= Self.maximumAddresses, now >= self.isCrowdedUntil {
            self.buckets = self.buckets.filter { $0.value.underWay > 0 }
            self.isCrowdedUntil = now &+ 1_000
        }
        guard now >= self.isCrowdedUntil, self.buckets.count < Self.maximumAddresses else { return nil }
        return address
    }

    private mutating func withBucket<Result>(
        of look: Look,
        at now: UInt64,
        _ body: (inout Bucket, _ capacity: Double) -> Result
    ) -> Result {
        let capacity = self.perSecond * 2
        guard let address = look.address else {
            Self.fill(&self.others, capacity, now)
            return body(&self.others, capacity)
        }
        var bucket = self.buckets[address] ?? Bucket(tokens: capacity, filled: now)
        Self.fill(&bucket, capacity, now)
        defer { self.buckets[address] = bucket }
        return body(&bucket, capacity)
    }

    private static func fill(_ bucket: inout Bucket, _ capacity: Double, _ now: UInt64) {
        let seconds = Double(now &- min(bucket.filled, now)) / 1_000
        bucket.tokens = min(bucket.tokens + seconds * capacity / 2, capacity)
        bucket.filled = max(bucket.filled, now)
    }
}
