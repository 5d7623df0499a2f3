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
    private static let largestWindow = 256
    /// So few that requests, which share the event loop with a gateway's own repairs, do not wait for them.
    private static let windowBesideRequests = 32
    /// How many keys are done without one until requests are no longer expected.
    private static let quietKeys = 2_000
    private var requestOperations: UInt64
    private var keysSinceRequest = 0

    /// - Parameter pace: nil: as fast as it goes.
    init(pool: ReplicaPool, pace: RepairPace? = nil) {
        self.pool = pool
        self.pace = pace
        self.requestOperations = pool.requestOperations
    }

    /// A copy was read: few keys are under way at once where copies are large.
    func noteCopy(bytes: Int) {
        self.averageBytes += (Double(bytes) - self.averageBytes) / 64
    }

    private var window: Int {
        let copies = self.averageBytes * Double(max(self.pool.configuration.redundancy, 1))
        let largest = self.keysSinceRequest < Self.quietKeys ? Self.windowBesideRequests : Self.largestWindow
        return min(max(Int(Self.bytesUnderWay / max(copies, 1)), Self.smallestWindow), largest)
    }

    private func noteKey() {
        if self.pool.requestOperations == self.requestOperations {
            self.keysSinceRequest = min(self.keysSinceRequest + 1, Self.quietKeys)
        } else {
            self.requestOperations = self.pool.requestOperations
            self.keysSinceRequest = 0
        }
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
                self.noteKey()
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
