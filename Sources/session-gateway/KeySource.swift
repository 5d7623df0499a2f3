import ArgumentParser
import Glibc
import Sessions

/// Where the keys come from that a command looks at.
enum KeySource {
    case arguments([String])
    /// One key per line, which ends with a line feed or with both carriage return and line feed.
    case standardInput
    case sample(Int)

    /// memcached takes 250 bytes; FlexiHash and PHP's memcache extension, which cuts them, take longer ones.
    static let longestKey = 65_536

    /// Each key in turn, in memory that does not grow with their number.
    ///
    /// - Parameter beforeWaiting: called before it waits for input.
    /// - Throws: what the closures throw, and `ExitCode` after a message, where a line is no key.
    func forEach(
        beforeWaiting: () throws -> Void,
        _ body: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        switch self {
        case .arguments(let keys):
            for key in keys {
                try Array(key.utf8).withUnsafeBytes(body)
            }
        case .sample(let count):
            for key in RingSampleKeys(count: count) {
                try key.withUnsafeBytes(body)
            }
        case .standardInput:
            try Self.forEachLine(beforeWaiting: beforeWaiting, body)
        }
    }

    private static func forEachLine(
        beforeWaiting: () throws -> Void,
        _ body: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: self.longestKey + 2, alignment: 1)
        defer { buffer.deallocate() }
        var filled = 0
        var line = 0
        while true {
            let count = try self.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
            filled += count
            var start = 0
            while let end = buffer[start..<filled].firstIndex(of: UInt8(ascii: "\n")) {
                line += 1
                try body(self.key(UnsafeRawBufferPointer(rebasing: buffer[start..<end]), line: line))
                start = end + 1
            }
            if count == 0 {
                guard start < filled else { return }
                return try body(self.key(UnsafeRawBufferPointer(rebasing: buffer[start..<filled]), line: line + 1))
            }
            UnsafeMutableRawBufferPointer(rebasing: buffer[..<(filled - start)])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[start..<filled]))
            filled -= start
            guard filled < buffer.count else { throw self.refuse(line: line + 1, self.tooLong) }
            try beforeWaiting()
        }
    }

    private static let tooLong = "the key is longer than \(longestKey) bytes; write one key per line"

    /// - Throws: `ExitCode` after a message.
    private static func key(_ line: UnsafeRawBufferPointer, line number: Int) throws -> UnsafeRawBufferPointer {
        let key = line.last == UInt8(ascii: "\r") ? UnsafeRawBufferPointer(rebasing: line.dropLast()) : line
        guard !key.isEmpty else { throw Self.refuse(line: number, "the key is empty; remove the line") }
        guard key.count <= Self.longestKey else { throw Self.refuse(line: number, Self.tooLong) }
        return key
    }

    private static func refuse(line: Int, _ reason: String) -> ExitCode {
        StandardError.write(["session-gateway: standard input, line \(line): \(reason)"])
        return ExitCode(EX_DATAERR)
    }

    private static func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            let count = Glibc.read(STDIN_FILENO, buffer.baseAddress, buffer.count)
            if count >= 0 { return count }
            if errno == EAGAIN {
                var waited = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
                poll(&waited, 1, -1)
            } else if errno != EINTR {
                StandardError.write(["session-gateway: standard input: \(String(cString: strerror(errno)))"])
                throw ExitCode(EX_IOERR)
            }
        }
    }
}
