import CLinux
import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// How a child ended.
enum ChildExit: Sendable, Equatable {
    case status(CInt)
    case signal(CInt)
}

/// Tells when children end: one thread that sleeps in `poll` on their descriptors, however many there are.
///
/// It only looks: a child is reaped by its owner, so that its number and its process group stay reserved until then.
final class ChildExitWatcher: Sendable {
    private struct Child {
        let id: pid_t
        let exitDescriptor: CInt
        let eventLoop: any EventLoop
        let ended: @Sendable (ChildExit) -> Void
    }

    private struct State {
        var added: [Child] = []
        var isStopped = false
    }

    private let state = Mutex(State())
    private let wakeReader: CInt
    private let wakeWriter: CInt
    private let threads = NIOThreadPool(numberOfThreads: 1)

    /// - Throws: `.unavailable` where descriptors have run out.
    init() throws(BackendError) {
        var ends: [CInt] = [-1, -1]
        guard clinux_pipe(&ends) == 0 else {
            throw BackendError(.unavailable, "the watcher of children has no pipe: error \(errno)")
        }
        for end in ends { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        self.wakeReader = ends[0]
        self.wakeWriter = ends[1]
        self.threads.start()
        self.threads.submit { _ in self.run() }
    }

    deinit {
        // Neither the thread nor a caller of `wake` is left, who would meet somebody else's descriptors.
        close(self.wakeReader)
        close(self.wakeWriter)
    }

    /// Calls `ended` once, on the event loop, when the child has ended. Takes over the descriptor.
    func watch(
        _ child: ChildProcess,
        on eventLoop: any EventLoop,
        ended: @escaping @Sendable (ChildExit) -> Void
    ) {
        self.state.withLock { state in
            state.added.append(
                Child(id: child.id, exitDescriptor: child.exitDescriptor, eventLoop: eventLoop, ended: ended)
            )
        }
        self.wake()
    }

    /// Ends the thread. Only when no child is watched any more.
    func stop() {
        self.state.withLock { $0.isStopped = true }
        self.wake()
    }

    private func wake() {
        var byte: UInt8 = 0
        // A full pipe wakes as well.
        _ = write(self.wakeWriter, &byte, 1)
    }

    private func run() {
        var children: [Child] = []
        while true {
            let (added, isStopped) = self.state.withLock { state in
                defer { state.added = [] }
                return (state.added, state.isStopped)
            }
            children += added
            if isStopped, children.isEmpty { break }
            var descriptors = [pollfd(fd: self.wakeReader, events: Int16(POLLIN), revents: 0)]
            descriptors += children.map { pollfd(fd: $0.exitDescriptor, events: Int16(POLLIN), revents: 0) }
            guard poll(&descriptors, nfds_t(descriptors.count), -1) > 0 else { continue }
            if descriptors[0].revents != 0 { self.drainWakes() }
            for index in children.indices.reversed() where descriptors[index + 1].revents != 0 {
                guard let exit = self.exit(of: children[index].id) else { continue }
                let child = children.remove(at: index)
                close(child.exitDescriptor)
                child.eventLoop.execute { child.ended(exit) }
            }
        }
        self.threads.shutdownGracefully { _ in }
    }

    private func exit(of id: pid_t) -> ChildExit? {
        var status: CInt = -1
        var signal: CInt = -1
        switch clinux_peek_exit(id, &status, &signal) {
        case 0: return nil
        case 1: return signal >= 0 ? .signal(signal) : .status(status)
        // Somebody else has reaped it, which this program never does: how it ended is not known.
        default: return .status(-1)
        }
    }

    private func drainWakes() {
        var bytes = [UInt8](repeating: 0, count: 64)
        while read(self.wakeReader, &bytes, bytes.count) > 0 {}
    }
}
