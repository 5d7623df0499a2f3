/// FastCGI bytes by hand: what a well-behaved or a hostile web server sends.
enum Wire {
    static func record(
        _ type: UInt8,
        id: UInt16 = 1,
        version: UInt8 = 1,
        padding: UInt8 = 0,
        _ content: [UInt8] = []
    ) -> [UInt8] {
        [
            version, type, UInt8(id >> 8), UInt8(truncatingIfNeeded: id), UInt8(content.count >> 8),
            UInt8(truncatingIfNeeded: content.count), padding, 0,
        ] + content + [UInt8](repeating: 0xee, count: Int(padding))
    }

    static func begin(id: UInt16 = 1, role: UInt8 = 1, keeps: Bool = true) -> [UInt8] {
        self.record(1, id: id, [0, role, keeps ? 1 : 0, 0, 0, 0, 0, 0])
    }

    static func length(_ count: Int) -> [UInt8] {
        count < 128
            ? [UInt8(count)]
            : [UInt8(count >> 24) | 0x80, UInt8(count >> 16 & 255), UInt8(count >> 8 & 255), UInt8(count & 255)]
    }

    static func pair(_ name: String, _ value: String) -> [UInt8] {
        self.length(name.utf8.count) + self.length(value.utf8.count) + Array(name.utf8) + Array(value.utf8)
    }

    static func pairs(_ pairs: [(String, String)]) -> [UInt8] {
        pairs.flatMap { self.pair($0.0, $0.1) }
    }

    /// A stream's records and its end.
    static func stream(_ type: UInt8, id: UInt16 = 1, _ bytes: [UInt8], size: Int = 65_528, padding: UInt8 = 0)
        -> [UInt8]
    {
        var result: [UInt8] = []
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + size)
            result += self.record(type, id: id, padding: padding, Array(bytes[start..<end]))
            start = end
        }
        return result + self.record(type, id: id)
    }

    static func head(id: UInt16 = 1, keeps: Bool = true, _ pairs: [(String, String)] = [("A", "B")]) -> [UInt8] {
        self.begin(id: id, keeps: keeps) + self.stream(4, id: id, self.pairs(pairs))
    }

    /// A whole request; with a body, CONTENT_LENGTH is its length.
    static func request(
        id: UInt16 = 1,
        keeps: Bool = true,
        _ pairs: [(String, String)] = [("A", "B")],
        body: [UInt8]? = nil
    ) -> [UInt8] {
        self.head(id: id, keeps: keeps, pairs + (body.map { [("CONTENT_LENGTH", String($0.count))] } ?? []))
            + self.stream(5, id: id, body ?? [])
    }

    /// Bytes of every value, in an order that repeats after a prime number of them.
    static func bytes(_ count: Int) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(count)
        while result.count < count { result += self.block.prefix(count - result.count) }
        return result
    }

    private static let block: [UInt8] = (0..<8_191).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
}
