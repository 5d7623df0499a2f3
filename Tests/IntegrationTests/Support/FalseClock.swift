import Foundation
import GatewayTesting
import Glibc

/// A clock of a process (libfaketime) that can be set while it runs.
struct FalseClock {
    let directory: TemporaryDirectory
    let environment: [String: String]

    init(_ seconds: Int) throws {
        let libraries = try FileManager.default.contentsOfDirectory(atPath: "/usr/lib").map {
            "/usr/lib/\($0)/faketime/libfaketimeMT.so.1"
        }
        guard let library = libraries.first(where: { access($0, R_OK) == 0 }) else {
            throw TestingError("libfaketime is not installed: apt-get install libfaketime")
        }
        self.directory = try TemporaryDirectory()
        self.environment = [
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": self.directory.path("now"),
            "FAKETIME_NO_CACHE": "1",
            // Time limits go by the clock that nobody can set.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        ]
        try self.set(seconds)
    }

    func set(_ seconds: Int) throws {
        try self.directory.write("next", "\(seconds < 0 ? "-" : "+")\(abs(seconds))\n")
        // At once: the gateway may be reading it.
        rename(self.directory.path("next"), self.directory.path("now"))
    }
}
