import CGI

/// Which scripts an application may be asked to run, and with which paths.
struct FastCGIScriptRules: Sendable {
    /// Where set, every SCRIPT_FILENAME must be below this directory.
    let root: String?

    /// Refuses what would make php-fpm run another file than the one that the web server meant, and takes out an empty
    /// PATH_INFO: php-fpm would look for the script by cutting SCRIPT_FILENAME at its slashes (CVE-2019-11043).
    ///
    /// - Throws: `.forbidden`.
    func apply(to parameters: inout Parameters) throws(BackendError) {
        var refusal: String?
        var hasScript = false
        var hasEmptyPathInfo = false
        parameters.forEachPair { name, value in
            // Cheap first: few names have the lengths of these.
            switch name.count {
            case 15 where name.equal("SCRIPT_FILENAME"):
                hasScript = true
                if let root = self.root {
                    if ScriptPath.below(root.utf8, value) == nil { refusal = "the script is outside the root" }
                } else if ScriptPath.hasControlCharacter(value) {
                    refusal = "the script's path has a control character"
                }
            case 9 where name.equal("PATH_INFO"):
                if value.isEmpty { hasEmptyPathInfo = true }
                if ScriptPath.hasControlCharacter(value) { refusal = "PATH_INFO has a control character" }
            case 11 where name.equal("SCRIPT_NAME"),
                12 where name.equal("DOCUMENT_URI"),
                15 where name.equal("PATH_TRANSLATED"):
                if ScriptPath.hasControlCharacter(value) { refusal = "a path has a control character" }
            default:
                break
            }
        }
        if let refusal { throw BackendError(.forbidden, refusal) }
        if self.root != nil, !hasScript { throw BackendError(.forbidden, "there is no SCRIPT_FILENAME") }
        if hasEmptyPathInfo { parameters.removeAll { $0.equal("PATH_INFO") } }
    }
}
