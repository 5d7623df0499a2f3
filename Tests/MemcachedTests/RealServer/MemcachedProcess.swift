import Foundation
import Glibc
import NIOCore
import NIOPosix

@testable import Memcached

/// A real memcached on loopback or on a unix socket in a temporary directory, killed by pid at the end.
final class MemcachedProcess: @unchecked Sendable {
    let address: MemcachedAddress
    private let arguments: [String]
    private let directory: URL
    private var process: Process?

    /// @unchecked: one test drives it, from one task.
    private init(address: MemcachedAddress, arguments: [String], directory: URL) {
        self.address = address
        self.arguments = arguments
        self.directory = directory
    }

    static func withServer<Result>(
        _ options: [String] = [],
        overTCP: Bool = false,
        _ body: (MemcachedProcess) async throws -> Result
    ) async throws -> Result {
        let directory = URL(fileURLWithPath: NSTemporaryDirectory())
            .appendingPathComponent("memcached-test-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let server: MemcachedProcess
        if overTCP {
            let port = try await Self.freePort()
            server = MemcachedProcess(
                address: .tcp(host: "127.0.0.1", port: port),
                arguments: ["-l", "127.0.0.1", "-p", "\(port)"] + options,
                directory: directory
            )
        } else {
            let path = directory.appendingPathComponent("socket").path
            server = MemcachedProcess(
                address: .unix(path: path),
                arguments: ["-s", path] + options,
                directory: directory
            )
        }
        defer {
            server.kill()
            try? FileManager.default.removeItem(at: directory)
        }
        try await server.launch()
        return try await body(server)
    }

    func launch() async throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/memcached")
        process.arguments = ["-u", "root", "-t", "2", "-U", "0"] + self.arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        try process.run()
        self.process = process
        for _ in 0..<500 {
            if let channel = try? await self.connect() {
                try? await channel.close()
                return
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw MemcachedError(.connectFailed, "the memcached of the test did not start")
    }

    func kill() {
        guard let process else { return }
        self.signal(SIGKILL)
        process.waitUntilExit()
        self.process = nil
    }

    func signal(_ number: Int32) {
        guard let process, process.isRunning else { return }
        _ = Glibc.kill(process.processIdentifier, number)
    }

    /// SIGSTOP, and waits until the last thread has stopped.
    func stop() async throws {
        self.signal(SIGSTOP)
        guard let process else { return }
        let tasks = "/proc/\(process.processIdentifier)/task"
        while true {
            let states = try FileManager.default.contentsOfDirectory(atPath: tasks).map { task in
                // proc(5): the state follows the name, which ends with the last parenthesis.
                try String(contentsOfFile: "\(tasks)/\(task)/stat", encoding: .utf8).split(separator: ")").last?
                    .dropFirst().first
            }
            if states.allSatisfy({ $0 == "T" }) { return }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    func connect() async throws -> any Channel {
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        switch self.address {
        case .tcp(let host, let port): return try await bootstrap.connect(host: host, port: port).get()
        case .unix(let path): return try await bootstrap.connect(unixDomainSocketPath: path).get()
        }
    }

    private static func freePort() async throws -> Int {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let port = channel.localAddress?.port ?? 0
        try await channel.close()
        return port
    }
}
