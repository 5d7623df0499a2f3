import DequeModule
package import NIOCore

/// Runs tasks on an event loop: what is bound to the loop can be used from `async` functions that read from top to
/// bottom, without a lock. NIO has no task executor of its own.
///
/// `@unchecked Sendable`: what changes is touched on the loop only.
package final class EventLoopExecutor: TaskExecutor, @unchecked Sendable {
    private let eventLoop: any EventLoop
    /// What was enqueued on the loop itself: run together, as each entry in the loop's own queue costs more than this one.
    private var jobs = Deque<UnownedJob>()
    /// Then the loop's other tasks and timers have their turn.
    private static let longestRun = 64

    package init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        guard self.eventLoop.inEventLoop else {
            self.eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
            return
        }
        self.jobs.append(job)
        if self.jobs.count == 1 { self.eventLoop.execute { self.runJobs() } }
    }

    private func runJobs() {
        for _ in 0..<Self.longestRun {
            // The one that runs stays in the queue: those that come meanwhile are run here too.
            guard let job = self.jobs.first else { return }
            job.runSynchronously(on: self.asUnownedTaskExecutor())
            self.jobs.removeFirst()
        }
        if !self.jobs.isEmpty { self.eventLoop.execute { self.runJobs() } }
    }
}
