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

    package init(reservingCapacity capacity: Int = 2_048) {
        self.storage = ByteBuffer()
        self.storage.reserveCapacity(capacity)
        self.entries.reserveCapacity(48)
    }

    package var count: Int { self.entries.count }

    /// Adds a pair behind all others; does not look for an earlier one of that name.
    package mutating func append(_ name: some Collection<UInt8>, _ value: some Collection<UInt8>) {
        let start = self.storage.writerIndex
        let nameLength = self.storage.writeBytes(name)
        let valueLength = self.storage.writeBytes(value)
        self.entries.append(Entry(start: start, nameLength: nameLength, valueLength: valueLength))
    }

    /// Adds a pair, as the generic form does; not generic, as it is called for every parameter of every request.
    package mutating func append(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        let start = self.storage.writerIndex
        self.storage.writeBytes(name)
        self.storage.writeBytes(value)
        self.entries.append(Entry(start: start, nameLength: name.count, valueLength: value.count))
    }

    /// Adds a pair behind all others.
    package mutating func append(_ name: String, _ value: ByteBufferView) {
        let start = self.storage.writerIndex
        self.storage.writeString(name)
        value.withUnsafeBytes { _ = self.storage.writeBytes($0) }
        self.entries.append(Entry(start: start, nameLength: name.utf8.count, valueLength: value.count))
    }

    package mutating func append(_ name: String, _ value: String) {
        self.append(name.utf8, value.utf8)
    }

    /// Adds a pair whose value is the readable bytes of a buffer.
    package mutating func append(_ name: String, _ value: ByteBuffer) {
        self.append(name.utf8, value.readableBytesView)
    }

    /// Replaces every pair of that name by one, at the end.
    package mutating func set(_ name: String, _ value: some Collection<UInt8>) {
        self.remove(name)
        self.append(name.utf8, value)
    }

    package mutating func set(_ name: String, _ value: String) {
        self.set(name, value.utf8)
    }

    package mutating func remove(_ name: String) {
        let storage = self.storage
        self.entries.removeAll { storage.equal($0, name) }
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
        for entry in self.entries where self.storage.equal(entry, name) {
            return self.storage.viewBytes(at: entry.start + entry.nameLength, length: entry.valueLength)
        }
        return nil
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

    /// Calls the body for every pair in order with the name directly followed by its value.
    package func forEachPair(_ body: (_ nameLength: Int, _ valueLength: Int, _ pair: ByteBufferView) -> Void) {
        for entry in self.entries {
            body(
                entry.nameLength,
                entry.valueLength,
                self.storage.viewBytes(at: entry.start, length: entry.nameLength + entry.valueLength)!
            )
        }
    }
}

extension ByteBuffer {
    /// Whether the name of an entry is this one. The storage is only ever written to at its end: offsets are indexes.
    fileprivate func equal(_ entry: Parameters.Entry, _ name: String) -> Bool {
        guard entry.nameLength == name.utf8.count else { return false }
        return self.withUnsafeReadableBytes { bytes in
            var index = entry.start
            for byte in name.utf8 {
                if bytes[index] != byte { return false }
                index += 1
            }
            return true
        }
    }
}
