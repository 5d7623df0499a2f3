import Glibc
import NIOCore

/// Cuts a server's bytes into answers. A line has at most 2,048 bytes, a value at most `maximumValueLength`, a list of
/// statistics at most 1,024 lines.
///
/// - Throws: `MemcachedError` with `.outOfStep` for anything that memcached would not say; after that the decoder must not
///   be used again.
struct MemcachedReplyDecoder: NIOSingleStepByteToMessageDecoder {
    typealias InboundOut = MemcachedWireReply

    static let longestLine = 2_048
    static let mostStatistics = 1_024

    private enum State {
        case line
        /// The line of a value was read; its `length` bytes and CRLF follow.
        case value(length: Int, MemcachedWireReply.Flags)
        case report(MemcachedWireReply.Report, lines: Int)
    }

    private let maximumValueLength: Int
    private var state = State.line

    init(maximumValueLength: Int) {
        self.maximumValueLength = maximumValueLength
    }

    mutating func decode(buffer: inout ByteBuffer) throws(MemcachedError) -> MemcachedWireReply? {
        while true {
            if case .value(let length, let flags) = self.state {
                guard let value = try Self.readValue(length: length, from: &buffer) else { return nil }
                self.state = .line
                return .value(value, flags)
            }
            guard let line = try Self.readLine(from: &buffer) else { return nil }
            switch (line, self.state) {
            case (.reply(let reply), .line):
                return reply
            case (.value(let length, let flags), .line):
                guard length <= self.maximumValueLength else { throw Self.outOfStep("a value is too long") }
                self.state = .value(length: length, flags)
            case (.statistic(let statistic), let state):
                var report = MemcachedWireReply.Report()
                var lines = 0
                if case .report(let known, let count) = state { (report, lines) = (known, count) }
                guard lines < Self.mostStatistics else { throw Self.outOfStep("too many statistics") }
                statistic?.apply(to: &report)
                self.state = .report(report, lines: lines + 1)
            case (.end, .report(let report, _)):
                self.state = .line
                return .report(report)
            case (.end, .line):
                return .report(MemcachedWireReply.Report())
            case (.reply, _), (.value, _), (.end, _):
                throw Self.outOfStep("an answer inside the statistics")
            }
        }
    }

    mutating func decodeLast(buffer: inout ByteBuffer, seenEOF: Bool) throws(MemcachedError) -> MemcachedWireReply? {
        // What is incomplete when the connection ends is dropped: whoever waits for it learns that it has ended.
        try self.decode(buffer: &buffer)
    }

    private static func outOfStep(_ message: String) -> MemcachedError {
        MemcachedError(.outOfStep, mayHaveReachedServer: true, message)
    }

    private static func readValue(length: Int, from buffer: inout ByteBuffer) throws(MemcachedError) -> ByteBuffer? {
        guard buffer.readableBytes >= length + 2 else { return nil }
        guard buffer.getInteger(at: buffer.readerIndex + length, as: UInt16.self) == 0x0D0A,
            let value = buffer.readSlice(length: length)
        else { throw Self.outOfStep("a value is not where its length says") }
        buffer.moveReaderIndex(forwardBy: 2)
        return value
    }

    private static func readLine(from buffer: inout ByteBuffer) throws(MemcachedError) -> MemcachedReplyLine? {
        let (lineLength, line) = buffer.withUnsafeReadableBytes { bytes -> (Int?, MemcachedReplyLine?) in
            guard let start = bytes.baseAddress,
                let newline = memchr(start, 0x0A, min(bytes.count, Self.longestLine))
            else { return (nil, nil) }
            let length = UnsafeRawPointer(newline) - start
            guard length > 0, bytes[length - 1] == 0x0D else { return (length, nil) }
            return (length, MemcachedReplyLine(UnsafeRawBufferPointer(rebasing: bytes[..<(length - 1)])))
        }
        guard let lineLength else {
            guard buffer.readableBytes < Self.longestLine else { throw Self.outOfStep("a line is too long") }
            return nil
        }
        guard let line else { throw Self.outOfStep("a line is none of memcached's") }
        buffer.moveReaderIndex(forwardBy: lineLength + 1)
        return line
    }
}
