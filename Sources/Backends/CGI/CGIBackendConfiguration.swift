package import CGI

/// How a `CGIBackend` behaves.
package struct CGIBackendConfiguration: Sendable {
    /// Scripts are below this directory, whatever symbolic links say. An absolute path.
    package var root: String
    /// Scripts that run at once at most.
    package var processes = 16
    /// How many requests wait for a place at most; more are refused (`queueFull`).
    package var queueLength = 1_024
    /// How long a request waits for a place at most (`queueTimedOut`).
    package var queueTimeout: Duration = .seconds(10)
    /// How long a script may run. Time in which the client is waited for (for its body, or until it takes the answer)
    /// does not count.
    package var timeout: Duration = .seconds(60)
    /// How long a script may give no output. The same time does not count.
    package var ioTimeout: Duration = .seconds(60)
    /// Between SIGTERM and SIGKILL.
    package var terminateGrace: Duration = .seconds(2)
    /// How long the answer stays open after the script's exit while another process holds its output open, silently.
    package var lingerGrace: Duration = .seconds(1)
    /// The script's PATH, unless `environment` has one.
    package var path = "/usr/local/bin:/usr/bin:/bin"
    /// Variables that every script gets. They come from the operator: any name is allowed here.
    package var environment: [String: String] = [:]
    /// Further parameters of the web server that scripts get. Names that change how programs are loaded (`LD_*` and
    /// the like) are not passed even so.
    package var passedNames: Set<String> = []
    package var headLimits = CGIResponseLimits()

    package init(root: String) {
        self.root = root
    }
}
