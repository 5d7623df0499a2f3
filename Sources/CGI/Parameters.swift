import Glibc
package import NIOCore

/// The meta-variables of one request (RFC 3875 §4.1, plus whatever the web server adds), in order.
///
/// Names and values are bytes: a path or a cookie need not be UTF-8, and what came in goes out unchanged. They lie in
/// memory as FastCGI sends them, each pair behind its lengths (FastCGI 1.0 §3.4), so that all of them are forwarded by a
/// few copies.
package struct Parameters: Sendable {
    /// 12 bytes, as thousands of requests may wait for a backend; a ByteBuffer has no more than 4 GiB.
    fileprivate struct Entry {
        private let start32: UInt32
        private let nameLength32: UInt32
        private let valueLength32: UInt32

        init(start: Int, nameLength: Int, valueLength: Int) {
            self.start32 = UInt32(start)
            self.nameLength32 = UInt32(nameLength)
            self.valueLength32 = UInt32(valueLength)
        }

        /// Of the name; the value follows it, and the lengths stand before it.
        var start: Int { Int(self.start32) }
        var nameLength: Int { Int(self.nameLength32) }
        var valueLength: Int { Int(self.valueLength32) }
        var valueStart: Int { self.start + self.nameLength }
        var end: Int { self.valueStart + self.valueLength }

        /// Where its lengths begin.
        var encodedStart: Int {
            self.start - Parameters.lengthOfLength(self.nameLength) - Parameters.lengthOfLength(self.valueLength)
        }
    }

    private var storage: ByteBuffer
    private var entries: [Entry] = []

    package init(reservingCapacity capacity: Int = 1_024) {
        self.storage = ByteBuffer()
        self.storage.reserveCapacity(capacity)
        self.entries.reserveCapacity(48)
    }

    package var count: Int { self.entries.count }

    /// Adds a pair behind all others; does not look for an earlier one of that name.
    package mutating func append(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        self.append(name, length: value.count) { $0.copyMemory(from: value) }
    }

    /// Adds pairs behind all others: dozens of single ones would be most of what a request's head costs.
    ///
    /// - Parameters:
    ///   - byteCount: at least the bytes of all of them as FastCGI sends them.
    ///   - write: is given what takes them.
    package mutating func append(atMost byteCount: Int, _ write: (inout Appender) -> Void) {
        let start = self.storage.writerIndex
        var entries: [Entry] = []
        swap(&entries, &self.entries)
        self.storage.writeWithUnsafeMutableBytes(minimumWritableBytes: byteCount) { target in
            var appender = Appender(start: start, entries: entries, writer: RawWriter(target: target))
            entries = []
            write(&appender)
            swap(&entries, &appender.entries)
            return appender.writer.end
        }
        swap(&entries, &self.entries)
    }

    package struct Appender {
        fileprivate let start: Int
        fileprivate var entries: [Entry]
        fileprivate var writer: RawWriter

        package mutating func append(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
            self.writer.writeLength(name.count)
            self.writer.writeLength(value.count)
            let start = self.start + self.writer.end
            self.entries.append(Entry(start: start, nameLength: name.count, valueLength: value.count))
            self.writer.write(name)
            self.writer.write(value)
        }
    }

    package mutating func append(_ name: String, _ value: UnsafeRawBufferPointer) {
        var name = name
        name.withUTF8 { self.append(UnsafeRawBufferPointer($0), value) }
    }

    package mutating func append(_ name: String, _ value: ByteBufferView) {
        value.withUnsafeBytes { self.append(name, $0) }
    }

    package mutating func append(_ name: String, _ value: String) {
        var value = value
        value.withUTF8 { self.append(name, UnsafeRawBufferPointer($0)) }
    }

    /// Adds a pair whose value the body writes, all of its bytes.
    package mutating func append(_ name: String, length: Int, _ write: (UnsafeMutableRawBufferPointer) -> Void) {
        var name = name
        name.withUTF8 { self.append(UnsafeRawBufferPointer($0), length: length, write) }
    }

    @inline(__always)
    private mutating func append(
        _ name: UnsafeRawBufferPointer,
        length: Int,
        _ write: (UnsafeMutableRawBufferPointer) -> Void
    ) {
        var start = self.storage.writerIndex
        let bound = 2 * Self.longestLength + name.count + length
        // One write for all of it: small writes are most of what a request's head costs.
        self.storage.writeWithUnsafeMutableBytes(minimumWritableBytes: bound) { target in
            var writer = RawWriter(target: target)
            writer.writeLength(name.count)
            writer.writeLength(length)
            start += writer.end
            writer.write(name)
            write(UnsafeMutableRawBufferPointer(rebasing: target[writer.end..<writer.end + length]))
            return writer.end + length
        }
        self.entries.append(Entry(start: start, nameLength: name.count, valueLength: length))
    }

    /// Makes room for so many more bytes of pairs as FastCGI sends them.
    package mutating func reserveCapacity(_ byteCount: Int) {
        self.storage.reserveCapacity(minimumWritableBytes: byteCount)
    }

    /// Adds a pair whose value is the readable bytes of a buffer.
    package mutating func append(_ name: String, _ value: ByteBuffer) {
        value.withUnsafeReadableBytes { self.append(name, $0) }
    }

    /// Replaces every pair of that name by one, at the end.
    package mutating func set(_ name: String, _ value: some Sequence<UInt8>) {
        self.remove(name)
        Array(value).withUnsafeBytes { self.append(name, $0) }
    }

    package mutating func set(_ name: String, _ value: String) {
        self.remove(name)
        self.append(name, value)
    }

    package mutating func remove(_ name: String) {
        guard self.firstIndex(of: name) != nil else { return }
        var name = name
        name.withUTF8 { name in
            self.storage.withUnsafeReadableBytes { bytes in
                self.entries.removeAll { bytes.equal($0, UnsafeRawBufferPointer(name)) }
            }
        }
    }

    /// Removes every pair whose name satisfies the predicate. The bytes are valid during the call only.
    package mutating func removeAll(where shouldRemove: (_ name: UnsafeRawBufferPointer) -> Bool) {
        let storage = self.storage
        storage.withUnsafeReadableBytes { bytes in
            self.entries.removeAll { entry in
                shouldRemove(UnsafeRawBufferPointer(rebasing: bytes[entry.start..<entry.valueStart]))
            }
        }
    }

    /// The first value of that name.
    package func bytes(_ name: String) -> ByteBufferView? {
        self.firstIndex(of: name).flatMap { index in
            let entry = self.entries[index]
            return self.storage.viewBytes(at: entry.valueStart, length: entry.valueLength)
        }
    }

    /// The last value of that name.
    package func lastBytes(_ name: String) -> ByteBufferView? {
        var name = name
        let index = name.withUTF8 { name in
            self.storage.withUnsafeReadableBytes { bytes in
                self.entries.lastIndex { bytes.equal($0, UnsafeRawBufferPointer(name)) }
            }
        }
        return index.flatMap { index in
            let entry = self.entries[index]
            return self.storage.viewBytes(at: entry.valueStart, length: entry.valueLength)
        }
    }

    /// The first value of that name as text; bytes that are not UTF-8 are replaced.
    package func string(_ name: String) -> String? {
        self.firstIndex(of: name).map { index in
            self.storage.withUnsafeReadableBytes { bytes in
                let entry = self.entries[index]
                return String(
                    decoding: UnsafeRawBufferPointer(rebasing: bytes[entry.valueStart..<entry.end]),
                    as: UTF8.self
                )
            }
        }
    }

    /// Calls the body for every pair in order.
    package func forEach(_ body: (_ name: ByteBufferView, _ value: ByteBufferView) throws -> Void) rethrows {
        for entry in self.entries {
            try body(
                self.storage.viewBytes(at: entry.start, length: entry.nameLength)!,
                self.storage.viewBytes(at: entry.valueStart, length: entry.valueLength)!
            )
        }
    }

    /// Calls the body for every pair in order. The bytes are valid during the call only.
    package func forEachPair(_ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void) {
        self.storage.withUnsafeReadableBytes { bytes in
            for entry in self.entries {
                body(
                    UnsafeRawBufferPointer(rebasing: bytes[entry.start..<entry.valueStart]),
                    UnsafeRawBufferPointer(rebasing: bytes[entry.valueStart..<entry.end])
                )
            }
        }
    }

    /// Calls the body for all pairs in order, as FastCGI sends them: for runs of whole pairs of at most so many bytes, and
    /// for a single pair that is longer. The bytes are valid during the call only.
    package func forEachEncodedRun(atMost maximumLength: Int, _ body: (UnsafeRawBufferPointer) -> Void) {
        self.storage.withUnsafeReadableBytes { bytes in
            var start = 0
            var end = 0
            for entry in self.entries {
                let entryStart = entry.encodedStart
                if entryStart != end || entry.end - start > maximumLength {
                    if start < end { body(UnsafeRawBufferPointer(rebasing: bytes[start..<end])) }
                    start = entryStart
                }
                end = entry.end
            }
            if start < end { body(UnsafeRawBufferPointer(rebasing: bytes[start..<end])) }
        }
    }

    /// At least the bytes of all pairs as FastCGI sends them: removed ones count too.
    package var maximumEncodedByteCount: Int { self.storage.readableBytes }

    fileprivate static let longestLength = 4

    fileprivate static func lengthOfLength(_ length: Int) -> Int {
        length < 128 ? 1 : Self.longestLength
    }

    private func firstIndex(of name: String) -> Int? {
        var name = name
        return name.withUTF8 { name in
            self.storage.withUnsafeReadableBytes { bytes in
                self.entries.firstIndex { bytes.equal($0, UnsafeRawBufferPointer(name)) }
            }
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Whether the name of an entry is this one. The storage is only ever written to at its end: offsets are indexes.
    fileprivate func equal(_ entry: Parameters.Entry, _ name: UnsafeRawBufferPointer) -> Bool {
        entry.nameLength == name.count
            && UnsafeRawBufferPointer(rebasing: self[entry.start..<entry.start + name.count]).equal(name)
    }

    @inline(__always)
    private func equal(_ other: UnsafeRawBufferPointer) -> Bool {
        guard self.count == other.count else { return false }
        guard self.count > 0, let base = self.baseAddress, let otherBase = other.baseAddress else { return true }
        // Names of one length differ in one of the two nearly always.
        return self[self.count - 1] == other[self.count - 1] && self[0] == other[0]
            && memcmp(base, otherBase, self.count) == 0
    }

    package func equal(_ text: StaticString) -> Bool {
        self.equal(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
}

extension RawWriter {
    /// One byte below 128, else four with the highest bit set.
    fileprivate mutating func writeLength(_ length: Int) {
        if length < 128 {
            self.write(UInt8(length))
        } else {
            self.write(UInt32(length) | 0x8000_0000)
        }
    }
}
