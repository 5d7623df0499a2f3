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
/// | … | 8 | checksum: SipHash-2-4 of the memcached key and all bytes but these |
/// | … | n | payload |
///
/// The checksum's key is the first 16 bytes of the SHA-256 of the site's `secret`, or of its prefix and name: a record that was cut, changed or
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

    private let hash: SipHash

    package init(secret: some Collection<UInt8>) {
        self.hash = SHA256.hash(data: Array(secret)).withUnsafeBytes { digest in
            func word(_ offset: Int) -> UInt64 {
                UInt64(littleEndian: digest.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            }
            return SipHash(key: (word(0), word(8)))
        }
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
        var flags: UInt8 = 0
        if record == nil { flags |= Flag.stub }
        if record?.isTombstone == true { flags |= Flag.tombstone }
        var head = ByteBuffer()
        let length = Self.fixedLength + ancestors.count * 16 + 4 + Self.checksumLength
        head.writeWithUnsafeMutableBytes(minimumWritableBytes: length) { target in
            var writer = BigEndianWriter(target: target)
            writer.write(Self.magic)
            writer.write(Self.format)
            writer.write(flags)
            writer.write(key.hash)
            writer.write(record?.identity ?? .none)
            writer.write(copy.accepted)
            writer.write(copy.promised)
            writer.write(record?.holders.rawValue ?? 0)
            writer.write(record?.placement ?? 0)
            writer.write(record?.created ?? 0)
            writer.write(record?.written ?? 0)
            writer.write(record?.databaseSynced ?? 0)
            writer.write(record?.cookieIssued ?? 0)
            writer.write(record?.idleSeconds ?? 0)
            writer.write(record?.absoluteDeadline ?? 0)
            writer.write(UInt8(ancestors.count))
            for ancestor in ancestors { writer.write(ancestor) }
            writer.write(UInt32(payload.readableBytes))
            writer.write(payload.withUnsafeReadableBytes { self.checksum(key, writer.written, $0) })
            return writer.end
        }
        return Encoded(head: head, payload: payload)
    }

    /// The payload may be held for as long as a backend works: it is `detached` from `bytes`.
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
            case let headLength = reader.readerIndex - bytes.readerIndex,
            let sum = reader.readInteger(as: UInt64.self)
        else { throw .inconsistent }
        let expected = bytes.withUnsafeReadableBytes { all in
            self.checksum(
                key,
                UnsafeRawBufferPointer(rebasing: all[..<headLength]),
                UnsafeRawBufferPointer(rebasing: all[(headLength + Self.checksumLength)...])
            )
        }
        guard reader.readableBytes == Int(length), sum == expected else { throw .checksum }
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
                payload: reader.slice().detached
            )
        )
    }

    private func checksum(
        _ key: SessionKey,
        _ head: UnsafeRawBufferPointer,
        _ payload: UnsafeRawBufferPointer
    ) -> UInt64 {
        var hash = self.hash
        key.bytes.withUnsafeBytes { hash.update($0) }
        hash.update(head)
        hash.update(payload)
        return hash.finalize()
    }
}

/// Writes integers into memory that is large enough.
private struct BigEndianWriter {
    let target: UnsafeMutableRawBufferPointer
    /// Behind the last byte written.
    private(set) var end = 0

    init(target: UnsafeMutableRawBufferPointer) {
        self.target = target
    }

    var written: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: self.target[..<self.end]) }

    mutating func write<Integer: FixedWidthInteger>(_ integer: Integer) {
        self.target.storeBytes(of: integer.bigEndian, toByteOffset: self.end, as: Integer.self)
        self.end += MemoryLayout<Integer>.size
    }

    mutating func write(_ identity: WriteIdentity) {
        self.write(identity.version)
        self.write(identity.writer)
    }

    mutating func write(_ ballot: Ballot) {
        self.write(ballot.round)
        self.write(ballot.ballotClass.rawValue)
        self.write(ballot.depth)
        self.write(ballot.attempt)
    }
}

extension ByteBuffer {
    fileprivate mutating func readIdentity() -> WriteIdentity? {
        self.readMultipleIntegers(as: (UInt64, UInt64).self).map { WriteIdentity(version: $0, writer: $1) }
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
