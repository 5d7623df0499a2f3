/// What is going to happen, by virtual time; of events at one moment, the one that was scheduled first.
struct EventQueue {
    /// Microseconds since the history began.
    typealias Time = Int

    private struct Entry {
        var time: Time
        var order: Int
        var slot: Int

        func precedes(_ other: Entry) -> Bool {
            self.time != other.time ? self.time < other.time : self.order < other.order
        }
    }

    private var heap: [Entry] = []
    private var slots: [SimulationEvent?] = []
    private var free: [Int] = []
    private var order = 0

    var nextTime: Time? { self.heap.first?.time }

    mutating func schedule(_ event: SimulationEvent, at time: Time) {
        let slot: Int
        if let reused = self.free.popLast() {
            slot = reused
            self.slots[slot] = event
        } else {
            slot = self.slots.count
            self.slots.append(event)
        }
        self.order += 1
        self.heap.append(Entry(time: time, order: self.order, slot: slot))
        self.siftUp(self.heap.count - 1)
    }

    mutating func next() -> (time: Time, event: SimulationEvent)? {
        guard let first = self.heap.first, let last = self.heap.popLast() else { return nil }
        if !self.heap.isEmpty {
            self.heap[0] = last
            self.siftDown(0)
        }
        guard let event = self.slots[first.slot] else { return nil }
        self.slots[first.slot] = nil
        self.free.append(first.slot)
        return (first.time, event)
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard self.heap[index].precedes(self.heap[parent]) else { return }
            self.heap.swapAt(index, parent)
            index = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var index = start
        while true {
            var least = index
            for child in (2 * index + 1)...(2 * index + 2) where child < self.heap.count {
                if self.heap[child].precedes(self.heap[least]) { least = child }
            }
            guard least != index else { return }
            self.heap.swapAt(index, least)
            index = least
        }
    }
}

/// Everything that happens in a simulation happens as one of these.
enum SimulationEvent {
    /// A command reaches its server.
    case arrival(Message)
    /// Its answer reaches the gateway.
    case answer(Message, isSecond: Bool)
    /// It should have been answered by now.
    case timeout(Message)
    case backOff(RunningOperation)
    case deadline(RunningOperation)
    /// A gateway tries to reach a server.
    case connect(gateway: Int, server: Int, attempt: Int)
    /// A gateway hears that its connection is gone.
    case reset(gateway: Int, server: Int, connection: UInt64)
    /// A gateway looks for the marker again.
    case poll(gateway: Int, server: Int, connection: UInt64)
    case walk(WalkRun)
    case move(MoveRun)
    /// A gateway asks a server for its marker again, or looks after the pool's state.
    case check(gateway: Int, gatewayLife: Int)
    case lookAfterPool(gateway: Int, gatewayLife: Int)
    /// A gateway's configuration is replaced.
    case configure(gateway: Int, ring: SimulatedRing)
    case visit(Int)
    case act(Request)
    case fault
    case restart(server: Int)
    case thaw(server: Int, freeze: Int)
    case gatewayStart(Int)
    case gatewayCrash(Int)
    case heal(cut: Int)
    /// A statement reaches the database, its answer the gateway; or it should have by now.
    case databaseArrival(DatabaseCall)
    case databaseAnswer(DatabaseCall)
    case databaseTimeout(DatabaseCall)
    case databaseStart
    /// A gateway looks whether the database has to be told something, or whether rows are due.
    case beat(gateway: Int, gatewayLife: Int)
    case reap(gateway: Int, gatewayLife: Int)
}
