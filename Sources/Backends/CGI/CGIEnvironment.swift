import CGI
import NIOCore

/// The environment of a script, built from nothing: only names on a list get in.
///
/// These are the meta-variables of RFC 3875 §4.1, what nginx adds to them, the client's header fields as `HTTP_*`
/// (without `HTTP_PROXY`, which programs take for their own configuration), the session's variables, and what the
/// configuration names. A name that would change how a program is loaded or interpreted never comes from outside.
struct CGIEnvironment: Sendable {
    /// `NAME=value`, each followed by NUL.
    private(set) var storage: [UInt8] = []
    /// Where each string begins.
    private(set) var offsets: [Int] = []

    /// MAX_ARG_STRLEN of Linux, the NUL included.
    static let maximumStringLength = 131_072

    private static let allowedNames: Set<String> = [
        "AUTH_TYPE", "CONTENT_LENGTH", "CONTENT_TYPE", "GATEWAY_INTERFACE", "PATH_INFO", "PATH_TRANSLATED",
        "QUERY_STRING", "REMOTE_ADDR", "REMOTE_HOST", "REMOTE_IDENT", "REMOTE_PORT", "REMOTE_USER", "REQUEST_METHOD",
        "REQUEST_SCHEME", "REQUEST_URI", "SCRIPT_NAME", "SCRIPT_FILENAME", "DOCUMENT_ROOT", "DOCUMENT_URI", "HTTPS",
        "REDIRECT_STATUS",
        "SESSION_ID", "SESSION_STATE", "SESSION_DATA", "SESSION_NEXT_ID", "SESSION_TOKEN", "SESSION_LATE",
        "SESSION_VERSION", "SESSION_TURN",
    ]

    private static let forbiddenNames: Set<String> = [
        "HTTP_PROXY", "PATH", "IFS", "ENV", "BASH_ENV", "SHELLOPTS", "BASHOPTS", "PS4", "CDPATH", "GLOBIGNORE",
        "NODE_OPTIONS", "NODE_PATH", "RUBYOPT", "RUBYLIB", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "GCONV_PATH",
        "LOCPATH", "NLSPATH", "TMPDIR", "HOME", "SHELL", "PHPRC", "PHP_INI_SCAN_DIR", "MALLOC_CHECK_",
        "GLIBC_TUNABLES",
    ]
    private static let forbiddenPrefixes = ["LD_", "PYTHON", "PERL5", "PERLLIB", "BASH_FUNC_", "DYLD_", "LUA_"]

    /// - Parameter replaced: values that take the place of the web server's.
    /// - Throws: `.malformedRequest` for a string that Linux would refuse, or a value that its NUL would cut.
    init(
        parameters: Parameters,
        replaced: [(name: String, value: [UInt8])],
        configuration: CGIBackendConfiguration
    ) throws(BackendError) {
        var seen: Set<String> = []
        for (name, value) in configuration.environment {
            seen.insert(name)
            try self.append(name.utf8, value.utf8)
        }
        if seen.insert("PATH").inserted { try self.append("PATH".utf8, configuration.path.utf8) }
        for (name, value) in replaced where seen.insert(name).inserted {
            try self.append(name.utf8, value)
        }
        do {
            try parameters.forEach { name, value in
                guard Self.isWellFormed(name) else { return }
                let text = String(decoding: name, as: UTF8.self)
                guard Self.isAllowed(text, passedNames: configuration.passedNames), seen.insert(text).inserted else {
                    return
                }
                try self.append(name, value)
            }
        } catch {
            throw error as? BackendError ?? BackendError(.malformedRequest, "\(error)")
        }
        if seen.insert("GATEWAY_INTERFACE").inserted { try self.append("GATEWAY_INTERFACE".utf8, "CGI/1.1".utf8) }
    }

    /// Letters, digits and `_`: what every shell can hold.
    private static func isWellFormed(_ name: ByteBufferView) -> Bool {
        !name.isEmpty && name.count <= 256
            && name.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x5F, 0x61...0x7A: true
                default: false
                }
            }
    }

    static func isAllowed(_ name: String, passedNames: Set<String>) -> Bool {
        guard !self.forbiddenNames.contains(name), !self.forbiddenPrefixes.contains(where: { name.hasPrefix($0) })
        else { return false }
        return self.allowedNames.contains(name) || name.hasPrefix("HTTP_") || name.hasPrefix("SERVER_")
            || self.isSessionPart(name) || passedNames.contains(name)
    }

    /// `SESSION_DATA_PARTS`, `SESSION_DATA_1` and so on.
    private static func isSessionPart(_ name: String) -> Bool {
        guard name.hasPrefix("SESSION_DATA_") else { return false }
        let suffix = name.utf8.dropFirst("SESSION_DATA_".utf8.count)
        return suffix.elementsEqual("PARTS".utf8)
            || (!suffix.isEmpty && suffix.count <= 5 && suffix.allSatisfy { (0x30...0x39).contains($0) })
    }

    private mutating func append(
        _ name: some Collection<UInt8>,
        _ value: some Collection<UInt8>
    ) throws(BackendError) {
        let length = name.count + 1 + value.count + 1
        guard length <= Self.maximumStringLength else {
            throw BackendError(.malformedRequest, "a variable is longer than the environment can hold")
        }
        guard !value.contains(0) else {
            throw BackendError(.malformedRequest, "a variable holds a NUL")
        }
        self.offsets.append(self.storage.count)
        self.storage.append(contentsOf: name)
        self.storage.append(UInt8(ascii: "="))
        self.storage.append(contentsOf: value)
        self.storage.append(0)
    }

    /// Calls the body with what `execve` takes. The pointers are valid during the call.
    func withPointers<T>(_ body: ([UnsafeMutablePointer<CChar>?]) -> T) -> T {
        var storage = self.storage
        return storage.withUnsafeMutableBytes { bytes in
            let base = bytes.bindMemory(to: CChar.self).baseAddress
            var pointers: [UnsafeMutablePointer<CChar>?] = self.offsets.map { offset in base.map { $0 + offset } }
            pointers.append(nil)
            return body(pointers)
        }
    }
}
