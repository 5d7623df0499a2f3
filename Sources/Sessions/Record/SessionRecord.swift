package import NIOCore

/// A session as stored: what one write made of it.
package struct SessionRecord: Sendable, Equatable {
    /// Milliseconds since 1970, by the clock of the gateway that wrote.
    package typealias Timestamp = UInt64

    /// How many earlier writes a record names. With 8, a save that lost more than 8 versions ago is `unknown`.
    package static let maximumAncestors = 8

    /// One object: in every request the record goes through many hands, each of which would copy all of it.
    private var storage: Storage

    package init(
        identity: WriteIdentity,
        ancestors: [WriteIdentity] = [],
        accepted: Ballot = .none,
        holders: Positions = [],
        placement: UInt32 = 0,
        isTombstone: Bool = false,
        created: Timestamp,
        written: Timestamp,
        databaseSynced: Timestamp = 0,
        cookieIssued: Timestamp = 0,
        idleSeconds: UInt32,
        absoluteDeadline: Timestamp,
        payload: ByteBuffer
    ) {
        self.storage = Storage(
            Fields(
                identity: identity,
                ancestors: ancestors,
                accepted: accepted,
                holders: holders,
                placement: placement,
                isTombstone: isTombstone,
                created: created,
                written: written,
                databaseSynced: databaseSynced,
                cookieIssued: cookieIssued,
                idleSeconds: idleSeconds,
                absoluteDeadline: absoluteDeadline,
                payload: payload
            )
        )
    }

    package var base: WriteIdentity? { self.ancestors.first }

    /// The ancestors of a record that is made from this one.
    package var lineage: [WriteIdentity] {
        [self.identity] + self.ancestors.prefix(Self.maximumAncestors - 1)
    }

    /// The record that ends this session: no payload, the same line of descent.
    package func tombstone(identity: WriteIdentity, now: Timestamp) -> SessionRecord {
        var tombstone = self
        tombstone.identity = identity
        tombstone.ancestors = self.lineage
        tombstone.isTombstone = true
        tombstone.written = now
        tombstone.payload = ByteBuffer()
        return tombstone
    }

    /// The record that ends a session of which no server that answered has anything.
    package static func tombstoneOfNothing(identity: WriteIdentity, now: Timestamp) -> SessionRecord {
        SessionRecord(
            identity: identity,
            isTombstone: true,
            created: now,
            written: now,
            idleSeconds: 0,
            absoluteDeadline: .max,
            payload: ByteBuffer()
        )
    }
}

extension SessionRecord {
    private struct Fields: Sendable, Equatable {
        var identity: WriteIdentity
        var ancestors: [WriteIdentity]
        var accepted: Ballot
        var holders: Positions
        var placement: UInt32
        var isTombstone: Bool
        var created: Timestamp
        var written: Timestamp
        var databaseSynced: Timestamp
        var cookieIssued: Timestamp
        var idleSeconds: UInt32
        var absoluteDeadline: Timestamp
        var payload: ByteBuffer
    }

    /// `@unchecked Sendable`: changed only by the one record that holds it.
    private final class Storage: @unchecked Sendable {
        var fields: Fields

        init(_ fields: Fields) {
            self.fields = fields
        }
    }

    private mutating func change(_ body: (inout Fields) -> Void) {
        if !isKnownUniquelyReferenced(&self.storage) { self.storage = Storage(self.storage.fields) }
        body(&self.storage.fields)
    }

    package static func == (one: SessionRecord, other: SessionRecord) -> Bool {
        one.storage === other.storage || one.storage.fields == other.storage.fields
    }

    package var identity: WriteIdentity {
        get { self.storage.fields.identity }
        set { self.change { $0.identity = newValue } }
    }

    /// The write that this one was made from, and those before it; newest first.
    package var ancestors: [WriteIdentity] {
        get { self.storage.fields.ancestors }
        set { self.change { $0.ancestors = newValue } }
    }

    package var accepted: Ballot {
        get { self.storage.fields.accepted }
        set { self.change { $0.accepted = newValue } }
    }

    /// The servers it was sent to: positions in the replica set that `placement` names.
    package var holders: Positions {
        get { self.storage.fields.holders }
        set { self.change { $0.holders = newValue } }
    }

    /// Names the replica set in which `holders` has its meaning.
    package var placement: UInt32 {
        get { self.storage.fields.placement }
        set { self.change { $0.placement = newValue } }
    }

    /// Terminal: the record of a destroyed session.
    package var isTombstone: Bool {
        get { self.storage.fields.isTombstone }
        set { self.change { $0.isTombstone = newValue } }
    }

    package var created: Timestamp {
        get { self.storage.fields.created }
        set { self.change { $0.created = newValue } }
    }

    package var written: Timestamp {
        get { self.storage.fields.written }
        set { self.change { $0.written = newValue } }
    }

    /// Of the last write to the database tier; 0 where there was none.
    package var databaseSynced: Timestamp {
        get { self.storage.fields.databaseSynced }
        set { self.change { $0.databaseSynced = newValue } }
    }

    /// When the cookie was last sent; 0 for cookies without a lifetime.
    package var cookieIssued: Timestamp {
        get { self.storage.fields.cookieIssued }
        set { self.change { $0.cookieIssued = newValue } }
    }

    package var idleSeconds: UInt32 {
        get { self.storage.fields.idleSeconds }
        set { self.change { $0.idleSeconds = newValue } }
    }

    package var absoluteDeadline: Timestamp {
        get { self.storage.fields.absoluteDeadline }
        set { self.change { $0.absoluteDeadline = newValue } }
    }

    package var payload: ByteBuffer {
        get { self.storage.fields.payload }
        set { self.change { $0.payload = newValue } }
    }
}

/// What one server keeps for a key: a promise, and the record it last accepted.
package struct ReplicaCopy: Sendable, Equatable {
    /// Never below the record's ballot.
    package var promised: Ballot
    /// Nil in a stub: a server that promised before it ever held the key.
    package var record: SessionRecord?

    package init(promised: Ballot, record: SessionRecord?) {
        self.promised = promised
        self.record = record
    }

    /// A record whose own ballot is the last promise.
    package init(accepted record: SessionRecord) {
        self.init(promised: record.accepted, record: record)
    }

    package var accepted: Ballot { self.record?.accepted ?? .none }

    package var isPromisedElsewhere: Bool { self.promised != self.accepted }
}
