import NIOCore
import Sessions

/// One memcached, as far as the gateway's commands go: items with a token per change and an expiry by the server's own
/// clock, and a life that ends with a crash.
struct SimulatedServer {
    enum Value {
        case copy(ReplicaCopy)
        case bytes(ByteBuffer)
    }

    struct Item {
        var value: Value
        var token: UInt64
        /// By the server's clock.
        var expires: EventQueue.Time
        /// Likewise, but for the slides of loads that did not end well.
        var expiresUnslid: EventQueue.Time
    }

    /// By session.
    private(set) var items: [Item?] = []
    private var lastToken: UInt64 = 0
    private(set) var life = 1
    private(set) var isUp = true
    /// Counts; the present freeze, if any.
    private(set) var freeze: Int?
    private var freezes = 0
    /// What has arrived since it was frozen.
    private var inbox: [Message] = []
    /// The marker: whether it was walked in its present life.
    var isComplete = true
    /// What the marker says, and its token.
    private(set) var markerState: PoolState<SimulatedRing>?
    private(set) var markerToken: UInt64 = 0
    var leaseExpires = EventQueue.Time.min
    /// What its clock is ahead of the time of the world.
    private(set) var clockLead: EventQueue.Time = 0
    /// How far it was set back so far: by so much longer may it keep what it has.
    private(set) var lateness: EventQueue.Time = 0

    static let never = EventQueue.Time.max

    // MARK: Life

    mutating func mark(_ state: PoolState<SimulatedRing>) {
        self.lastToken += 1
        self.isComplete = true
        self.markerState = state
        self.markerToken = self.lastToken
    }

    mutating func crash() {
        self.markerState = nil
        self.items = []
        self.inbox = []
        self.isUp = false
        self.isComplete = false
        self.freeze = nil
    }

    /// Empty, and counting its tokens from the start again.
    mutating func restart() {
        self.isUp = true
        self.life += 1
        self.lastToken = 0
        self.leaseExpires = .min
    }

    mutating func freezeNow() -> Int {
        self.freezes += 1
        self.freeze = self.freezes
        return self.freezes
    }

    mutating func thaw() -> [Message] {
        self.freeze = nil
        defer { self.inbox = [] }
        return self.inbox
    }

    mutating func hold(_ message: Message) {
        self.inbox.append(message)
    }

    mutating func jump(_ time: EventQueue.Time) {
        self.clockLead += time
        self.lateness -= min(0, time)
    }

    // MARK: Items

    /// As a server sees it at a moment of the world: an expired item is none.
    mutating func item(_ session: Int, at time: EventQueue.Time) -> Item? {
        guard session < self.items.count, let item = self.items[session] else { return nil }
        guard item.expires > time + self.clockLead else {
            self.items[session] = nil
            return nil
        }
        return item
    }

    mutating func touch(_ session: Int, seconds: Int, at time: EventQueue.Time) {
        let expires = self.expiry(seconds, at: time)
        self.items[session]?.expires = expires
    }

    mutating func put(_ session: Int, _ value: Value, seconds: Int, at time: EventQueue.Time) -> UInt64 {
        while self.items.count <= session { self.items.append(nil) }
        self.lastToken += 1
        self.items[session] = Item(
            value: value,
            token: self.lastToken,
            expires: self.expiry(seconds, at: time),
            expiresUnslid: self.expiry(seconds, at: time)
        )
        return self.lastToken
    }

    /// The load that touched it has returned the session.
    mutating func confirmSlide(_ session: Int) {
        guard session < self.items.count, let expires = self.items[session]?.expires else { return }
        self.items[session]?.expiresUnslid = expires
    }

    /// As memcached does it when memory is short.
    mutating func forget(_ session: Int) {
        guard session < self.items.count else { return }
        self.items[session] = nil
    }

    /// The same value, with a new token.
    mutating func renewToken(_ session: Int) {
        guard session < self.items.count else { return }
        self.lastToken += 1
        self.items[session]?.token = self.lastToken
    }

    mutating func replaceValue(_ session: Int, _ value: Value) {
        self.items[session]?.value = value
    }

    /// Its clock ticks in seconds, as memcached's: a lifetime that is read and written within a tick stays as it is.
    private func tick(at time: EventQueue.Time) -> EventQueue.Time {
        let clock = time + self.clockLead
        let rest = clock % 1_000_000
        return clock - (rest < 0 ? rest + 1_000_000 : rest)
    }

    private func expiry(_ seconds: Int, at time: EventQueue.Time) -> EventQueue.Time {
        self.tick(at: time) + max(seconds, 1) * 1_000_000
    }

    /// What `t` says of an item that is there.
    func secondsToLive(_ item: Item, at time: EventQueue.Time) -> Int {
        (item.expires - self.tick(at: time)) / 1_000_000
    }
}
