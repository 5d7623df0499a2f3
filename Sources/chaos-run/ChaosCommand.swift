import ArgumentParser
import Chaos
import Foundation
import Synchronization

@main
struct ChaosCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "Tests/chaos",
        abstract: "Visitors' sessions, while memcacheds, gateways and php-fpm workers fail.",
        discussion: """
            The exit status is 1 where a session was wronged, or a visitor saw an error that is not a killed gateway's \
            or a killed worker's request. A run with PHP's own handlers ends with 0 whatever it has shown.
            """
    )

    @Option(help: "How long.")
    var seconds = 600

    @Option(help: "Tells which faults come, in which order.")
    var seed = UInt64.random(in: 0..<1_000_000)

    @Option(help: "How many memcacheds.")
    var memcacheds = 4

    @Option(name: [.long, .customLong("redundancy")], help: "Copies of each session.")
    var copies = 2

    @Option(help: "Requests a second.")
    var rate = 300

    @Option(help: "How many visitors.")
    var visitors = 60

    @Option(help: "The gateways' operation_timeout, in milliseconds.")
    var operationTimeout = 100

    @Option(help: "Only these faults of memcacheds (\(ServerFault.allCases.map(\.rawValue).joined(separator: ", "))).")
    var faults: String?

    @Option(help: "PHP's own session handler instead of session-gateway: memcache or memcached.")
    var peer: String?

    @Flag(help: "Only memcacheds fail, no gateways and no php-fpm workers.")
    var onlyMemcacheds = false

    @Option(help: "Instead of faults at random: so many seconds healthy and so many with each fault, in turn.")
    var steps: Int?

    @Option(help: "Writes the result there, as JSON.")
    var json: String?

    @Option(help: "Copies the gateways' and nginx's logs into this directory.")
    var logs: String?

    func run() async throws {
        var run = ChaosRun()
        run.seed = self.seed
        run.duration = .seconds(self.seconds)
        run.rate = self.rate
        run.visitors = self.visitors
        run.stack.memcacheds = self.memcacheds
        run.stack.copies = self.copies
        run.stack.operationTimeout = .milliseconds(self.operationTimeout)
        run.failsOthers = !self.onlyMemcacheds
        run.logs = self.logs
        run.steps = self.steps.map { .seconds($0) }
        if let peer {
            guard let subject = ChaosSubject(rawValue: peer), subject != .gateway else {
                throw ValidationError("--peer is memcache or memcached")
            }
            run.stack.subject = subject
        }
        if let faults {
            run.serverFaults = try faults.split(separator: ",").map { name in
                guard let fault = ServerFault(rawValue: String(name)) else {
                    throw ValidationError("there is no fault \(name)")
                }
                return fault
            }
        }
        let signals = [SIGINT, SIGTERM].map { Interruption($0) }
        let start = ContinuousClock.now
        let (report, stories) = try await run.run {
            signals.contains { $0.isSeen }
        } tell: { line in
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            FileHandle.standardError.write(Data(String(format: "%7.1f  %@\n", seconds, line).utf8))
        }
        for story in stories.prefix(20) { print("session wronged:", story) }
        print(report.text)
        if let json { try report.json().write(to: URL(filePath: json)) }
        guard run.stack.subject == .gateway else { return }
        // What a busy machine may excuse is told from what nothing does.
        if !report.isSafe { throw ExitCode(2) }
        if !report.isFaultless { throw ExitCode(1) }
    }
}

/// A signal that ends the run early.
private final class Interruption: Sendable {
    private let seen = Atomic(false)
    // Nobody touches it: it only has to be there.
    nonisolated(unsafe) private let source: any DispatchSourceSignal

    init(_ number: Int32) {
        signal(number, SIG_IGN)
        self.source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        self.source.setEventHandler { [weak self] in self?.seen.store(true, ordering: .relaxed) }
        self.source.resume()
    }

    var isSeen: Bool { self.seen.load(ordering: .relaxed) }
}
