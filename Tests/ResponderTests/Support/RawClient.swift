import Dispatch
import Glibc

/// A web server's connection, played by hand. Blocking, on a queue of its own, so that it holds no thread that tasks
/// run on.
final class RawClient: Sendable {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    struct Record: Equatable {
        var type: UInt8
        var id: UInt16
        var content: [UInt8]
    }

    struct Answer: Equatable {
        var output: [UInt8] = []
        var errors: [UInt8] = []
        /// The records' types in order.
        var types: [UInt8] = []
        /// Whether FCGI_END_REQUEST came; else the connection was closed.
        var hasEnded = false
        var text: String { String(decoding: self.output, as: UTF8.self) }
    }

    let descriptor: Int32
    private let queue = DispatchQueue(label: "raw client")

    /// - Parameter patience: how long a read may take, in seconds.
    init(unix path: String, patience: Int = 20) throws {
        self.descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(self.descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw Failure(description: "connect \(path): errno \(errno)") }
        self.setPatience(patience)
    }

    init(port: Int, patience: Int = 20) throws {
        self.descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(self.descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Failure(description: "connect \(port): errno \(errno)") }
        self.setPatience(patience)
    }

    private func setPatience(_ seconds: Int) {
        var time = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(self.descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(self.descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit {
        _ = Glibc.close(self.descriptor)
    }

    func onQueue<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            self.queue.async { continuation.resume(with: Swift.Result { try body() }) }
        }
    }

    /// Closes both directions at once.
    func hangUp() {
        _ = shutdown(self.descriptor, Int32(SHUT_RDWR))
    }

    func send(_ bytes: [UInt8]) async throws {
        try await self.onQueue { try self.sendBlocking(bytes) }
    }

    /// Sends while another call reads.
    func sendApart(_ bytes: [UInt8]) async throws {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue(label: "raw client's sender").async {
                continuation.resume(with: Swift.Result { try self.sendBlocking(bytes) })
            }
        }
    }

    private func sendBlocking(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(self.descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Failure(description: "send: errno \(errno)") }
            sent += count
        }
    }

    /// Sends what it can; a peer that hangs up is no error.
    func sendIgnoringErrors(_ bytes: [UInt8]) async {
        try? await self.send(bytes)
    }

    /// - Returns: nil where the peer has closed, in order or not.
    private func readBlocking(_ count: Int) throws -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var received = 0
        while received < count {
            let piece = bytes.withUnsafeMutableBytes {
                recv(self.descriptor, $0.baseAddress! + received, count - received, 0)
            }
            if piece == 0 || piece < 0 && (errno == ECONNRESET || errno == EPIPE) { return nil }
            guard piece > 0 else { throw Failure(description: "receive: errno \(errno)") }
            received += piece
        }
        return bytes
    }

    private func recordBlocking() throws -> Record? {
        guard let header = try self.readBlocking(8) else { return nil }
        guard header[0] == 1 else { throw Failure(description: "version \(header[0])") }
        let length = Int(header[4]) << 8 | Int(header[5])
        guard let content = try self.readBlocking(length), try self.readBlocking(Int(header[6])) != nil else {
            return nil
        }
        return Record(type: header[1], id: UInt16(header[2]) << 8 | UInt16(header[3]), content: content)
    }

    func record() async throws -> Record? {
        try await self.onQueue { try self.recordBlocking() }
    }

    /// Bytes as they come, at most so many; empty where the peer has closed.
    func read(atMost count: Int) async throws -> [UInt8] {
        try await self.onQueue {
            var bytes = [UInt8](repeating: 0, count: count)
            let received = recv(self.descriptor, &bytes, count, 0)
            if received < 0 && errno != ECONNRESET { throw Failure(description: "receive: errno \(errno)") }
            return Array(bytes.prefix(max(0, received)))
        }
    }

    /// Reads so many bytes every so many microseconds, so many times, and then all at once.
    /// - Returns: how many bytes came until the peer closed.
    func readSlowly(_ count: Int, every interval: UInt32, times: Int) async throws -> Int {
        try await self.onQueue {
            var bytes = [UInt8](repeating: 0, count: 200_000)
            var total = 0
            for round in 0... {
                if round < times { usleep(interval) }
                let received = recv(self.descriptor, &bytes, round < times ? count : bytes.count, 0)
                guard received > 0 else { break }
                total += received
            }
            return total
        }
    }

    /// Reads to FCGI_END_REQUEST or to the end of the connection.
    func answer(id: UInt16 = 1) async throws -> Answer {
        try await self.onQueue {
            var answer = Answer()
            while let record = try self.recordBlocking() {
                guard record.id == id else { throw Failure(description: "record of request \(record.id)") }
                answer.types.append(record.type)
                switch record.type {
                case 6: answer.output += record.content
                case 7: answer.errors += record.content
                case 3:
                    guard record.content == [UInt8](repeating: 0, count: 8) else {
                        throw Failure(description: "end \(record.content)")
                    }
                    answer.hasEnded = true
                    return answer
                default: throw Failure(description: "record type \(record.type)")
                }
            }
            return answer
        }
    }

    /// Sends and reads the answer.
    func exchange(_ bytes: [UInt8], id: UInt16 = 1) async throws -> Answer {
        try await self.send(bytes)
        return try await self.answer(id: id)
    }

    /// Waits for the peer to close.
    /// - Returns: whether it did without sending anything before.
    func isClosed() async throws -> Bool {
        try await self.read(atMost: 1).isEmpty
    }
}
