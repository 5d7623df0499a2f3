import Foundation
import Synchronization

/// A memcached that is in trouble: a proxy in front of a real one, on a port of its own, which does to commands and answers
/// what it is told. One thread for each connection.
package final class TroubledMemcached: Sendable {
    package enum Trouble: Sendable, Equatable {
        case none
        /// Takes connections, reads, and never answers.
        case silent
        /// Nothing listens, and the connections there were are reset.
        case refuses
        /// Every connection is reset at its first command.
        case resets
        /// Answers with bytes that are no answer.
        case babbles
        /// Gives the value of another key that was read before.
        case mixesUp
        /// One byte of every answer a second.
        case drips
        /// SERVER_ERROR to every write.
        case declinesWrites
        /// Of so many commands of a hundred the answer never comes, or the connection is reset.
        case fails(percent: Int)
    }

    private struct State {
        var trouble = Trouble.none
        var random = SplitMix(seed: 1)
        var sessionCommands = 0
        var connections: [ClientSocket] = []
        var listener: Int32 = -1
        /// The last value of some key.
        var lastValue: (key: String, data: [UInt8])?
    }

    package let port: Int
    private let target: SocketAddress
    private let state = Mutex(State())

    package init(to target: SocketAddress) throws {
        self.port = try LoopbackPort.unused()
        self.target = target
        try self.listen()
    }

    deinit { self.state.withLock { Self.hangUp(&$0, closesListener: true) } }

    /// How many commands about sessions have come since this trouble began.
    package var sessionCommands: Int { self.state.withLock { $0.sessionCommands } }

    package func begin(_ trouble: Trouble) throws {
        let hadListener = self.state.withLock { state in
            state.trouble = trouble
            state.sessionCommands = 0
            let hadListener = state.listener >= 0
            if trouble == .refuses { Self.hangUp(&state, closesListener: true) }
            return hadListener
        }
        if trouble != .refuses, !hadListener { try self.listen() }
    }

    package func end() throws { try self.begin(.none) }

    private static func hangUp(_ state: inout State, closesListener: Bool) {
        if closesListener, state.listener >= 0 {
            // Wakes the thread that accepts.
            shutdown(state.listener, Int32(SHUT_RDWR))
            close(state.listener)
            state.listener = -1
        }
        for connection in state.connections { connection.shutDown() }
        state.connections = []
    }

    private func listen() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(self.port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard bound == 0, Glibc.listen(descriptor, 128) == 0 else {
            throw TestingError("cannot listen at \(self.port): \(errno)")
        }
        self.state.withLock { $0.listener = descriptor }
        Thread.detachNewThread { [weak self] in
            while true {
                let connection = accept(descriptor, nil, nil)
                guard connection >= 0 else { return }
                guard let self else {
                    close(connection)
                    return
                }
                self.serve(ClientSocket(connected: connection))
            }
        }
    }

    private func serve(_ client: ClientSocket) {
        self.state.withLock { $0.connections.append(client) }
        let thread = Thread { [weak self] in
            guard let server = (self?.target).flatMap({ try? ClientSocket($0) }) else { return client.reset() }
            var input = MemcachedWords(client)
            var output = MemcachedWords(server)
            while let command = try? input.command(), let self, self.carryOut(command, client, server, &output) {}
            client.reset()
        }
        thread.stackSize = 512 * 1_024
        thread.start()
    }

    /// - Returns: whether the connection goes on.
    private func carryOut(
        _ command: MemcachedWords.Message,
        _ client: ClientSocket,
        _ server: ClientSocket,
        _ output: inout MemcachedWords
    ) -> Bool {
        let isWrite = command.words.first == "ms"
        let (trouble, dice) = self.state.withLock { state in
            if command.isOfSession { state.sessionCommands += 1 }
            return (state.trouble, state.random.below(200))
        }
        switch trouble {
        case .silent:
            return true
        case .refuses, .resets:
            return false
        case .babbles:
            return (try? client.send((0..<40).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ dice) } + [13, 10])) != nil
        case .fails(let percent) where dice < percent * 2:
            // Half of them: never an answer on this connection any more.
            while dice % 2 == 0, let piece = try? client.receive(), !piece.isEmpty {}
            return false
        case .declinesWrites where isWrite:
            return (try? client.send("SERVER_ERROR out of memory storing object\r\n")) != nil
        case .none, .mixesUp, .drips, .declinesWrites, .fails:
            break
        }
        do {
            try server.send(command.bytes)
            var answer = try output.answer(to: command)
            if trouble == .mixesUp { self.mixUp(command, &answer) } else { self.remember(command, answer) }
            guard trouble == .drips else {
                try client.send(answer.bytes)
                return true
            }
            for byte in answer.bytes {
                try client.send([byte])
                Thread.sleep(forTimeInterval: 1)
            }
            return true
        } catch {
            return false
        }
    }

    private func remember(_ command: MemcachedWords.Message, _ answer: MemcachedWords.Message) {
        guard command.isOfSession, let data = answer.data else { return }
        self.state.withLock { $0.lastValue = (command.words[1], data) }
    }

    private func mixUp(_ command: MemcachedWords.Message, _ answer: inout MemcachedWords.Message) {
        guard command.isOfSession, answer.data != nil, let last = self.state.withLock({ $0.lastValue }),
            last.key != command.words[1]
        else { return }
        answer.words[1] = "\(last.data.count)"
        answer.data = last.data
    }
}

/// Reads commands and answers of the meta protocol from a connection, one at a time.
struct MemcachedWords {
    struct Message {
        var words: [String]
        var data: [UInt8]?
        /// Lines that stand as they are.
        var text: [UInt8] = []

        var isOfSession: Bool {
            self.words.count > 1 && ["mg", "ms"].contains(self.words[0]) && !self.words[1].contains("!")
        }

        var bytes: [UInt8] {
            guard self.text.isEmpty else { return self.text }
            return Array((self.words.joined(separator: " ") + "\r\n").utf8) + (self.data.map { $0 + [13, 10] } ?? [])
        }
    }

    private let socket: ClientSocket
    private var buffer: [UInt8] = []

    init(_ socket: ClientSocket) { self.socket = socket }

    mutating func command() throws -> Message {
        let words = try self.line()
        guard words.first == "ms", words.count > 2, let length = Int(words[2]) else { return Message(words: words) }
        return Message(words: words, data: try self.data(length))
    }

    mutating func answer(to command: Message) throws -> Message {
        if let name = command.words.first, ["stats", "lru_crawler"].contains(name) {
            var text: [UInt8] = []
            while true {
                let line = try self.rawLine()
                text += line
                // Each line of a statistic and of a dump begins like this; anything else is the last.
                if !line.starts(with: Array("STAT ".utf8)), !line.starts(with: Array("key=".utf8)) {
                    return Message(words: [], text: text)
                }
            }
        }
        let words = try self.line()
        guard words.first == "VA", words.count > 1, let length = Int(words[1]) else { return Message(words: words) }
        return Message(words: words, data: try self.data(length))
    }

    private mutating func line() throws -> [String] {
        let line = String(decoding: try self.rawLine().filter { $0 != 10 && $0 != 13 }, as: UTF8.self)
        return line.split(separator: " ", omittingEmptySubsequences: false).map { String($0) }
    }

    /// With what ends it.
    private mutating func rawLine() throws -> [UInt8] {
        while true {
            if let end = self.buffer.firstIndex(of: 10) {
                defer { self.buffer.removeFirst(end + 1) }
                return Array(self.buffer[...end])
            }
            try self.read()
        }
    }

    private mutating func data(_ length: Int) throws -> [UInt8] {
        while self.buffer.count < length + 2 { try self.read() }
        defer { self.buffer.removeFirst(length + 2) }
        return Array(self.buffer.prefix(length))
    }

    private mutating func read() throws {
        let piece = try self.socket.receive()
        guard !piece.isEmpty else { throw TestingError("the connection has ended") }
        self.buffer += piece
    }
}
