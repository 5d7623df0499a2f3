import Crypto
package import NIOCore

/// The byte format of a copy in memcached, format 1. Integers are big-endian.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 2 | magic `SG` |
/// | 2 | 1 | format, 1 |
/// | 3 | 1 | flags: 1 tombstone, 2 stub; the others are 0 (4 forward, 8 compressed, 16 encrypted are reserved) |
/// | 4 | 8 | key hash: the first 8 bytes of the SHA-256 in the key |
/// | 12 | 16 | identity: version, writer |
/// | 28 | 14 | accepted: round (4), class (1), depth (1), attempt (8) |
/// | 42 | 14 | promised, likewise |
/// | 56 | 2 | holders |
/// | 58 | 4 | placement |
/// | 62 | 8 | created, ms since 1970 |
/// | 70 | 8 | written |
/// | 78 | 8 | last database sync |
/// | 86 | 8 | cookie issued |
/// | 94 | 4 | idle duration, s |
/// | 98 | 8 | absolute expiry, ms since 1970 |
/// | 106 | 1 | number of ancestors, 0–8 |
/// | 107 | 16 each | ancestors: version, writer |
/// | … | 4 | length of the payload |
/// | … | 8 | checksum: HMAC-SHA256, cut to 64 bits, of the memcached key and all bytes but these |
/// | … | n | payload |
///
/// The checksum's key comes from the site's `secret`, or from its prefix and name: a record that was cut, changed or
/// belongs to another key or site does not decode.
package struct RecordCodec: Sendable {
    package enum DecodingError: Error, Equatable {
        case tooShort
        case foreignFormat
        case anotherKey
        case checksum
        case inconsistent
    }

    private enum Flag {
        static let tombstone: UInt8 = 1
        static let stub: UInt8 = 2
    }

    private static let magic: UInt16 = 0x5347
    private static let format: UInt8 = 1
    private static let fixedLength = 107
    private static let checksumLength = 8

    /// The bytes of a copy around the payload.
    package static let maximumOverhead = 107 + 16 * SessionRecord.maximumAncestors + 4 + 8

    private let prototype: HMAC<SHA256>

    package init(secret: some Collection<UInt8>) {
        self.prototype = HMAC<SHA256>(key: SymmetricKey(data: Array(secret)))
    }

    /// A copy's bytes in two pieces, so that the payload is not copied.
    package struct Encoded: Sendable {
        package var head: ByteBuffer
        package var payload: ByteBuffer
        package var count: Int { self.head.readableBytes + self.payload.readableBytes }
    }

    package func encode(_ copy: ReplicaCopy, for key: SessionKey) -> Encoded {
        let record = copy.record
        let payload = record?.payload ?? ByteBuffer()
        let ancestors = (record?.ancestors ?? []).prefix(SessionRecord.maximumAncestors)
        var head = ByteBuffer()
        head.reserveCapacity(Self.fixedLength + ancestors.count * 16 + 4 + Self.checksumLength)
        var flags: UInt8 = 0
        if record == nil { flags |= Flag.stub }
        if record?.isTombstone == true { flags |= Flag.tombstone }
        head.writeMultipleIntegers(Self.magic, Self.format, flags, key.hash)
        head.writeIdentity(record?.identity ?? .none)
        head.writeBallot(copy.accepted)
        head.writeBallot(copy.promised)
        head.writeMultipleIntegers(record?.holders.rawValue ?? 0, record?.placement ?? 0)
        head.writeMultipleIntegers(
            record?.created ?? 0,
            record?.written ?? 0,
            record?.databaseSynced ?? 0,
            record?.cookieIssued ?? 0,
            record?.idleSeconds ?? 0,
            record?.absoluteDeadline ?? 0,
            UInt8(ancestors.count)
        )
        for ancestor in ancestors {
            head.writeIdentity(ancestor)
        }
        head.writeInteger(UInt32(payload.readableBytes))
        head.writeInteger(self.checksum(key, head.readableBytesView, payload.readableBytesView))
        return Encoded(head: head, payload: payload)
    }

    /// The payload is a slice of `bytes`.
    package func decode(_ bytes: ByteBuffer, for key: SessionKey) throws(DecodingError) -> ReplicaCopy {
        guard bytes.readableBytes >= Self.fixedLength + 4 + Self.checksumLength else { throw .tooShort }
        var reader = bytes
        guard
            let (magic, format, flags, hash) = reader.readMultipleIntegers(as: (UInt16, UInt8, UInt8, UInt64).self),
            magic == Self.magic, format == Self.format, flags & ~(Flag.tombstone | Flag.stub) == 0
        else { throw .foreignFormat }
        guard hash == key.hash else { throw .anotherKey }
        guard
            let identity = reader.readIdentity(),
            let accepted = reader.readBallot(),
            let promised = reader.readBallot(),
            let (holders, placement) = reader.readMultipleIntegers(as: (UInt16, UInt32).self),
            let (created, written, synced, cookieIssued, idle, deadline, ancestorCount) = reader.readMultipleIntegers(
                as: (UInt64, UInt64, UInt64, UInt64, UInt32, UInt64, UInt8).self
            ),
            ancestorCount <= SessionRecord.maximumAncestors, promised >= accepted
        else { throw .inconsistent }
        var ancestors: [WriteIdentity] = []
        ancestors.reserveCapacity(Int(ancestorCount))
        for _ in 0..<ancestorCount {
            guard let ancestor = reader.readIdentity() else { throw .inconsistent }
            ancestors.append(ancestor)
        }
        guard
            let length = reader.readInteger(as: UInt32.self),
            let head = bytes.viewBytes(at: bytes.readerIndex, length: reader.readerIndex - bytes.readerIndex),
            let sum = reader.readInteger(as: UInt64.self)
        else { throw .inconsistent }
        guard reader.readableBytes == Int(length), sum == self.checksum(key, head, reader.readableBytesView) else {
            throw .checksum
        }
        let payload = reader.slice()
        if flags & Flag.stub != 0 {
            return ReplicaCopy(promised: promised, record: nil)
        }
        guard accepted != .none else { throw .inconsistent }
        return ReplicaCopy(
            promised: promised,
            record: SessionRecord(
                identity: identity,
                ancestors: ancestors,
                accepted: accepted,
                holders: Positions(rawValue: holders),
                placement: placement,
                isTombstone: flags & Flag.tombstone != 0,
                created: created,
                written: written,
                databaseSynced: synced,
                cookieIssued: cookieIssued,
                idleSeconds: idle,
                absoluteDeadline: deadline,
                payload: payload
            )
        )
    }

    private func checksum(_ key: SessionKey, _ pieces: ByteBufferView...) -> UInt64 {
        var authentication = self.prototype
        key.bytes.withUnsafeBytes { authentication.update(data: $0) }
        for piece in pieces {
            piece.withUnsafeBytes { authentication.update(data: $0) }
        }
        return authentication.finalize().withUnsafeBytes { code in
            UInt64(bigEndian: code.loadUnaligned(as: UInt64.self))
        }
    }
}

extension ByteBuffer {
    fileprivate mutating func writeIdentity(_ identity: WriteIdentity) {
        self.writeMultipleIntegers(identity.version, identity.writer)
    }

    fileprivate mutating func readIdentity() -> WriteIdentity? {
        self.readMultipleIntegers(as: (UInt64, UInt64).self).map { WriteIdentity(version: $0, writer: $1) }
    }

    fileprivate mutating func writeBallot(_ ballot: Ballot) {
        self.writeMultipleIntegers(ballot.round, ballot.ballotClass.rawValue, ballot.depth, ballot.attempt)
    }

    fileprivate mutating func readBallot() -> Ballot? {
        guard
            let (round, rawClass, depth, attempt) = self.readMultipleIntegers(
                as: (UInt32, UInt8, UInt8, UInt64).self
            ),
            let ballotClass = Ballot.Class(rawValue: rawClass)
        else { return nil }
        return Ballot(round: round, ballotClass: ballotClass, depth: depth, attempt: attempt)
    }
}
