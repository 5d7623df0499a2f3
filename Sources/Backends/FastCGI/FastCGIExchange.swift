import FastCGI
import NIOCore

/// The caller's end of a request. When nobody holds it any more, the request is given up.
final class FastCGIExchange: BackendExchange {
    let run: FastCGIRun

    init(run: FastCGIRun) {
        self.run = run
    }

    deinit {
        self.abort()
    }

    func nextIfBuffered() throws(BackendError) -> BackendEvent? {
        try self.run.events.nextIfBuffered { self.resumeReading() }
    }

    func next() async throws(BackendError) -> BackendEvent {
        try await self.run.events.next { self.resumeReading() }
    }

    private func resumeReading() {
        self.run.connection?.resumeReading(for: self.run)
    }

    func writeBody(_ chunk: ByteBuffer) async throws(BackendError) {
        guard chunk.readableBytes > 0, let connection = self.run.connection else { return }
        await withCheckedContinuation { continuation in
            connection.writeBody(chunk, for: self.run, then: continuation)
        }
    }

    func finishBody() async throws(BackendError) {
        self.run.connection?.finishBody(for: self.run)
    }

    func abort() {
        guard !self.run.isOver else { return }
        self.run.giveUp()?.abort(self.run)
    }
}
