import Glibc

/// A POSIX extended regular expression (regex(7)), matched anywhere in a path.
///
/// `@unchecked Sendable`: `regexec` does not change what `regcomp` has made (POSIX: thread-safe).
final class PathPattern: @unchecked Sendable {
    private var expression = regex_t()

    /// - Returns: nil where the expression does not compile.
    init?(_ pattern: String) {
        guard regcomp(&self.expression, pattern, REG_EXTENDED | REG_NOSUB) == 0 else { return nil }
    }

    deinit {
        regfree(&self.expression)
    }

    func matches(_ path: String) -> Bool {
        regexec(&self.expression, path, 0, nil, 0) == 0
    }
}
