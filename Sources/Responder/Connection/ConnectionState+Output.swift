import CLinux
import Glibc
import NIOCore

extension ConnectionState {
    /// The peer takes bytes again.
    mutating func outputPossible(_ connection: Connection, _ effects: inout Effects) {
        guard self.phase == .active, self.exchange?.outputDeadline != nil else { return }
        self.exchange?.outputDeadline = nil
        self.sendOutput(connection, &effects)
        guard self.phase == .active, let exchange = self.exchange else { return }
        if exchange.output.byteCount <= connection.core.configuration.outputLimit {
            exchange.wakeWriter(&effects)
        }
    }

    func outputStep(_ serial: UInt64, limit: Int) -> Connection.OutputStep {
        guard self.isLive(serial), let exchange = self.exchange else { return .failed(self.failure(serial)) }
        return exchange.output.byteCount <= limit ? .done : .wait
    }

    /// Sends as much as the peer takes, and the end of the request behind it where the handler has finished.
    mutating func sendOutput(_ connection: Connection, _ effects: inout Effects) {
        guard let exchange = self.exchange, exchange.outputDeadline == nil else { return }
        guard exchange.frameOutput(by: connection.writer) else { return self.fail(.libraryError, connection, &effects) }
        if self.sendRecords(connection, &effects), exchange.isFinishing {
            self.requestAnswered(connection, &effects)
        }
    }

    /// - Returns: whether everything has been sent.
    private mutating func sendRecords(_ connection: Connection, _ effects: inout Effects) -> Bool {
        guard let exchange = self.exchange else { return false }
        while !exchange.output.isEmpty {
            let descriptor = self.descriptor
            let count = exchange.output.withVectors { vectors in
                clinux_send_vectors(descriptor, vectors.baseAddress, Int32(vectors.count))
            }
            if count > 0 {
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
        effects.isOutputBlocked = true
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

    /// - Returns: false where there is something new for the waiter already.
    mutating func register(
        _ continuation: UnsafeContinuation<Void, Never>,
        as waiter: Connection.Waiter,
        _ connection: Connection,
        _ effects: inout Effects
    ) -> Bool {
        guard let exchange = self.exchange, !exchange.takeCancellation(of: waiter) else { return false }
        switch waiter {
        case .reader:
            guard !exchange.isBodyComplete, exchange.collected.readableBytes == 0, !exchange.isFinishing,
                exchange.reader == nil
            else { return false }
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

extension Exchange {
    /// Puts what waits into records: a small piece by libfcgi, all else by the queue (L26).
    /// - Returns: false where libfcgi has failed.
    fileprivate func frameOutput(by writer: LibraryWriter) -> Bool {
        guard !self.isEndFramed else { return true }
        self.isEndFramed = self.isFinishing
        if self.output.hasPieces, self.output.fitsLibrary {
            let records = writer.records(of: &self.output, requestID: self.requestID, ends: self.isFinishing)
            guard let records else { return false }
            self.output.append(records: records)
            return true
        }
        if self.isFinishing { self.output.endErrorText(requestID: self.requestID) }
        self.output.frame(requestID: self.requestID)
        if self.isFinishing {
            var end = ByteBuffer()
            end.writeRequestEnd(self.requestID)
            self.output.append(records: end)
        }
        return true
    }
}
