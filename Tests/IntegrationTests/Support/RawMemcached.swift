import GatewayTesting

/// A memcached's items as bytes, read and written behind the gateway's back.
struct RawMemcached {
    let memcached: MemcachedProcess

    /// The keys of all sessions of a site.
    func keys(site: String = "default") throws -> [String] {
        try self.memcached.command("lru_crawler metadump hash", until: "END\r\n").split(separator: "\n")
            .compactMap { line -> String? in
                guard let key = line.split(separator: " ").first, key.hasPrefix("key=") else { return nil }
                return String(key.dropFirst(4)).replacing("%3A", with: ":").replacing("%21", with: "!")
            }
            .filter { $0.hasPrefix("sg:\(site):") }
    }

    /// Nil where there is no such item.
    func value(_ key: String) throws -> [UInt8]? {
        let socket = try ClientSocket(self.memcached.address, timeout: .seconds(10))
        try socket.send("mg \(key) v\r\n")
        var answer: [UInt8] = []
        while true {
            let piece = try socket.receive()
            guard !piece.isEmpty else { throw TestingError("memcached closed the connection") }
            answer += piece
            guard let line = answer.firstRange(of: [13, 10]) else { continue }
            let words = String(decoding: answer[..<line.lowerBound], as: UTF8.self).split(separator: " ")
            guard words.first == "VA", words.count > 1, let length = Int(words[1]) else { return nil }
            if answer.count >= line.upperBound + length + 2 {
                return Array(answer[line.upperBound..<line.upperBound + length])
            }
        }
    }

    func set(_ key: String, _ value: [UInt8]) throws {
        let socket = try ClientSocket(self.memcached.address, timeout: .seconds(10))
        try socket.send(Array("ms \(key) \(value.count) T1440\r\n".utf8) + value + [13, 10])
        let answer = String(decoding: try socket.receive(), as: UTF8.self)
        guard answer.hasPrefix("HD") else { throw TestingError("memcached: \(answer)") }
    }
}
