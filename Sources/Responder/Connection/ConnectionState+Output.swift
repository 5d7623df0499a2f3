import CLinux
import Glibc
import NIOCore

extension ConnectionState {
    /// The peer takes bytes again.
    mutating func outputPossible(_ connection: Connection, _ effects: inout Effects) {
        guard self.phase == .active, self.isOutputWatched else { return }
        self.exchange?.outputDeadline = nil
        self.sendOutput(flushes: true, connection, &effects)
        guard self.phase == .active, let exchange = self.exchange else { return }
        if exchange.outputDeadline == nil { self.watchOutput(false, connection) }
        if exchange.output.byteCount <= connection.core.configuration.outputLimit {
            exchange.wakeWriter(&effects)
        }
    }

    func outputStep(_ serial: UInt64, limit: Int) -> Connection.OutputStep {
        guard self.isLive(serial), let exchange = self.exchange else { return .failed(self.failure(serial)) }
        return exchange.output.byteCount <= limit ? .done : .wait
    }

    /// Sends as much as the peer takes, and the end of the request behind it where the handler has finished.
    mutating func sendOutput(flushes: Bool, _ connection: Connection, _ effects: inout Effects) {
        guard let exchange = self.exchange, exchange.outputDeadline == nil else { return }
        if exchange.output.fitsLibrary, exchange.isFinishing || (flushes && !exchange.output.isEmpty) {
            self.sendThroughLibrary(connection, &effects)
            return
        }
        if exchange.isFinishing { exchange.output.endErrorText(requestID: exchange.requestID) }
        exchange.output.frame(requestID: exchange.requestID)
        guard self.sendRecords(connection, &effects) else { return }
        if exchange.isFinishing { self.sendThroughLibrary(connection, &effects) }
    }

    /// A small response as a whole, a small piece of one, or the end of one.
    private mutating func sendThroughLibrary(_ connection: Connection, _ effects: inout Effects) {
        guard let exchange = self.exchange else { return }
        // libfcgi cannot resume a write that the peer took half of. A unix socket that nothing of this response has
        // gone to is empty, unless the peer does not read its answers, and then its connection is closed.
        guard (connection.isLocal && !exchange.hasSent) || self.isWritable else {
            return self.outputBlocked(connection, &effects)
        }
        let library = exchange.library
        exchange.output.takeAll { library.put($0) }
        exchange.hasSent = true
        if exchange.isFinishing {
            guard library.end() else { return self.fail(.disconnected, connection, &effects) }
            self.requestAnswered(connection, &effects)
        } else if !library.flush() {
            self.fail(.disconnected, connection, &effects)
        }
    }

    /// - Returns: whether everything has been sent.
    private mutating func sendRecords(_ connection: Connection, _ effects: inout Effects) -> Bool {
        guard let exchange = self.exchange else { return false }
        while !exchange.output.isEmpty {
            let isFinishing = exchange.isFinishing
            let descriptor = self.descriptor
            let count = exchange.output.withVectors { vectors in
                clinux_send_vectors(descriptor, vectors.baseAddress, Int32(vectors.count), isFinishing ? 1 : 0)
            }
            if count > 0 {
                exchange.hasSent = true
                exchange.output.sent(count)
            } else if count < 0 && errno == EAGAIN {
                self.outputBlocked(connection, &effects)
                return false
            } else if !(count < 0 && errno == EINTR) {
                self.fail(.disconnected, connection, &effects)
                return false
            }
        }
        return true
    }

    private mutating func outputBlocked(_ connection: Connection, _ effects: inout Effects) {
        self.exchange?.outputDeadline = .now + connection.core.configuration.writeTimeout
        self.exchange?.unsentByteCount = clinux_unsent_byte_count(self.descriptor)
        self.watch(&effects)
        self.watchOutput(true, connection)
    }

    /// The time in which the peer has to take something has passed. The socket reports room only when most of its
    /// buffer is free, so a slow peer may well have taken some.
    mutating func outputTimedOut(_ connection: Connection, _ effects: inout Effects) {
        guard let exchange = self.exchange else { return }
        let count = clinux_unsent_byte_count(self.descriptor)
        guard count >= 0, count < exchange.unsentByteCount else {
            return self.fail(.writeTimedOut, connection, &effects)
        }
        exchange.unsentByteCount = count
        exchange.outputDeadline = .now + connection.core.configuration.writeTimeout
    }

    /// Whether the socket has room for more than libfcgi writes at once: it reports so only with a third of its
    /// buffer free.
    private var isWritable: Bool {
        var poll = pollfd(fd: self.descriptor, events: Int16(POLLOUT), revents: 0)
        return Glibc.poll(&poll, 1, 0) > 0
    }

    /// - Returns: false where there is something new for the waiter already.
    mutating func register(
        _ continuation: UnsafeContinuation<Void, Never>,
        as waiter: Connection.Waiter,
        _ connection: Connection,
        _ effects: inout Effects
    ) -> Bool {
        guard let exchange = self.exchange else { return false }
        switch waiter {
        case .reader:
            guard !exchange.isInputPending, !exchange.isFinishing, exchange.reader == nil else { return false }
            exchange.reader = continuation
            exchange.pace.waitBegan(at: .now)
            self.watch(&effects)
        case .writer:
            guard exchange.output.byteCount > connection.core.configuration.outputLimit else { return false }
            // A second writer takes turns with the first one.
            exchange.wakeWriter(&effects)
            exchange.writer = continuation
        case .end:
            guard exchange.end == nil else { return false }
            exchange.end = continuation
        }
        return true
    }
}
