import CGI
import Glibc
import NIOCore

extension ConnectionState {
    /// Bytes from the peer.
    mutating func received(
        _ bytes: UnsafeRawBufferPointer,
        _ connection: Connection,
        _ effects: inout Effects
    ) {
        switch self.phase {
        case .head:
            self.headReceived(bytes, connection, &effects)
        case .collecting:
            self.collect(bytes, connection, &effects)
        case .active where self.exchange?.isBodyComplete == true:
            self.unexpectedInput(bytes, connection, &effects)
        case .active:
            self.pieceReceived(bytes, connection, &effects)
        case .draining:
            self.drain(bytes, connection, &effects)
        case .discarding:
            self.discard(bytes.count, connection, &effects)
        case .closed:
            break
        }
    }

    /// Whether the channel may read: a body that is streamed is read as its reader asks for it.
    var wantsInput: Bool {
        switch self.phase {
        case .active: self.exchange.map { $0.isBodyComplete || $0.reader != nil } ?? true
        case .head, .collecting, .draining, .discarding, .closed: true
        }
    }

    /// Whether something has come in that the channel has not read yet.
    var hasUnreadInput: Bool {
        var byte: UInt8 = 0
        return self.descriptor >= 0 && recv(self.descriptor, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT)) > 0
    }

    /// Nothing may come in while a whole request waits for its answer, but the wish to abort it.
    private mutating func unexpectedInput(
        _ bytes: UnsafeRawBufferPointer,
        _ connection: Connection,
        _ effects: inout Effects
    ) {
        let isAbort = bytes.count >= 2 && bytes[1] == RecordHeader.abortRequest
        self.fail(isAbort ? .aborted : .pipelined, connection, &effects)
    }

    // MARK: Head

    private mutating func headReceived(
        _ bytes: UnsafeRawBufferPointer,
        _ connection: Connection,
        _ effects: inout Effects
    ) {
        switch self.headGuard.examine(bytes) {
        case .wait:
            self.partialHead.setOrWrite(bytes)
            if self.deadline == nil {
                self.deadline = .now + connection.core.configuration.headerTimeout
                self.watch(&effects)
            }
        case .refuse(let reason):
            self.refuse(reason, requestID: self.headGuard.requestID, connection, &effects)
        case .complete(let count):
            self.headCompleted(bytes, headEnd: count, connection, &effects)
        }
    }

    private mutating func headCompleted(
        _ bytes: UnsafeRawBufferPointer,
        headEnd: Int,
        _ connection: Connection,
        _ effects: inout Effects
    ) {
        let requestID = self.headGuard.requestID
        let body = UnsafeRawBufferPointer(rebasing: bytes[headEnd...])
        var bodyGuard = BodyGuard(requestID: requestID, expectedByteCount: self.headGuard.contentLength)
        let passage: BodyGuard.Passage
        switch bodyGuard.examine(body) {
        case .pass(let passed): passage = passed
        case .refuse(let reason): return self.refuse(reason, requestID: requestID, connection, &effects)
        }
        guard passage.consumed == body.count else { return self.fail(.pipelined, connection, &effects) }

        let fed = UnsafeRawBufferPointer(rebasing: bytes[..<(headEnd + passage.needed)])
        let partialHead = self.partialHead ?? ByteBuffer()
        let head = self.headGuard
        self.partialHead = nil
        self.deadline = nil
        let exchange = partialHead.withUnsafeReadableBytes { partialHead in
            LibraryMemory.reading(partialHead, fed) {
                Exchange.accept(head, bodyGuard, passage, body: body, connection.core.statistics)
            }
        }
        guard let exchange else { return self.fail(.libraryError, connection, &effects) }
        self.exchange = exchange
        self.phase = .collecting
        self.serial += 1
        self.bodyGrew(connection, &effects)
    }

    // MARK: Body

    private mutating func collect(
        _ bytes: UnsafeRawBufferPointer,
        _ connection: Connection,
        _ effects: inout Effects
    ) {
        guard let exchange = self.exchange else { return }
        switch exchange.bodyReceived(bytes) {
        case .failure(let failure):
            self.refuse(failure.reason, requestID: exchange.requestID, connection, &effects)
        case .success(let consumed):
            guard consumed == bytes.count else { return self.fail(.pipelined, connection, &effects) }
            exchange.pace.received(bytes.count, at: .now)
            self.bodyGrew(connection, &effects)
        }
    }

    /// Calls the handler when the body is whole or too long to be waited for.
    private mutating func bodyGrew(_ connection: Connection, _ effects: inout Effects) {
        guard let exchange = self.exchange else { return }
        let limit = connection.core.configuration.completeBodyLimit
        if exchange.isBodyComplete || exchange.contentLength ?? 0 > limit || exchange.collected.readableBytes > limit {
            self.deliver(connection, &effects)
            return
        }
        let now = ContinuousClock.now
        if exchange.contentLength == nil, self.deadline == nil { self.deadline = now + Self.patience }
        exchange.pace.waitBegan(at: now)
        self.watch(&effects)
    }

    /// Hands the request to the handler.
    mutating func deliver(_ connection: Connection, _ effects: inout Effects) {
        guard let exchange = self.exchange, let parameters = exchange.parameters else { return }
        self.phase = .active
        self.deadline = nil
        self.lostRequest = false
        exchange.parameters = nil
        let body: IncomingRequest.Body
        if exchange.isBodyComplete {
            body = .complete(exchange.collected)
            exchange.collected = ByteBuffer()
        } else {
            body = .streamed(length: exchange.contentLength)
            exchange.pace = BodyPace()
        }
        connection.core.statistics.requestBegan()
        effects.delivered = IncomingRequest(
            connection: connection,
            serial: self.serial,
            parameters: parameters,
            body: body
        )
    }

    /// A piece of a streamed body.
    private mutating func pieceReceived(
        _ bytes: UnsafeRawBufferPointer,
        _ connection: Connection,
        _ effects: inout Effects
    ) {
        guard let exchange = self.exchange else { return }
        switch exchange.bodyReceived(bytes) {
        case .failure(let failure):
            self.fail(failure.reason, connection, &effects)
        case .success(let consumed):
            exchange.pace.received(bytes.count, at: .now)
            guard consumed == bytes.count else { return self.fail(.pipelined, connection, &effects) }
            if exchange.isBodyComplete || exchange.collected.readableBytes > 0 { exchange.wakeReader(&effects) }
        }
    }

    private mutating func drain(
        _ bytes: UnsafeRawBufferPointer,
        _ connection: Connection,
        _ effects: inout Effects
    ) {
        guard let exchange = self.exchange else { return self.close(connection, &effects) }
        switch exchange.bodyReceived(bytes) {
        case .failure(let failure):
            self.fail(failure.reason, connection, &effects)
        case .success(let consumed):
            exchange.releaseContent()
            self.discardedByteCount += consumed
            if exchange.isBodyComplete {
                self.park(connection, &effects)
                // The answer has been sent, so the next request may be here already.
                let next = UnsafeRawBufferPointer(rebasing: bytes[consumed...])
                if self.phase == .head, !next.isEmpty { self.headReceived(next, connection, &effects) }
            } else if self.discardedByteCount > connection.core.configuration.drainLimit {
                self.fail(.drainLimit, connection, &effects)
            }
        }
    }

    // MARK: Refusals

    /// Closes the connection, with an answer where an ordinary client can have caused it.
    private mutating func refuse(
        _ reason: RefusalReason,
        requestID: UInt16,
        _ connection: Connection,
        _ effects: inout Effects
    ) {
        guard let answer = reason.answer(requestID: requestID), self.phase != .active else {
            return self.fail(reason, connection, &effects)
        }
        effects.refusal = reason
        let count = answer.withUnsafeReadableBytes {
            send(self.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        guard count == answer.readableBytes else { return self.close(connection, &effects) }
        self.discardExchange(&effects)
        // Closed at once, a TCP connection with unread input would be reset, and the answer lost with it.
        _ = shutdown(self.descriptor, Int32(SHUT_WR))
        self.phase = .discarding
        self.partialHead = nil
        self.discardedByteCount = 0
        self.deadline = .now + connection.core.configuration.drainTimeout
        self.watch(&effects)
    }

    private mutating func discard(_ count: Int, _ connection: Connection, _ effects: inout Effects) {
        self.discardedByteCount += count
        if self.discardedByteCount > connection.core.configuration.drainLimit { self.close(connection, &effects) }
    }
}

extension Exchange {
    /// The most that is received at once for a handler that asks for a piece.
    static let pieceSize = 32 * 1024

    struct Failure: Error {
        let reason: RefusalReason
    }

    /// Has libfcgi take a whole head and what has come of its body.
    /// - Returns: nil where libfcgi does not agree with the guards.
    static func accept(
        _ head: HeadGuard,
        _ bodyGuard: BodyGuard,
        _ passage: BodyGuard.Passage,
        body: UnsafeRawBufferPointer,
        _ statistics: StatisticsCounters
    ) -> Exchange? {
        guard let library = LibraryRequest.accept() else { return nil }
        var repeatedCount = 0
        let parameters = library.parameters(atMost: head.examinedByteCount, repeated: &repeatedCount)
        if repeatedCount > 0 { statistics.parametersRepeated(repeatedCount) }
        let exchange = Exchange(library: library, head: head, parameters: parameters, bodyGuard: bodyGuard)
        return exchange.read(passage, of: body) ? exchange : nil
    }

    func takeCollected() -> ByteBuffer? {
        guard self.collected.readableBytes > 0 else { return nil }
        defer { self.collected = ByteBuffer() }
        return self.collected
    }

    /// Has libfcgi read the content of these bytes into `collected`.
    /// - Returns: how many of the bytes belong to this request.
    func bodyReceived(_ bytes: UnsafeRawBufferPointer) -> Result<Int, Failure> {
        let passage: BodyGuard.Passage
        switch self.bodyGuard.examine(bytes) {
        case .refuse(let reason): return .failure(Failure(reason: reason))
        case .pass(let passed): passage = passed
        }
        let isRead: Bool
        if passage.needed > 0 {
            let held = self.held
            self.held = ByteBuffer()
            isRead =
                held.withUnsafeReadableBytes { held in
                    LibraryMemory.reading(held, UnsafeRawBufferPointer(rebasing: bytes[..<passage.needed])) {
                        self.read(passage, of: bytes) ? true : nil
                    }
                } ?? false
        } else {
            isRead = self.read(passage, of: bytes)
        }
        return isRead ? .success(passage.consumed) : .failure(Failure(reason: .libraryError))
    }
}

extension RefusalReason {
    /// A whole response for a request that is not let through, in records.
    func answer(requestID: UInt16) -> ByteBuffer? {
        guard self.isAnswered, requestID != 0 else { return nil }
        let status = self == .wrongContentLength ? "400 Bad Request" : "431 Request Header Fields Too Large"
        let text = "Status: \(status)\r\nContent-Type: text/plain\r\n\r\n\(status)\n"
        var answer = ByteBuffer()
        answer.writeInteger(
            RecordHeader.bits(
                type: RecordHeader.standardOutput,
                requestID: requestID,
                contentLength: text.utf8.count
            )
        )
        answer.writeString(text)
        answer.writeRequestEnd(requestID)
        return answer
    }
}

extension ByteBuffer? {
    fileprivate mutating func setOrWrite(_ bytes: UnsafeRawBufferPointer) {
        if self == nil { self = ByteBuffer() }
        self?.writeBytes(bytes)
    }
}
