import DequeModule
import NIOCore
import Synchronization

/// The events of one answer, between the event loop that reads the backend and the task that takes them.
///
/// Holds about 256 KB, not counting what was read already when that was reached: then `publish` asks the reader to
/// pause, and `next` and `nextIfBuffered` tell it to go on when half of that is left.
struct ResponseEvents: ~Copyable, Sendable {
    // Not private: Swift 6.3.1 makes invalid code of a private type in a noncopyable struct that other files store.
    struct State {
        var events: Deque<BackendEvent> = []
        var byteCount = 0
        var readerIsPaused = false
        /// What is thrown behind the last event.
        var failure: BackendError?
        var hasEnded = false
        var consumer: UnsafeContinuation<Result<BackendEvent, BackendError>, Never>?
    }

    private static let highWaterMark = 256 * 1_024
    private static let lowWaterMark = 128 * 1_024
    /// What an event costs beyond its bytes.
    private static let eventOverhead = 128

    private let state = Mutex(State())

    init() {}

    var hasBufferedEvent: Bool {
        self.state.withLock { !$0.events.isEmpty || $0.failure != nil || $0.hasEnded }
    }

    /// Hands events to the consumer; `batch` is empty afterwards.
    /// - Returns: whether the reader is to pause until `next` says otherwise.
    func publish(_ batch: inout [BackendEvent]) -> Bool {
        guard !batch.isEmpty else { return false }
        let (consumer, first, pauses) = self.state.withLock { state in
            guard state.failure == nil else { return (nil as Consumer?, nil as BackendEvent?, false) }
            // Only the first time: to make room for exactly so many more each time would copy them all each time.
            if state.events.isEmpty { state.events.reserveCapacity(batch.count) }
            for event in batch {
                state.events.append(event)
                state.byteCount += Self.cost(event)
                if case .end = event { state.hasEnded = true }
            }
            let consumer = state.consumer
            state.consumer = nil
            let first = consumer == nil ? nil : Self.popFirst(&state)
            if state.byteCount > Self.highWaterMark { state.readerIsPaused = true }
            return (consumer, first, state.readerIsPaused)
        }
        batch.removeAll(keepingCapacity: true)
        if let first { consumer?.resume(returning: .success(first)) }
        return pauses
    }

    /// Ends the answer with an error, behind the events that are there already. Only the first error counts.
    func fail(_ error: BackendError) {
        self.end(error, discardsEvents: false)
    }

    /// Nobody wants the events any more.
    func discard() {
        self.end(BackendError(.cancelled, "the request was given up"), discardsEvents: true)
    }

    /// - Parameter resumeReading: called when the reader was asked to pause and may go on.
    @inline(__always)
    func next(resumeReading: () -> Void) async throws(BackendError) -> BackendEvent {
        if let buffered = try self.nextIfBuffered(resumeReading: resumeReading) { return buffered }
        return try await self.wait().get()
    }

    /// Likewise; returns nil where `next` would wait.
    func nextIfBuffered(resumeReading: () -> Void) throws(BackendError) -> BackendEvent? {
        let (buffered, resumes) = self.state.withLock { state in
            let event = Self.buffered(&state)
            let resumes = state.readerIsPaused && state.byteCount <= Self.lowWaterMark
            if resumes { state.readerIsPaused = false }
            return (event, resumes)
        }
        if resumes { resumeReading() }
        return try buffered?.get()
    }

    private typealias Consumer = UnsafeContinuation<Result<BackendEvent, BackendError>, Never>

    @inline(__always)
    private func wait() async -> Result<BackendEvent, BackendError> {
        await withUnsafeContinuation { (consumer: Consumer) in
            let result = self.state.withLock { state -> Result<BackendEvent, BackendError>? in
                if let event = Self.buffered(&state) { return event }
                state.consumer = consumer
                return nil
            }
            if let result { consumer.resume(returning: result) }
        }
    }

    private func end(_ error: BackendError, discardsEvents: Bool) {
        let consumer = self.state.withLock { state -> Consumer? in
            if discardsEvents {
                state.events.removeAll()
                state.byteCount = 0
                state.hasEnded = false
            }
            guard state.failure == nil, !state.hasEnded else { return nil }
            state.failure = error
            defer { state.consumer = nil }
            return state.consumer
        }
        consumer?.resume(returning: .failure(error))
    }

    private static func buffered(_ state: inout State) -> Result<BackendEvent, BackendError>? {
        if let event = self.popFirst(&state) { return .success(event) }
        if let failure = state.failure { return .failure(failure) }
        return state.hasEnded ? .success(.end) : nil
    }

    private static func popFirst(_ state: inout State) -> BackendEvent? {
        guard let event = state.events.popFirst() else { return nil }
        state.byteCount -= self.cost(event)
        return event
    }

    private static func cost(_ event: BackendEvent) -> Int {
        switch event {
        case .body(let bytes), .errorText(let bytes): bytes.readableBytes + self.eventOverhead
        case .head, .end: self.eventOverhead
        }
    }
}
