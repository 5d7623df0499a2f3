import Foundation
import GatewayTesting

/// Long bodies made of one block of 1 MiB over and over, which is cheap to make and to compare, and in which nothing can be
/// lost, doubled or swapped unnoticed.
struct BlockTransfer: Sendable {
    static let block: [UInt8] = (0..<1 << 20).map(HTTPRequest.patternByte)

    let client: HTTPClient

    /// For the pages that compare with it.
    static func writeBlock(to directory: TemporaryDirectory) throws {
        try Data(self.block).write(to: URL(filePath: directory.path("block")))
    }

    /// What came back: the text of a small answer.
    func upload(_ path: String, blocks: Int) async throws -> String {
        try await Threads.run {
            let socket = try self.open("POST", path, length: blocks << 20)
            for _ in 0..<blocks { try socket.send(Self.block) }
            var parser = HTTPResponseParser()
            while !parser.isComplete {
                let piece = try socket.receive()
                if piece.isEmpty { break }
                _ = try parser.receive(piece)
            }
            return parser.response?.text ?? ""
        }
    }

    /// - Parameter pause: between two reads of 256 KiB: a slow reader.
    /// - Returns: how many bytes came before one was wrong.
    func download(_ path: String, pause: Duration? = nil) async throws -> Int {
        try await Threads.run {
            let socket = try self.open("GET", path, length: nil)
            return try Self.compare(socket, pause: pause)
        }
    }

    private func open(_ method: String, _ path: String, length: Int?) throws -> ClientSocket {
        let socket = try ClientSocket(self.client.address, timeout: .seconds(120))
        // HTTP/1.0: no chunks in the way of the comparison.
        var head = "\(method) \(path) HTTP/1.0\r\nHost: \(self.client.host)\r\n"
        if let length { head += "Content-Length: \(length)\r\nContent-Type: application/octet-stream\r\n" }
        try socket.send(head + "\r\n")
        return socket
    }

    private static func compare(_ socket: ClientSocket, pause: Duration?) throws -> Int {
        var head: [UInt8] = []
        var end: Int?
        while end == nil {
            let piece = try socket.receive(4_096)
            guard !piece.isEmpty else { throw TestingError("no head: \(String(decoding: head, as: UTF8.self))") }
            head += piece
            end = head.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound
        }
        var piece = Array(head[(end ?? 0)...])
        var count = 0
        while true {
            let equal = Self.equalBytes(piece[...], at: count)
            guard equal == piece.count else { return count + equal }
            count += piece.count
            if let pause { Thread.sleep(forTimeInterval: pause / .seconds(1)) }
            piece = try socket.receive(262_144)
            if piece.isEmpty { return count }
        }
    }

    /// How many bytes are what the body has at that place.
    static func equalBytes(_ piece: ArraySlice<UInt8>, at place: Int) -> Int {
        var compared = 0
        while compared < piece.count {
            let offset = (place + compared) & (self.block.count - 1)
            let length = min(piece.count - compared, self.block.count - offset)
            let isEqual = piece.withUnsafeBytes { piece in
                self.block.withUnsafeBytes { block in
                    memcmp(piece.baseAddress! + compared, block.baseAddress! + offset, length) == 0
                }
            }
            guard isEqual else { return compared }
            compared += length
        }
        return compared
    }
}
