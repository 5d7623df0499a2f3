import NIOCore

/// The caller's end of a script that runs. When nobody holds it any more, the script is terminated.
final class CGIExchange: BackendExchange {
    private let process: CGIProcess

    init(process: CGIProcess) {
        self.process = process
    }

    deinit {
        self.process.abort()
    }

    func nextIfBuffered() throws(BackendError) -> BackendEvent? {
        try self.process.events.nextIfBuffered { self.process.resumeReading() }
    }

    func next() async throws(BackendError) -> BackendEvent {
        try await self.process.events.next { self.process.resumeReading() }
    }

    func writeBody(_ chunk: ByteBuffer) async throws(BackendError) {
        guard chunk.readableBytes > 0 else { return }
        await withCheckedContinuation { continuation in
            self.process.writeBody(chunk, then: continuation)
        }
    }

    func finishBody() async throws(BackendError) {
        self.process.finishBody()
    }

    func abort() {
        self.process.abort()
    }
}
