import CLinux
import Synchronization

/// The connections that have a deadline, looked at every 50 ms by whichever thread gets the timer's event. The timer
/// runs only while there are any: none for idle connections and for requests that wait for their answer.
final class DeadlineList: Sendable {
    static let tickMilliseconds: Int32 = 50

    /// The timer's descriptor, owned by the responder's core.
    private let timer: Int32
    private let list = Mutex(List())

    private struct List {
        var connections: [Connection] = []
        var paused: [ListeningSocket] = []
        var alarm: Alarm?

        var isEmpty: Bool { self.connections.isEmpty && self.paused.isEmpty && self.alarm == nil }
    }

    private struct Alarm {
        let time: ContinuousClock.Instant
        let action: @Sendable () -> Void
    }

    init(timer: Int32) {
        self.timer = timer
    }

    func watch(_ connection: Connection) {
        self.list.withLock { list in
            self.startIfEmpty(list.isEmpty)
            list.connections.append(connection)
        }
    }

    /// Calls the action once at that time, on a responder thread. A later alarm replaces one that has not gone off.
    func setAlarm(_ time: ContinuousClock.Instant, _ action: @escaping @Sendable () -> Void) {
        self.list.withLock { list in
            self.startIfEmpty(list.isEmpty)
            list.alarm = Alarm(time: time, action: action)
        }
    }

    /// Lets go of everything: nobody is there to look at it any more.
    func clear() {
        self.list.withLock { $0 = List() }
    }

    /// Has `resume` called for the socket at the next tick.
    func pause(_ socket: ListeningSocket) {
        self.list.withLock { list in
            self.startIfEmpty(list.isEmpty)
            list.paused.append(socket)
        }
    }

    func tick(resume: (ListeningSocket) -> Void) {
        // Taken out as a whole: a connection that is added meanwhile is one that this round has let go of.
        let now = ContinuousClock.now
        let taken = self.list.withLock { list in
            var taken = list
            list = List()
            if let alarm = taken.alarm, alarm.time > now {
                list.alarm = alarm
                taken.alarm = nil
            }
            return taken
        }
        taken.alarm?.action()
        for socket in taken.paused { resume(socket) }
        let kept = taken.connections.filter { $0.tick(at: now) }
        self.list.withLock { list in
            list.connections.append(contentsOf: kept)
            if list.isEmpty { _ = clinux_timer_set(self.timer, 0) }
        }
    }

    private func startIfEmpty(_ isEmpty: Bool) {
        if isEmpty { _ = clinux_timer_set(self.timer, Self.tickMilliseconds) }
    }
}
