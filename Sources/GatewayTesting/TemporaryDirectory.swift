import Foundation

/// A directory of one test, removed with everything in it when its owner goes. Its path is short enough for the names of
/// unix sockets.
package final class TemporaryDirectory: Sendable {
    package let path: String

    package init() throws {
        // TMPDIR may be deep; a socket's path has 108 bytes.
        let parent = ProcessInfo.processInfo.environment["TMPDIR"].flatMap { $0.utf8.count < 40 ? $0 : nil } ?? "/tmp"
        var template = Array("\(parent)/sg.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw TestingError("mkdtemp in \(parent): \(errno)") }
        // Servers that run as somebody else go through here.
        chmod(template, 0o755)
        self.path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: self.path)
    }

    /// The path of a file in the directory.
    package func path(_ name: String) -> String { "\(self.path)/\(name)" }

    /// Writes a file, with the directories above it.
    @discardableResult
    package func write(_ name: String, _ text: String, mode: UInt32 = 0o644) throws -> String {
        let path = self.path(name)
        let url = URL(filePath: path)
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: url)
        chmod(path, mode)
        return path
    }

    package func read(_ name: String) -> String {
        (try? String(decoding: Data(contentsOf: URL(filePath: self.path(name))), as: UTF8.self)) ?? ""
    }
}

/// Something a test needs is not as it should be; the text says what.
package struct TestingError: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}
