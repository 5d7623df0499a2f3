@testable import Sessions

/// A deliberate bug, to show that what is checked can fail. The simulation has them all.
enum Mistake: Hashable, CaseIterable {
    /// Servers write without looking at the token.
    case plainSet
    /// The walk does not wait until what was under way can no more be acknowledged.
    case noSettle
}

/// One memcached, as far as one key is concerned: an item, a token per change, a life that ends with a crash.
struct ModelServer: Sendable {
    struct Item: Sendable {
        /// Nil where the value does not decode.
        var copy: ReplicaCopy?
        var token: UInt64
        /// Nil never expires. Nothing expires here by itself: the number shows what was asked for.
        var secondsToLive: Int?
    }

    static let idleSeconds = 1_440

    private(set) var item: Item?
    private var lastToken: UInt64 = 0
    private(set) var life = 1
    var isComplete = true

    /// Back at once, empty, and counting its tokens from the start again.
    mutating func crash() {
        self.item = nil
        self.lastToken = 0
        self.life += 1
        self.isComplete = false
    }

    mutating func corrupt() {
        guard self.item != nil else { return }
        self.lastToken += 1
        self.item?.copy = nil
        self.item?.token = self.lastToken
    }

    /// As memcached does it when memory is short, or the time is over.
    mutating func forgetItem() {
        self.item = nil
    }

    mutating func put(_ copy: ReplicaCopy, secondsToLive: Int? = Self.idleSeconds) {
        self.lastToken += 1
        self.item = Item(copy: copy, token: self.lastToken, secondsToLive: secondsToLive)
    }

    mutating func apply(
        _ command: ReplicaCommand,
        over connection: ConnectionIdentity,
        _ mistakes: Set<Mistake>
    ) -> ReplicaAnswer {
        switch command {
        case .read(let touch):
            guard let item = self.item else {
                return .absent(connection, isComplete: self.isComplete)
            }
            if touch { self.item?.secondsToLive = Self.idleSeconds }
            let token = ReplicaToken(value: item.token, connection: connection)
            return item.copy.map { .copy($0, token, secondsToLive: item.secondsToLive) } ?? .corrupt(token)
        case .write(let copy, let condition, let lifetime):
            switch condition {
            case .add:
                guard self.item == nil else { return .refused }
            case .compareAndSet(let token):
                guard let item = self.item else { return .refused }
                guard item.token == token.value || mistakes.contains(.plainSet) else { return .refused }
            }
            self.put(copy, secondsToLive: Self.seconds(lifetime))
            return .stored(ReplicaToken(value: self.lastToken, connection: connection))
        }
    }

    private static func seconds(_ lifetime: CopyLifetime) -> Int? {
        switch lifetime {
        case .idle: Self.idleSeconds
        case .remaining(let seconds): seconds
        case .promise(let seconds): seconds.map { max($0, 3_600) }
        case .tombstone: 86_400
        }
    }
}
