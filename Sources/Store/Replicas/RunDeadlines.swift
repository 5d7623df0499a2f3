import DequeModule
import NIOCore

/// The deadlines of a pool's operations, looked at every 5 ms while there are any: an operation ends long before its
/// deadline, and a timer of its own would be set and cleared for each. On the pool's event loop.
final class RunDeadlines {
    private static let tick: TimeAmount = .milliseconds(5)

    private let eventLoop: any EventLoop
    private var runs = Deque<ReplicaRun>()
    private var isScheduled = false

    init(on eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    func watch(_ run: ReplicaRun) {
        self.runs.append(run)
        if !self.isScheduled { self.schedule() }
    }

    private func schedule() {
        let due = NIODeadline.now() + Self.tick
        self.isScheduled = true
        self.eventLoop.assumeIsolatedUnsafeUnchecked().scheduleTask(deadline: due) { self.ticked(due) }
    }

    private func ticked(_ due: NIODeadline) {
        let now = NIODeadline.now()
        for _ in 0..<self.runs.count {
            guard let run = self.runs.popFirst() else { break }
            if run.timePassed(now: now, late: now - due) { self.runs.append(run) }
        }
        self.isScheduled = false
        if !self.runs.isEmpty { self.schedule() }
    }
}
