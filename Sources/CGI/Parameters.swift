import Glibc
package import NIOCore

/// The meta-variables of one request (RFC 3875 §4.1, plus whatever the web server adds), in order.
///
/// Names and values are bytes: a path or a cookie need not be UTF-8, and what came in goes out unchanged. One
/// contiguous storage holds every name directly followed by its value, which is the layout of a FastCGI
/// name-value pair, so that a pair is forwarded by one copy.
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

        var start: Int { Int(self.start32) }
        var nameLength: Int { Int(self.nameLength32) }
        var valueLength: Int { Int(self.valueLength32) }
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
        let start = self.storage.writerIndex
        // One write for both: small writes are most of what a request's head costs.
        self.storage.writeWithUnsafeMutableBytes(minimumWritableBytes: name.count + value.count) { target in
            target.copyMemory(from: name)
            UnsafeMutableRawBufferPointer(rebasing: target[name.count..<target.count]).copyMemory(from: value)
            return name.count + value.count
        }
        self.entries.append(Entry(start: start, nameLength: name.count, valueLength: value.count))
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
        let start = self.storage.writerIndex
        let nameLength = name.withUTF8 { name in
            self.storage.writeWithUnsafeMutableBytes(minimumWritableBytes: name.count + length) { target in
                target.copyMemory(from: UnsafeRawBufferPointer(name))
                write(UnsafeMutableRawBufferPointer(rebasing: target[name.count..<name.count + length]))
                return name.count + length
            } - length
        }
        self.entries.append(Entry(start: start, nameLength: nameLength, valueLength: length))
    }

    /// Makes room for so many more bytes of names and values.
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
                shouldRemove(UnsafeRawBufferPointer(rebasing: bytes[entry.start..<entry.start + entry.nameLength]))
            }
        }
    }

    /// The first value of that name.
    package func bytes(_ name: String) -> ByteBufferView? {
        self.firstIndex(of: name).flatMap { index in
            let entry = self.entries[index]
            return self.storage.viewBytes(at: entry.start + entry.nameLength, length: entry.valueLength)
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
            return self.storage.viewBytes(at: entry.start + entry.nameLength, length: entry.valueLength)
        }
    }

    /// The first value of that name as text; bytes that are not UTF-8 are replaced.
    package func string(_ name: String) -> String? {
        self.bytes(name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Calls the body for every pair in order.
    package func forEach(_ body: (_ name: ByteBufferView, _ value: ByteBufferView) throws -> Void) rethrows {
        for entry in self.entries {
            try body(
                self.storage.viewBytes(at: entry.start, length: entry.nameLength)!,
                self.storage.viewBytes(at: entry.start + entry.nameLength, length: entry.valueLength)!
            )
        }
    }

    /// Calls the body for every pair in order with a name and a value that lie one behind the other in memory. The bytes
    /// are valid during the call only.
    package func forEachPair(_ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void) {
        self.storage.withUnsafeReadableBytes { bytes in
            for entry in self.entries {
                let valueStart = entry.start + entry.nameLength
                body(
                    UnsafeRawBufferPointer(rebasing: bytes[entry.start..<valueStart]),
                    UnsafeRawBufferPointer(rebasing: bytes[valueStart..<valueStart + entry.valueLength])
                )
            }
        }
    }

    /// The bytes of all names and values.
    package var byteCount: Int {
        self.entries.reduce(0) { $0 + $1.nameLength + $1.valueLength }
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

    private func equal(_ other: UnsafeRawBufferPointer) -> Bool {
        guard self.count == other.count else { return false }
        guard let base = self.baseAddress, let otherBase = other.baseAddress else { return true }
        return memcmp(base, otherBase, self.count) == 0
    }

    package func equal(_ text: StaticString) -> Bool {
        self.equal(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
}
