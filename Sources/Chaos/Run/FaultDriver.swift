import Foundation
import GatewayTesting
import Synchronization

/// Carries out the plans on the servers, and keeps the timeline.
final class FaultDriver: Sendable {
    private struct State {
        var timeline = Timeline()
        var complaints: [String] = []
        var longestRepair: Int64 = 0
        var longestReturn: Int64 = 0
        var isOver = false
    }

    private let stack: ChaosStack
    private let recorder: VisitRecorder
    /// Says what is done, as it is done.
    private let tell: @Sendable (String) -> Void
    private let state = Mutex(State())

    init(_ stack: ChaosStack, recorder: VisitRecorder, tell: @escaping @Sendable (String) -> Void) {
        self.stack = stack
        self.recorder = recorder
        self.tell = tell
    }

    var timeline: Timeline { self.state.withLock { $0.timeline } }
    var complaints: [String] { self.state.withLock { $0.complaints } }
    var longestRepair: Double { Double(self.state.withLock { $0.longestRepair }) / 1e9 }
    var longestReturn: Double { Double(self.state.withLock { $0.longestReturn }) / 1e9 }

    /// What is under way is undone, and nothing more begins.
    func stop() { self.state.withLock { $0.isOver = true } }

    var isOver: Bool { self.state.withLock { $0.isOver } }

    /// - Returns: false where the run has ended meanwhile.
    private func sleep(_ duration: Duration) async -> Bool {
        let end = ContinuousClock.now + duration
        while .now < end {
            if self.isOver { return false }
            try? await Task.sleep(for: min(.milliseconds(50), end - .now))
        }
        return !self.isOver
    }

    private func begin(_ trouble: Trouble) -> Int {
        let now = self.recorder.now
        return self.state.withLock { $0.timeline.begin(trouble, at: now) }
    }

    private func end(_ span: Int) {
        let now = self.recorder.now
        self.state.withLock { $0.timeline.end(span, at: now) }
    }

    private func complain(_ text: String) {
        self.tell(text)
        self.state.withLock { $0.complaints.append(text) }
    }

    // MARK: Memcacheds, one at a time

    func failServers(_ plan: some Sequence<PlannedFault<ServerFault>> & Sendable) async {
        for fault in plan {
            guard await self.sleep(fault.pause) else { return }
            do {
                try await self.failServer(fault)
            } catch {
                return self.complain("\(error)")
            }
        }
    }

    private func failServer(_ fault: PlannedFault<ServerFault>) async throws {
        let memcached = self.stack.memcacheds[fault.target]
        self.tell("memcached \(fault.target) \(fault.kind.rawValue) for \(fault.lasts)")
        let span = self.begin(.server(fault.kind))
        switch fault.kind {
        case .killed, .restarted: memcached.kill()
        case .frozen: try memcached.freeze()
        case .cut, .mute, .halfCut, .rejected, .lossy:
            try await self.stack.network?.begin(fault, gateways: max(self.stack.gateways.count, 1))
        }
        _ = await self.sleep(fault.lasts)
        switch fault.kind {
        case .killed, .restarted: try await memcached.start()
        case .frozen: try memcached.thaw()
        case .cut, .mute, .halfCut, .rejected, .lossy: try await self.stack.network?.end()
        }
        self.end(span)
        let repair = self.begin(.repairing)
        defer { self.end(repair) }
        let ended = self.recorder.now
        // A fault that was short may not be known yet.
        try await Task.sleep(for: self.stack.settings.operationTimeout + .milliseconds(50))
        let isUnbroken = self.stack.isConnected
        try await Eventually.holds(within: .seconds(60), "the gateways to use memcached \(fault.target) again") {
            self.stack.isConnected
        }
        let returned = isUnbroken ? ended : self.recorder.now
        // A gateway that dies takes its walk along, and another begins anew.
        try await Eventually.holds(within: .seconds(180), "memcached \(fault.target) to be repaired") {
            self.stack.isRepaired
        }
        let repaired = self.recorder.now
        self.state.withLock { state in
            state.longestReturn = max(state.longestReturn, returned - ended)
            state.longestRepair = max(state.longestRepair, repaired - ended)
        }
    }

    // MARK: Gateways and workers

    func failGateways(_ plan: some Sequence<PlannedFault<GatewayFault>> & Sendable) async {
        for fault in plan {
            guard await self.sleep(fault.pause) else { return }
            let gateway = self.stack.gateways[fault.target]
            self.tell("gateway \(fault.target) \(fault.kind.rawValue) for \(fault.lasts)")
            let span = self.begin(.gateway(fault.kind))
            defer { self.end(span) }
            do {
                switch fault.kind {
                case .killed:
                    gateway.kill()
                    _ = await self.sleep(fault.lasts)
                    try await gateway.start()
                case .frozen:
                    try gateway.process.freeze()
                    _ = await self.sleep(fault.lasts)
                    try gateway.process.thaw()
                }
            } catch {
                return self.complain("\(error)")
            }
        }
    }

    func killWorkers(_ plan: some Sequence<(pause: Duration, place: Double)> & Sendable) async {
        for (pause, place) in plan {
            guard await self.sleep(pause) else { return }
            let workers = self.stack.php.workers
            guard !workers.isEmpty else { continue }
            let span = self.begin(.worker)
            kill(workers[Int(place * Double(workers.count))], SIGKILL)
            self.end(span)
        }
    }
}
