import Foundation

/// Finds the programs that tests start.
package enum Executable {
    /// - Parameters:
    ///   - names: file names, the preferred first.
    ///   - package: the Debian package that has it, for the error's text.
    package static func find(_ names: String..., package: String) throws -> String {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        for name in names {
            for directory in path.split(separator: ":") + ["/usr/sbin", "/usr/bin", "/sbin", "/bin"] {
                let candidate = "\(directory)/\(name)"
                if access(candidate, X_OK) == 0 { return candidate }
            }
        }
        throw TestingError("\(names[0]) is not installed: apt-get install \(package)")
    }

    /// A program of this package, built beside the tests.
    package static func built(_ name: String) throws -> String {
        if let path = ProcessInfo.processInfo.environment["SESSION_GATEWAY_BUILT_PRODUCTS"] { return "\(path)/\(name)" }
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        for candidate in [own, CommandLine.arguments[0]] + CommandLine.arguments {
            let path = URL(filePath: candidate).deletingLastPathComponent().appending(path: name).path
            if access(path, X_OK) == 0 { return path }
        }
        throw TestingError("\(name) is not built: swift build")
    }
}
