import Backends
import Glibc
import Logging
import ServiceLifecycle
import UnixSignals

/// SIGTERM and SIGINT end the program once its requests have ended, a second one at once; SIGHUP reads the
/// configuration anew.
struct SignalWatch: Sendable {
    /// From its making on they do not end the program by themselves; they wait for `run`.
    static func trap() async -> UnixSignalsSequence {
        await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup)
    }

    let signals: UnixSignalsSequence
    let services: ServiceGroup
    let generations: GenerationService
    let logger: Logger

    /// Until the task is cancelled.
    func run() async {
        var isEnding = false
        for await signal in self.signals {
            if signal == .sighup {
                if !isEnding { self.generations.reloadConfiguration() }
            } else if isEnding {
                self.logger.warning("a second signal: ending at once")
                CGIBackend.killAllScripts()
                _exit(1)
            } else {
                isEnding = true
                self.logger.notice("ending: requests in flight go on")
                await self.services.triggerGracefulShutdown()
            }
        }
    }
}
