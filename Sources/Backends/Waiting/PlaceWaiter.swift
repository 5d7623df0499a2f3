import Synchronization

/// One request that waits for a place.
final class PlaceWaiter: Sendable {
    private struct State {
        var result: Result<Void, BackendError>?
        var continuation: CheckedContinuation<Result<Void, BackendError>, Never>?
    }

    private let state = Mutex(State())

    /// Decides, once; later decisions have no effect.
    /// - Returns: whether this was the first.
    @discardableResult
    func decide(_ result: Result<Void, BackendError>) -> Bool {
        let (isFirst, continuation) = self.state.withLock { state in
            guard state.result == nil else {
                return (false, nil as CheckedContinuation<Result<Void, BackendError>, Never>?)
            }
            state.result = result
            defer { state.continuation = nil }
            return (true, state.continuation)
        }
        continuation?.resume(returning: result)
        return isFirst
    }

    func wait() async -> Result<Void, BackendError> {
        await withCheckedContinuation { continuation in
            let result = self.state.withLock { state in
                if state.result == nil { state.continuation = continuation }
                return state.result
            }
            if let result { continuation.resume(returning: result) }
        }
    }
}
