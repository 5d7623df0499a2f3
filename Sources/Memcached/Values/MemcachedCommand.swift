package import NIOCore

/// The commands that the gateway needs, all of them meta commands of memcached ≥ 1.6.18 (`doc/protocol.txt`).
///
/// There is no plain set and no plain delete: every write is an add, or conditional on the token of what is there.
package enum MemcachedCommand: Sendable {
    /// `mg`: the value, its token and its time to live; with `touch` the time to live starts anew first, which leaves
    /// the token alone. Answered by `.hit` or `.miss`.
    case get(MemcachedKey, touch: MemcachedExpiry?)
    /// `mg … f`: the value and the flags that another program has stored it with; changes nothing. Answered by `.fetched`
    /// or `.miss`.
    case fetch(MemcachedKey)
    /// `ms … ME`: stores only where there is nothing. Answered by `.stored` or `.notStored`.
    case add(MemcachedKey, MemcachedValue, MemcachedExpiry)
    /// `ms … C<token>`: stores only over the very item that the token came with. Answered by `.stored`, `.exists`
    /// (another item) or `.notFound`.
    case compareAndSet(MemcachedKey, MemcachedValue, token: UInt64, MemcachedExpiry)
    /// `md … C<token>`: deletes only the very item that the token came with. Answered by `.deleted`, `.exists` (another item)
    /// or `.notFound`. Not for sessions: what is destroyed leaves a tombstone.
    case delete(MemcachedKey, token: UInt64)
    /// `mn`. Answered by `.noop`.
    case noop
    /// `version`. Answered by `.version`.
    case version
    /// `stats settings`. Answered by `.settings`.
    case settings
    /// `stats`. Answered by `.statistics`.
    case statistics
}

/// What is stored: the bytes of `head` followed by those of `body`. They are not copied together unless they are small.
package struct MemcachedValue: Sendable, Equatable {
    package var head: ByteBuffer
    package var body: ByteBuffer

    package init(head: ByteBuffer, body: ByteBuffer = ByteBuffer()) {
        self.head = head
        self.body = body
    }

    package var length: Int { self.head.readableBytes + self.body.readableBytes }
}
