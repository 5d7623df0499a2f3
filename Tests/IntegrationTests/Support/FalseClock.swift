import Foundation
import GatewayTesting
import Glibc

/// A clock of a process (`CFalseClock`, preloaded) that can be set while it runs.
struct FalseClock {
    private let directory: TemporaryDirectory
    let environment: [String: String]

    init(_ seconds: Int) throws {
        self.directory = try TemporaryDirectory()
        self.environment = [
            "LD_PRELOAD": try Executable.built("libFalseClock.so"),
            "SESSION_GATEWAY_FALSE_CLOCK": self.directory.path("seconds"),
        ]
        try self.set(seconds)
    }

    func set(_ seconds: Int) throws {
        let file = open(self.directory.path("seconds"), O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(file) }
        // In one write, into the page that the process reads.
        let written = withUnsafeBytes(of: Int64(seconds)) { pwrite(file, $0.baseAddress, $0.count, 0) }
        guard written == MemoryLayout<Int64>.size else { throw TestingError("the false clock cannot be set") }
    }
}
