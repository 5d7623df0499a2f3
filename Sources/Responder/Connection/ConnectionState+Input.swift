import CGI
import Glibc
import NIOCore

extension ConnectionState {
    private enum Received {
        case bytes(UnsafeRawBufferPointer)
        /// The socket is empty.
        case nothing
        case closed
    }

    private func receiveOnce(_ kit: ReadKit, atMost limit: Int) -> Received {
        while true {
            let count = recv(self.descriptor, kit.buffer.baseAddress, limit, 0)
            if count > 0 { return .bytes(UnsafeRawBufferPointer(rebasing: kit.buffer[..<count])) }
            if count == 0 { return .closed }
            if errno == EINTR { continue }
            return errno == EAGAIN ? .nothing : .closed
        }
    }

    /// Reads what there is, as long as it is for us and not for the handler.
    mutating func receive(_ connection: Connection, _ kit: ReadKit, _ effects: inout Effects) {
        while self.phase != .active, self.phase != .closed {
            switch self.receiveOnce(kit, atMost: ReadKit.bufferSize) {
            case .nothing: return
            case .closed: return self.peerClosed(connection, &effects)
            case .bytes(let bytes):
                switch self.phase {
                case .head: self.headReceived(bytes, connection, kit, &effects)
                case .collecting: self.collect(bytes, connection, kit, &effects)
                case .draining: self.drain(bytes, connection, kit, &effects)
                case .discarding: self.discard(bytes.count, connection, &effects)
                case .active, .closed: return
                }
                // Edge-triggered: a short read says that the socket is empty, and what comes later is a new event.
                if bytes.count < ReadKit.bufferSize { return }
            }
        }
    }

    // MARK: Head

    private mutating func headReceived(
        _ bytes: UnsafeRawBufferPointer,
        _ connection: Connection,
        _ kit: ReadKit,
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
            self.headCompleted(bytes, headEnd: count, connection, kit, &effects)
        }
    }

    private mutating func headCompleted(
        _ bytes: UnsafeRawBufferPointer,
        headEnd: Int,
        _ connection: Connection,
        _ kit: ReadKit,
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

        // One write and, up to 8 KB, one read of libfcgi for the head and whatever came with it.
        let fed = UnsafeRawBufferPointer(rebasing: bytes[..<(headEnd + passage.needed)])
        let isFed = (self.partialHead?.withUnsafeReadableBytes { kit.pipe.write($0) } ?? true) && kit.pipe.write(fed)
        self.partialHead = nil
        self.deadline = nil
        guard isFed else {
            kit.pipe.renew()
            return self.fail(.libraryError, connection, &effects)
        }
        guard let library = LibraryRequest.accept(from: kit.pipe, descriptor: self.descriptor) else {
            return self.fail(.libraryError, connection, &effects)
        }
        var repeatedCount = 0
        let exchange = Exchange(
            library: library,
            head: self.headGuard,
            parameters: library.parameters(repeated: &repeatedCount),
            bodyGuard: bodyGuard
        )
        if repeatedCount > 0 { connection.core.statistics.parametersRepeated(repeatedCount) }
        let isRead = exchange.readFedBody(passage, of: body, kit)
        self.exchange = exchange
        self.phase = .collecting
        self.serial += 1
        guard isRead else {
            kit.pipe.renew()
            return self.fail(.libraryError, connection, &effects)
        }
        self.bodyGrew(connection, &effects)
    }

    // MARK: Body

    private mutating func collect(
        _ bytes: UnsafeRawBufferPointer,
        _ connection: Connection,
        _ kit: ReadKit,
        _ effects: inout Effects
    ) {
        guard let exchange = self.exchange else { return }
        switch exchange.bodyReceived(bytes, kit) {
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

    /// The next piece of a streamed body for the handler, at most 32 KiB unless more came with the head.
    mutating func takeBodyPiece(
        _ connection: Connection,
        _ kit: ReadKit,
        _ effects: inout Effects
    ) -> Connection.BodyStep {
        while let exchange = self.exchange {
            if let piece = exchange.takeCollected() { return .piece(piece) }
            if exchange.isBodyComplete { return .end }
            if exchange.isFinishing { break }
            exchange.isInputPending = false
            switch self.receiveOnce(kit, atMost: Exchange.pieceSize) {
            case .nothing:
                return .wait
            case .closed:
                self.fail(.disconnected, connection, &effects)
            case .bytes(let bytes):
                exchange.isInputPending = true
                switch exchange.bodyReceived(bytes, kit) {
                case .failure(let failure):
                    self.fail(failure.reason, connection, &effects)
                case .success(let consumed):
                    exchange.pace.received(bytes.count, at: .now)
                    if consumed < bytes.count { self.fail(.pipelined, connection, &effects) }
                }
            }
        }
        return .failed(self.failure(self.serial))
    }

    private mutating func drain(
        _ bytes: UnsafeRawBufferPointer,
        _ connection: Connection,
        _ kit: ReadKit,
        _ effects: inout Effects
    ) {
        guard let exchange = self.exchange else { return self.close(connection, &effects) }
        switch exchange.bodyReceived(bytes, kit) {
        case .failure(let failure):
            self.fail(failure.reason, connection, &effects)
        case .success(let consumed):
            exchange.releaseContent()
            self.discardedByteCount += consumed
            if exchange.isBodyComplete {
                self.park(connection, &effects)
                // The answer has been sent, so the next request may be here already.
                let next = UnsafeRawBufferPointer(rebasing: bytes[consumed...])
                if self.phase == .head, !next.isEmpty { self.headReceived(next, connection, kit, &effects) }
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

    func takeCollected() -> ByteBuffer? {
        guard self.collected.readableBytes > 0 else { return nil }
        defer { self.collected = ByteBuffer() }
        return self.collected
    }

    /// Has libfcgi read the content of these bytes into `collected`.
    /// - Returns: how many of the bytes belong to this request.
    func bodyReceived(_ bytes: UnsafeRawBufferPointer, _ kit: ReadKit) -> Result<Int, Failure> {
        let passage: BodyGuard.Passage
        switch self.bodyGuard.examine(bytes) {
        case .refuse(let reason): return .failure(Failure(reason: reason))
        case .pass(let passed): passage = passed
        }
        if passage.needed > 0 {
            let isFed =
                self.held.withUnsafeReadableBytes { kit.pipe.write($0) }
                && kit.pipe.write(UnsafeRawBufferPointer(rebasing: bytes[..<passage.needed]))
            self.held.clear()
            guard isFed else {
                kit.pipe.renew()
                return .failure(Failure(reason: .libraryError))
            }
        }
        guard self.readFedBody(passage, of: bytes, kit) else {
            kit.pipe.renew()
            return .failure(Failure(reason: .libraryError))
        }
        return .success(passage.consumed)
    }

    /// Has libfcgi read what the pipe holds for it, and keeps what is not needed yet.
    func readFedBody(_ passage: BodyGuard.Passage, of bytes: UnsafeRawBufferPointer, _ kit: ReadKit) -> Bool {
        if passage.content > 0 {
            guard self.library.readBody(passage.content, from: kit.pipe, into: &self.collected) else { return false }
        }
        if self.bodyGuard.isComplete {
            guard self.library.endBody(from: kit.pipe) else { return false }
            self.isBodyComplete = true
        } else if passage.needed < passage.consumed {
            self.held.writeBytes(bytes[passage.needed..<passage.consumed])
        }
        return true
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
        answer.writeInteger(
            RecordHeader.bits(type: RecordHeader.standardOutput, requestID: requestID, contentLength: 0)
        )
        answer.writeInteger(RecordHeader.bits(type: RecordHeader.endRequest, requestID: requestID, contentLength: 8))
        answer.writeInteger(UInt64(0))
        return answer
    }
}

extension ByteBuffer? {
    fileprivate mutating func setOrWrite(_ bytes: UnsafeRawBufferPointer) {
        if self == nil { self = ByteBuffer() }
        self?.writeBytes(bytes)
    }
}
