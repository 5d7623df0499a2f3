import Configuration
import NIOCore
import Sessions
import Store
import Synchronization

/// Lets the requests of one session of a site through one after the other, on all event loops: `concurrency: serialize`.
///
/// They wait here, before the session is loaded and before a place at the backend is taken. The order is that of their
/// coming; between gateways it is chance.
final class SessionTurns: Sendable {
    private let state: Mutex<State>

    private struct State {
        var queue: TurnQueue
        var timeout: Duration
        var waiters: [TurnQueue.Ticket: UnsafeContinuation<Void, Never>] = [:]

        /// - Returns: the one who is next and waits.
        mutating func leave(_ key: SessionKey, _ ticket: TurnQueue.Ticket) -> UnsafeContinuation<Void, Never>? {
            self.queue.leave(key, ticket).flatMap { self.waiters.removeValue(forKey: $0) }
        }
    }

    /// - Parameters:
    ///   - maximumWaiting: for each session, beside the one whose turn it is.
    ///   - timeout: how long a turn is waited for.
    init(maximumWaiting: Int, timeout: Duration) {
        self.state = Mutex(State(queue: TurnQueue(maximumWaiting: maximumWaiting), timeout: timeout))
    }

    /// - Parameters: as of `init`.
    func setLimits(maximumWaiting: Int, timeout: Duration) {
        self.state.withLock { state in
            state.queue.maximumWaiting = maximumWaiting
            state.timeout = timeout
        }
    }

    /// - Returns: nil where too many wait already, where it took too long, or where the visitor has gone.
    func take(_ key: SessionKey, in store: any SessionStorage, on eventLoop: any EventLoop) async -> SessionTurn? {
        let start = ContinuousClock.now
        let (answer, timeout) = self.state.withLock { ($0.queue.enter(key), $0.timeout) }
        let ticket: TurnQueue.Ticket
        switch answer {
        case .full:
            return nil
        case .granted(let granted):
            ticket = granted
        case .waiting(let waiting):
            guard await self.wait(key, waiting, for: timeout, on: eventLoop) else { return nil }
            ticket = waiting
        }
        switch await store.takeTurn(key, timeout: timeout - (.now - start)) {
        case .held(let lease):
            return SessionTurn(turns: self, key: key, ticket: ticket, lease: lease)
        case .unprotected:
            return SessionTurn(turns: self, key: key, ticket: ticket, lease: nil)
        case .timedOut:
            self.leave(key, ticket)
            return nil
        }
    }

    fileprivate func leave(_ key: SessionKey, _ ticket: TurnQueue.Ticket) {
        self.state.withLock { $0.leave(key, ticket) }?.resume()
    }

    /// - Returns: whether its turn has come; otherwise it is in the queue no longer.
    private func wait(
        _ key: SessionKey,
        _ ticket: TurnQueue.Ticket,
        for timeout: Duration,
        on eventLoop: any EventLoop
    ) async -> Bool {
        let timer = eventLoop.scheduleTask(in: TimeAmount(timeout)) {
            self.giveUp(key, ticket)
        }
        defer { timer.cancel() }
        await withTaskCancellationHandler {
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                let isOver = self.state.withLock { state in
                    guard state.queue.isWaiting(ticket, for: key) else { return true }
                    state.waiters[ticket] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            self.giveUp(key, ticket)
        }
        return self.state.withLock { $0.queue.isHolder(ticket, of: key) }
    }

    /// Without effect where its turn has come.
    private func giveUp(_ key: SessionKey, _ ticket: TurnQueue.Ticket) {
        let waiter = self.state.withLock { state -> UnsafeContinuation<Void, Never>? in
            guard state.queue.isWaiting(ticket, for: key) else { return nil }
            _ = state.queue.leave(key, ticket)
            return state.waiters.removeValue(forKey: ticket)
        }
        waiter?.resume()
    }
}

/// A request's turn on its session, until `end()`.
///
/// `@unchecked Sendable`: bound to the event loop of its request.
final class SessionTurn: @unchecked Sendable {
    private let turns: SessionTurns
    private let key: SessionKey
    private let ticket: TurnQueue.Ticket
    private let lease: TurnLease?

    fileprivate init(turns: SessionTurns, key: SessionKey, ticket: TurnQueue.Ticket, lease: TurnLease?) {
        self.turns = turns
        self.key = key
        self.ticket = ticket
        self.lease = lease
    }

    /// The next request goes on. Without effect after the first time.
    func end() {
        self.lease?.release()
        self.turns.leave(self.key, self.ticket)
    }
}
