import NIOCore
import Testing

@testable import Sessions

struct RecordCodecTests {
    private let codec = RecordCodec(secret: Array("a site's secret".utf8))
    private let key: SessionKey
    private let otherKey: SessionKey

    init() throws {
        let keyspace = try #require(SessionKeyspace(prefix: "session:", site: "shop"))
        self.key = keyspace.key(for: try #require(SessionID("0123456789abcdef-_0123")))
        self.otherKey = keyspace.key(for: try #require(SessionID("0123456789abcdef-_0124")))
    }

    /// Every field has a value of its own, so that two that are swapped are noticed.
    private func record(payload: [UInt8], ancestors: Int = 3) -> SessionRecord {
        SessionRecord(
            identity: WriteIdentity(version: 0x0102_0304_0506_0708, writer: 0x1112_1314_1516_1718),
            ancestors: (0..<ancestors).map { WriteIdentity(version: 0xA0 + UInt64($0), writer: 0xB0 + UInt64($0)) },
            accepted: Ballot(round: 0x2122_2324, ballotClass: .fast, depth: 3, attempt: 0x3132_3334_3536_3738),
            holders: [1, 9],
            placement: 0x4142_4344,
            created: 0x51,
            written: 0x5200,
            databaseSynced: 0x53_0000,
            cookieIssued: 0x5400_0000,
            idleSeconds: 0x6162_6364,
            absoluteDeadline: 0x7172_7374_7576_7778,
            payload: ByteBuffer(bytes: payload)
        )
    }

    private func bytes(_ copy: ReplicaCopy) -> ByteBuffer {
        let encoded = self.codec.encode(copy, for: self.key)
        var bytes = ByteBuffer()
        bytes.writeImmutableBuffer(encoded.head)
        bytes.writeImmutableBuffer(encoded.payload)
        #expect(bytes.readableBytes == encoded.count)
        return bytes
    }

    @Test(arguments: 0...SessionRecord.maximumAncestors)
    func everyFieldComesBack(ancestors: Int) throws {
        let record = self.record(payload: Array(0...255), ancestors: ancestors)
        let promised = Ballot(round: 0x8182_8384, ballotClass: .slow, depth: 0, attempt: 0x9192_9394_9596_9798)
        let copy = ReplicaCopy(promised: promised, record: record)
        let bytes = self.bytes(copy)
        #expect(try self.codec.decode(bytes, for: self.key) == copy)
        #expect(bytes.readableBytes <= RecordCodec.maximumOverhead + 256)
    }

    @Test func aSmallPayloadDoesNotKeepALargeReadBufferInMemory() throws {
        let copy = ReplicaCopy(accepted: self.record(payload: [1, 2, 3]))
        var read = ByteBuffer()
        read.reserveCapacity(65_536)
        read.writeImmutableBuffer(self.bytes(copy))
        let found = try self.codec.decode(read.slice(), for: self.key)
        #expect(found == copy)
        #expect(try #require(found.record).payload.storageCapacity < 1_024)
    }

    @Test func aTombstoneComesBack() throws {
        let identity = WriteIdentity(version: 9, writer: 10)
        var tombstone = self.record(payload: [1, 2, 3], ancestors: 8).tombstone(identity: identity, now: 77)
        tombstone.accepted = Ballot(round: 5, ballotClass: .slow, attempt: 6)
        let copy = ReplicaCopy(accepted: tombstone)
        let found = try self.codec.decode(self.bytes(copy), for: self.key)
        #expect(found == copy)
        #expect(found.record?.isTombstone == true)
        #expect(found.record?.payload.readableBytes == 0)
        #expect(found.record?.ancestors.count == SessionRecord.maximumAncestors)
        #expect(found.record?.base == self.record(payload: []).identity)
        #expect(found.record?.written == 77)
    }

    @Test func aStubComesBackWithItsPromiseOnly() throws {
        let stub = ReplicaCopy(promised: Ballot(round: 5, ballotClass: .slow, attempt: 6), record: nil)
        let found = try self.codec.decode(self.bytes(stub), for: self.key)
        #expect(found == stub)
        #expect(found.accepted == .none)
        #expect(found.isPromisedElsewhere)
    }

    @Test(arguments: [0, 1, 255, 256, 40_000, 400_000])
    func aPayloadOfAnyBytesComesBack(count: Int) throws {
        let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ $0 >> 8) }
        let copy = ReplicaCopy(accepted: self.record(payload: payload))
        let found = try self.codec.decode(self.bytes(copy), for: self.key)
        #expect(found.record.map { Array($0.payload.readableBytesView) } == payload)
    }

    @Test func thePayloadIsNotCopied() throws {
        let payload = ByteBuffer(repeating: 7, count: 100_000)
        var record = self.record(payload: [])
        record.payload = payload
        let encoded = self.codec.encode(ReplicaCopy(accepted: record), for: self.key)
        #expect(self.address(of: encoded.payload) == self.address(of: payload))

        let bytes = self.bytes(ReplicaCopy(accepted: record))
        let found = try #require(try self.codec.decode(bytes, for: self.key).record)
        let place = self.address(of: bytes) + UInt(encoded.head.readableBytes)
        #expect(self.address(of: found.payload) == place)
    }

    private func address(of buffer: ByteBuffer) -> UInt {
        buffer.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
    }

    @Test func aValueInTheMiddleOfABufferIsDecoded() throws {
        let copy = ReplicaCopy(accepted: self.record(payload: Array("blob".utf8)))
        var bytes = ByteBuffer(string: "VA 1 c1\r\n")
        bytes.moveReaderIndex(forwardBy: bytes.readableBytes)
        bytes.writeImmutableBuffer(self.bytes(copy))
        #expect(try self.codec.decode(bytes, for: self.key) == copy)
    }

    @Test func aChangedByteIsRefusedWhereverItIs() {
        let bytes = self.bytes(ReplicaCopy(accepted: self.record(payload: Array(0...255), ancestors: 8)))
        for index in 0..<bytes.readableBytes {
            for mask: UInt8 in [0x01, 0x80, 0xFF] {
                var changed = bytes
                changed.setInteger(bytes.getInteger(at: index, as: UInt8.self)! ^ mask, at: index)
                #expect(throws: RecordCodec.DecodingError.self) { try self.codec.decode(changed, for: self.key) }
            }
        }
    }

    @Test func aCutValueIsRefusedWhereverItIsCut() {
        let bytes = self.bytes(ReplicaCopy(accepted: self.record(payload: Array(0...255))))
        for length in 0..<bytes.readableBytes {
            let cut = bytes.getSlice(at: 0, length: length) ?? ByteBuffer()
            #expect(throws: RecordCodec.DecodingError.self) { try self.codec.decode(cut, for: self.key) }
            let tail = bytes.getSlice(at: bytes.readableBytes - length, length: length) ?? ByteBuffer()
            #expect(throws: RecordCodec.DecodingError.self) { try self.codec.decode(tail, for: self.key) }
        }
        var longer = bytes
        longer.writeInteger(0 as UInt8)
        #expect(throws: RecordCodec.DecodingError.self) { try self.codec.decode(longer, for: self.key) }
    }

    @Test func theValueOfAnotherKeyIsRefused() {
        let bytes = self.bytes(ReplicaCopy(accepted: self.record(payload: [1])))
        #expect(throws: RecordCodec.DecodingError.anotherKey) { try self.codec.decode(bytes, for: self.otherKey) }
        // With the other key's hash put in, the checksum tells.
        var forged = bytes
        forged.setInteger(self.otherKey.hash, at: 4)
        #expect(throws: RecordCodec.DecodingError.checksum) { try self.codec.decode(forged, for: self.otherKey) }
    }

    @Test func theSameSessionOfAnotherSiteIsRefused() throws {
        let id = try #require(SessionID("0123456789abcdef-_0123"))
        let elsewhere = try #require(SessionKeyspace(prefix: "session:", site: "blog")).key(for: id)
        let bytes = self.bytes(ReplicaCopy(accepted: self.record(payload: [1])))
        #expect(elsewhere.hash == self.key.hash)
        #expect(throws: RecordCodec.DecodingError.checksum) { try self.codec.decode(bytes, for: elsewhere) }
    }

    @Test func aValueWrittenUnderAnotherSecretIsRefused() {
        let bytes = self.bytes(ReplicaCopy(accepted: self.record(payload: [1])))
        let other = RecordCodec(secret: Array("another secret".utf8))
        #expect(throws: RecordCodec.DecodingError.checksum) { try other.decode(bytes, for: self.key) }
    }

    @Test func whatIsNoRecordIsForeign() {
        let foreign = ByteBuffer(string: String(repeating: "a:1:{s:1:\"x\";i:1;}", count: 20))
        #expect(throws: RecordCodec.DecodingError.foreignFormat) { try self.codec.decode(foreign, for: self.key) }
        #expect(throws: RecordCodec.DecodingError.tooShort) { try self.codec.decode(ByteBuffer(), for: self.key) }
    }

    @Test func arbitraryBytesAreRefusedAndNeverTrap() {
        var chance = SplitMix(seed: 7)
        for _ in 0..<3_000 {
            let length = Int(chance.next() % 400)
            var bytes = ByteBuffer(bytes: (0..<length).map { _ in UInt8(truncatingIfNeeded: chance.next()) })
            if chance.next() % 2 == 0, length >= 12 {
                bytes.setInteger(0x5347_0100 as UInt32, at: 0)
                bytes.setInteger(self.key.hash, at: 4)
            }
            #expect(throws: RecordCodec.DecodingError.self) { try self.codec.decode(bytes, for: self.key) }
        }
    }

    /// The checksum keeps strangers out, not another version of this program.
    @Test func aRecordThatContradictsItselfIsRefusedInSpiteOfItsChecksum() {
        var withoutBallot = self.record(payload: [1])
        withoutBallot.accepted = .none
        let nowhere = self.bytes(ReplicaCopy(accepted: withoutBallot))
        #expect(throws: RecordCodec.DecodingError.inconsistent) { try self.codec.decode(nowhere, for: self.key) }

        let below = Ballot(round: 1, ballotClass: .fast, attempt: 1)
        let brokenPromise = self.bytes(ReplicaCopy(promised: below, record: self.record(payload: [1])))
        #expect(throws: RecordCodec.DecodingError.inconsistent) { try self.codec.decode(brokenPromise, for: self.key) }
    }

    @Test func moreAncestorsThanARecordNamesAreLeftOut() throws {
        let copy = ReplicaCopy(accepted: self.record(payload: [1], ancestors: 20))
        let found = try #require(try self.codec.decode(self.bytes(copy), for: self.key).record)
        #expect(found.ancestors == Array(self.record(payload: [], ancestors: 20).ancestors.prefix(8)))
    }
}
