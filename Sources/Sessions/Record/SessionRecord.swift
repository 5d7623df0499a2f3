package import NIOCore

/// A session as stored: what one write made of it.
package struct SessionRecord: Sendable, Equatable {
    /// Milliseconds since 1970, by the clock of the gateway that wrote.
    package typealias Timestamp = UInt64

    /// How many earlier writes a record names. With 8, a save that lost more than 8 versions ago is `unknown`.
    package static let maximumAncestors = 8

    package var identity: WriteIdentity
    /// The write that this one was made from, and those before it; newest first.
    package var ancestors: [WriteIdentity]
    package var accepted: Ballot
    /// The servers it was sent to: positions in the replica set that `placement` names.
    package var holders: Positions
    /// Names the replica set in which `holders` has its meaning.
    package var placement: UInt32
    /// Terminal: the record of a destroyed session.
    package var isTombstone: Bool
    package var created: Timestamp
    package var written: Timestamp
    /// Of the last write to the database tier; 0 where there was none.
    package var databaseSynced: Timestamp
    /// When the cookie was last sent; 0 for cookies without a lifetime.
    package var cookieIssued: Timestamp
    package var idleSeconds: UInt32
    package var absoluteDeadline: Timestamp
    package var payload: ByteBuffer

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
        self.identity = identity
        self.ancestors = ancestors
        self.accepted = accepted
        self.holders = holders
        self.placement = placement
        self.isTombstone = isTombstone
        self.created = created
        self.written = written
        self.databaseSynced = databaseSynced
        self.cookieIssued = cookieIssued
        self.idleSeconds = idleSeconds
        self.absoluteDeadline = absoluteDeadline
        self.payload = payload
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
