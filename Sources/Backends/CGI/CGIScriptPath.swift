import CGI
import NIOCore

/// Which script a request means, as far as its parameters tell.
struct CGIScriptPath: Sendable, Equatable {
    /// Below the root, without empty, `.` and `..` components; at least one.
    let components: [[UInt8]]
    /// The path as it came: what follows the script in it is PATH_INFO.
    private let path: [UInt8]
    /// How many components of `path` belong to the root.
    private let rootComponentCount: Int
    /// Whether the script may end before the path does: the web server has not split off PATH_INFO.
    let mayEndEarlier: Bool

    /// SCRIPT_FILENAME where it is below the root, else SCRIPT_NAME as a path relative to the root.
    ///
    /// - Throws: `.forbidden` for `..` and control characters, `.notFound` where no script is named.
    init(parameters: Parameters, root: String) throws(BackendError) {
        let pathInfo = parameters.bytes("PATH_INFO")
        if let pathInfo, ScriptPath.hasControlCharacter(pathInfo) {
            throw BackendError(.forbidden, "PATH_INFO has a control character")
        }
        self.mayEndEarlier = pathInfo?.isEmpty ?? true
        for name in ["SCRIPT_FILENAME", "SCRIPT_NAME"] {
            guard let path = parameters.bytes(name), !path.isEmpty else { continue }
            guard let all = ScriptPath.components(ofAbsolute: path) else {
                throw BackendError(.forbidden, "\(name) is not an absolute path without .. and control characters")
            }
            if name == "SCRIPT_NAME" {
                guard !all.isEmpty else { break }
                self.components = all
                self.path = Array(path)
                self.rootComponentCount = 0
                return
            }
            guard let below = ScriptPath.below(root.utf8, path) else { continue }
            self.components = below
            self.path = Array(path)
            self.rootComponentCount = all.count - below.count
            return
        }
        throw BackendError(.notFound, "the request names no script below the root")
    }

    /// What follows the first components below the root: empty, or PATH_INFO with its `/`.
    func suffix(afterComponents count: Int) -> ArraySlice<UInt8> {
        var remaining = self.rootComponentCount + count
        var index = 0
        while remaining > 0, index < self.path.count {
            while index < self.path.count, self.path[index] == UInt8(ascii: "/") { index += 1 }
            let start = index
            while index < self.path.count, self.path[index] != UInt8(ascii: "/") { index += 1 }
            if self.path[start..<index].elementsEqual(".".utf8) { continue }
            remaining -= 1
        }
        return self.path[index...]
    }
}

extension CGIScriptPath {
    /// The variables that change when the path is split behind its first components: none, if it was split before.
    func split(afterComponents count: Int, parameters: Parameters) -> [(name: String, value: [UInt8])] {
        let suffix = self.suffix(afterComponents: count)
        guard self.mayEndEarlier, !suffix.isEmpty else { return [] }
        var replaced: [(name: String, value: [UInt8])] = [("PATH_INFO", Array(suffix))]
        for name in ["SCRIPT_NAME", "SCRIPT_FILENAME"] {
            guard let value = parameters.bytes(name), value.count > suffix.count,
                value.suffix(suffix.count).elementsEqual(suffix)
            else { continue }
            replaced.append((name, Array(value.dropLast(suffix.count))))
        }
        return replaced
    }
}
