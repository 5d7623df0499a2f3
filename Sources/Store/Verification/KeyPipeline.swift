import NIOCore
import Sessions

/// Does one piece of work for each of many keys, so many of them at once as memory allows. On the pool's event loop.
final class KeyPipeline {
    private let pool: ReplicaPool
    private var pace: RepairPace?
    /// Bytes of a copy, on average of the last ones.
    private var averageBytes = 1_024.0

    private static let bytesUnderWay = 8_000_000.0
    private static let smallestWindow = 2
    /// So few that requests, which share the event loop with a gateway's own repairs, do not wait for them.
    static let windowBesideRequests = 32
    private let largestWindow: Int

    /// - Parameters:
    ///   - pace: nil: as fast as it goes.
    ///   - largestWindow: keys at once, at most.
    init(pool: ReplicaPool, pace: RepairPace? = nil, largestWindow: Int = 256) {
        self.pool = pool
        self.pace = pace
        self.largestWindow = largestWindow
    }

    /// A copy was read: few keys are under way at once where copies are large.
    func noteCopy(bytes: Int) {
        self.averageBytes += (Double(bytes) - self.averageBytes) / 64
    }

    private var window: Int {
        let copies = self.averageBytes * Double(max(self.pool.configuration.redundancy, 1))
        return min(max(Int(Self.bytesUnderWay / max(copies, 1)), Self.smallestWindow), self.largestWindow)
    }

    /// Returns when the work for all keys is done, or for those begun when the task is cancelled.
    ///
    /// - Parameter work: begins it for one key; calls its second argument once, at any time, when it is done.
    func run(_ keys: [SessionKey], _ work: @escaping (SessionKey, @escaping () -> Void) -> Void) async {
        guard !keys.isEmpty else { return }
        let round = Round(keys: keys, work: work)
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
            round.completion = { continuation.resume() }
            self.advance(round)
        }
    }

    private final class Round {
        let keys: [SessionKey]
        let work: (SessionKey, @escaping () -> Void) -> Void
        var completion: (() -> Void)?
        var next = 0
        var running = 0
        /// Work may be done at once, in the middle of a call.
        var isAdvancing = false
        var isWaiting = false

        init(keys: [SessionKey], work: @escaping (SessionKey, @escaping () -> Void) -> Void) {
            self.keys = keys
            self.work = work
        }
    }

    private func advance(_ round: Round) {
        guard !round.isAdvancing else { return }
        round.isAdvancing = true
        let window = self.window
        while round.running < window, round.next < round.keys.count, !round.isWaiting {
            if let later = self.pace?.begin(now: .now()) {
                self.wait(round, until: later)
                break
            }
            round.running += 1
            round.next += 1
            round.work(round.keys[round.next - 1]) {
                round.running -= 1
                self.advance(round)
            }
        }
        round.isAdvancing = false
        if round.running == 0, round.next == round.keys.count {
            round.completion?()
            round.completion = nil
        }
    }

    private func wait(_ round: Round, until later: NIODeadline) {
        round.isWaiting = true
        // Timers are no finer; what is late is made up for.
        let deadline = max(later, .now() + .milliseconds(1))
        self.pool.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(deadline: deadline) {
            round.isWaiting = false
            self.advance(round)
        }
    }
}
