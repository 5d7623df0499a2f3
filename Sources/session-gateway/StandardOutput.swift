import ArgumentParser
import Glibc

/// What a command prints, as CSV (RFC 4180, but each line ends with a line feed alone), collected into large writes.
struct StandardOutput: ~Copyable {
    private static let flushSize = 65_536

    private var bytes: [UInt8] = []
    private var isFirstField = true

    /// From here on a reader that goes away (`| head`) ends the command by an error of `flush`, not by SIGPIPE.
    init() {
        signal(SIGPIPE, SIG_IGN)
    }

    mutating func field(_ text: String) {
        var text = text
        text.withUTF8 { self.field(UnsafeRawBufferPointer($0)) }
    }

    /// In quotes where it has a comma, a quote or a line break.
    mutating func field(_ field: UnsafeRawBufferPointer) {
        if !self.isFirstField { self.bytes.append(UInt8(ascii: ",")) }
        self.isFirstField = false
        guard field.contains(where: Self.needsQuotes) else {
            self.bytes.append(contentsOf: field)
            return
        }
        let quote = UInt8(ascii: "\"")
        self.bytes.append(quote)
        for byte in field {
            if byte == quote { self.bytes.append(quote) }
            self.bytes.append(byte)
        }
        self.bytes.append(quote)
    }

    mutating func endLine() throws {
        self.bytes.append(UInt8(ascii: "\n"))
        self.isFirstField = true
        if self.bytes.count >= Self.flushSize { try self.flush() }
    }

    /// - Throws: `ExitCode`: success where nobody reads any more, else after a message.
    mutating func flush() throws {
        defer { self.bytes.removeAll(keepingCapacity: true) }
        var written = 0
        while written < self.bytes.count {
            let count = self.bytes.withUnsafeBytes {
                Glibc.write(STDOUT_FILENO, $0.baseAddress.map { $0 + written }, $0.count - written)
            }
            if count >= 0 {
                written += count
            } else if errno == EPIPE {
                throw ExitCode.success
            } else if errno == EAGAIN {
                var waited = pollfd(fd: STDOUT_FILENO, events: Int16(POLLOUT), revents: 0)
                poll(&waited, 1, -1)
            } else if errno != EINTR {
                StandardError.write(["session-gateway: standard output: \(String(cString: strerror(errno)))"])
                throw ExitCode(EX_IOERR)
            }
        }
    }

    private static func needsQuotes(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: ","), UInt8(ascii: "\""), UInt8(ascii: "\r"), UInt8(ascii: "\n"): true
        default: false
        }
    }
}
