import Foundation
import Synchronization

/// A program that a test runs: started in a process group of its own, its output in a file, and ended with its whole group
/// when its owner goes, or when the tests die.
package final class ServerProcess: Sendable {
    /// How a process ended.
    package enum Exit: Sendable, Equatable {
        case status(Int32)
        case signal(Int32)
    }

    package let pid: Int32
    /// The file that has its standard output and error.
    package let outputPath: String
    private let name: String
    private let exit = Mutex<Exit?>(nil)

    /// - Parameter deathSignal: what it gets when the tests die: `TERM` for what has children of its own to end.
    package init(
        _ executable: String,
        _ arguments: [String],
        environment: [String: String] = ["PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"],
        directory: String? = nil,
        output: String,
        deathSignal: String = "KILL"
    ) throws {
        self.name = URL(filePath: executable).lastPathComponent
        self.outputPath = output
        self.pid = try ProcessSpawner.shared.spawn(
            [executable] + arguments,
            environment: environment,
            directory: directory,
            output: output,
            deathSignal: deathSignal
        )
    }

    deinit {
        self.killNow()
    }

    /// Everything it has written so far.
    package var output: String {
        (try? String(decoding: Data(contentsOf: URL(filePath: self.outputPath)), as: UTF8.self)) ?? ""
    }

    package func send(_ signal: Int32) {
        self.exit.withLock { exit in
            // A pid that was reaped may be somebody else's by now.
            if exit == nil { _ = Glibc.kill(self.pid, signal) }
        }
    }

    /// Stops the whole group: connections stay, nothing is answered.
    package func freeze() { self.sendToGroup(SIGSTOP) }

    package func thaw() { self.sendToGroup(SIGCONT) }

    private func sendToGroup(_ signal: Int32) {
        self.exit.withLock { exit in
            if exit == nil { _ = Glibc.kill(-self.pid, signal) }
        }
    }

    /// How it ended, `nil` while it runs. Who has ended takes the rest of its group along.
    package var ended: Exit? {
        self.exit.withLock { exit in
            if exit != nil { return exit }
            var information = siginfo_t()
            let flags = WEXITED | WNOHANG | WNOWAIT
            guard waitid(P_PID, id_t(self.pid), &information, flags) == 0, information.si_signo == SIGCHLD else {
                return nil
            }
            exit = self.reap()
            return exit
        }
    }

    /// Kills the group and waits for its leader.
    package func killNow() {
        self.exit.withLock { exit in
            if exit == nil { exit = self.reap() }
        }
    }

    /// Kills the group and takes its leader out of the process table; after that its number may be somebody else's.
    private func reap() -> Exit {
        _ = Glibc.kill(-self.pid, SIGKILL)
        var status: Int32 = 0
        while waitpid(self.pid, &status, 0) < 0, errno == EINTR {}
        return Self.exit(status)
    }

    /// Asks it to end and waits; kills it when it has not ended in time.
    @discardableResult
    package func terminate(_ signal: Int32 = SIGTERM, within limit: Duration = .seconds(20)) async throws -> Exit {
        self.send(signal)
        return try await self.waitForEnd(within: limit)
    }

    /// - Throws: when it has not ended in time; it is killed then.
    @discardableResult
    package func waitForEnd(within limit: Duration = .seconds(20)) async throws -> Exit {
        do {
            return try await Eventually.value(within: limit, "the end of \(self.name)") { self.ended }
        } catch {
            self.killNow()
            throw error
        }
    }

    /// Waits until something takes connections there.
    /// - Throws: when it ended instead, with what it wrote.
    package func waitUntilReady(_ address: SocketAddress, within limit: Duration = .seconds(20)) async throws {
        try await Eventually.holds(within: limit, "\(self.name) to listen at \(address): \(self.output.suffix(2_000))")
        {
            if let exit = self.ended {
                throw TestingError("\(self.name) ended (\(exit)) instead of listening: \(self.output.suffix(2_000))")
            }
            return address.acceptsConnections
        }
    }

    private static func exit(_ status: Int32) -> Exit {
        status & 0x7f == 0 ? .status(status >> 8 & 0xff) : .signal(status & 0x7f)
    }
}

/// What the kernel says about a running process (proc(5)).
extension ServerProcess {
    /// Bytes of memory that it occupies.
    package var residentMemory: Int { (self.statusNumber("VmRSS") ?? 0) * 1_024 }
    /// The most bytes of memory that it has occupied.
    package var peakMemory: Int { (self.statusNumber("VmHWM") ?? 0) * 1_024 }
    package var threadCount: Int { self.statusNumber("Threads") ?? 0 }

    package var descriptorCount: Int {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(self.pid)/fd").count) ?? 0
    }

    /// CPU time of all its threads, in the kernel's ticks of 10 ms.
    package var processorTime: Duration {
        let text = (try? String(contentsOfFile: "/proc/\(self.pid)/stat", encoding: .utf8)) ?? ""
        // The name in parentheses may hold anything; utime and stime are the 12th and 13th words behind it.
        let words = text.split(separator: ")").last?.split(separator: " ") ?? []
        guard words.count > 12, let user = Int(words[11]), let system = Int(words[12]) else { return .zero }
        return .milliseconds((user + system) * 1_000 / sysconf(Int32(_SC_CLK_TCK)))
    }

    private func statusNumber(_ key: String) -> Int? {
        let text = (try? String(contentsOfFile: "/proc/\(self.pid)/status", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").first { $0.hasPrefix("\(key):") }
            .flatMap { $0.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first }
            .flatMap { Int($0) }
    }
}
