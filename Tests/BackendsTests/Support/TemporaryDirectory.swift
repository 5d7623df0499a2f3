import Glibc

/// A directory of one test's own, removed with everything in it when the test is over.
final class TemporaryDirectory: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/session-gateway-tests-XXXXXX".utf8CString)
        let created = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) }
        precondition(created != nil, "mkdtemp: \(errno)")
        self.path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // Scripts and php-fpm children may run as another user.
        chmod(self.path, 0o755)
    }

    deinit {
        Self.removeAll(self.path)
    }

    /// Symbolic links are removed, never followed.
    private static func removeAll(_ path: String) {
        guard remove(path) != 0, let directory = opendir(path) else { return }
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { self.removeAll("\(path)/\(name)") }
        }
        closedir(directory)
        remove(path)
    }

    /// Writes a file, and the directories that lead to it.
    @discardableResult
    func write(_ name: String, _ text: String, mode: mode_t = 0o644) -> String {
        let path = "\(self.path)/\(name)"
        var directory = self.path
        for component in name.split(separator: "/").dropLast() {
            directory += "/\(component)"
            mkdir(directory, 0o755)
        }
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        precondition(descriptor >= 0, "open \(path): \(errno)")
        var bytes = Array(text.utf8)
        while !bytes.isEmpty {
            let count = Glibc.write(descriptor, bytes, bytes.count)
            precondition(count > 0)
            bytes.removeFirst(count)
        }
        fchmod(descriptor, mode)
        close(descriptor)
        return path
    }

    func read(_ name: String) -> String? {
        guard let file = fopen("\(self.path)/\(name)", "re") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4_096)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes += chunk[..<count]
        }
    }
}
