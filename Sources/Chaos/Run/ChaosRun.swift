import Foundation
import GatewayTesting
import Synchronization

/// One run: servers, visitors, faults, and the judgement.
package struct ChaosRun: Sendable {
    package var stack = ChaosStack.Settings()
    package var seed: UInt64 = 1
    package var duration: Duration = .seconds(600)
    /// Requests a second.
    package var rate = 300
    package var visitors = 60
    package var threads = 24
    package var serverFaults = ServerFault.allCases
    /// Whether gateways and php-fpm workers fail too.
    package var failsOthers = true
    /// Where the gateways' logs are copied to.
    package var logs: String?
    /// In place of faults at random: for so long healthy, for so long with each fault, in turn.
    package var steps: Duration?

    package init() {}

    /// - Parameters:
    ///   - isInterrupted: asked now and then; the run ends early, with what it has.
    ///   - tell: says what happens.
    package func run(
        isInterrupted: @escaping @Sendable () -> Bool,
        tell: @escaping @Sendable (String) -> Void
    ) async throws -> (report: ChaosReport, stories: [String]) {
        let stack = try await ChaosStack(self.stack)
        let kinds = self.serverFaults.filter { stack.network != nil || !$0.isOfTheNetwork }
        if kinds.count < self.serverFaults.count { tell("no network namespaces here: nothing is cut off") }
        let recorder = VisitRecorder()
        let visitors = Visitors(
            self.visitors,
            rate: self.rate,
            threads: self.threads,
            seed: self.seed,
            address: stack.nginx.address,
            recorder: recorder
        )
        let driver = FaultDriver(stack, recorder: recorder, tell: tell)
        await self.fail(stack, kinds, driver, isInterrupted)
        await visitors.stop()
        let seconds = Double(recorder.now) / 1e9
        var report = ChaosReport(
            subject: self.stack.subject.rawValue,
            seed: self.seed,
            seconds: seconds,
            copies: self.stack.copies
        )
        var load = [0.0]
        if getloadavg(&load, 1) == 1 { report.loadAverage = load[0] }
        report.processors = ProcessInfo.processInfo.activeProcessorCount
        report.complaints = driver.complaints
        await self.lookAgain(stack, visitors, &report)
        if let logs { try stack.copyLogs(to: logs) }
        let visits = recorder.visits
        report.count(visits, driver.timeline)
        report.longestRepair = driver.longestRepair
        report.longestReturn = driver.longestReturn
        let judgement = Judgement(of: visits)
        report.take(judgement)
        return (report, judgement.stories)
    }

    private func fail(
        _ stack: ChaosStack,
        _ kinds: [ServerFault],
        _ driver: FaultDriver,
        _ isInterrupted: @escaping @Sendable () -> Bool
    ) async {
        let gateways = max(stack.gateways.count, 1)
        await withDiscardingTaskGroup { group in
            if let steps {
                group.addTask {
                    await driver.failServers(
                        kinds.map { PlannedFault(pause: steps, kind: $0, target: 0, gateway: 0, lasts: steps) }
                    )
                    driver.stop()
                }
            } else {
                let plan = ServerFaultPlan(
                    seed: self.seed,
                    kinds: kinds,
                    servers: stack.memcacheds.count,
                    gateways: gateways,
                    longest: self.duration / 8
                )
                group.addTask { await driver.failServers(plan) }
                if self.failsOthers, !stack.gateways.isEmpty {
                    group.addTask {
                        await driver.failGateways(GatewayFaultPlan(seed: self.seed, gateways: gateways))
                    }
                    group.addTask { await driver.killWorkers(WorkerFaultPlan(seed: self.seed)) }
                }
            }
            let end = ContinuousClock.now + (self.steps == nil ? self.duration : .seconds(100_000))
            while .now < end, !isInterrupted(), !driver.isOver {
                try? await Task.sleep(for: .milliseconds(50))
            }
            driver.stop()
        }
    }

    /// After the last fault everything must be there.
    private func lookAgain(_ stack: ChaosStack, _ visitors: Visitors, _ report: inout ChaosReport) async {
        do {
            try await stack.waitUntilWhole()
        } catch {
            report.complaints.append("\(error)")
        }
        let failures = await visitors.lookAgain()
        if failures > 0 { report.complaints.append("\(failures) visits failed after the last fault") }
        do {
            // What a killed gateway has left half-written waits for whoever reads it next.
            for command in ["repair", "verify"] {
                if let text = try await stack.maintain(command) {
                    report.complaints.append("\(command) after the last fault:\n\(text)")
                }
            }
        } catch {
            report.complaints.append("\(error)")
        }
    }
}
