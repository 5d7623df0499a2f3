import GatewayTesting
import Glibc
import Testing

@testable import Adoption

/// A session's file that cannot be opened.
struct FilesSourceTests {
    private static func finding(_ path: String, owner: uid_t, _ directory: TemporaryDirectory) -> SourceFinding {
        FilesSource.finding(
            errno: EACCES,
            path,
            FilesSource.Configuration(
                directory: SessionDirectory(path: directory.path, depth: 0),
                owner: owner,
                lifetime: .seconds(60),
                maximumSize: 1_000,
                timeout: .seconds(1)
            )
        )
    }

    @Test func oneFileOfSomebodyElseSaysNothingAboutTheOthers() throws {
        let directory = try TemporaryDirectory()
        try directory.write("sess_x", "")
        let path = directory.path("sess_x")
        // The file is this user's, and the sessions are somebody else's; then its own, with a mode that is odd.
        for owner in [geteuid() + 1, geteuid()] {
            guard case .unreadable = Self.finding(path, owner: owner, directory) else {
                Issue.record("the old store does not say, for \(owner)")
                continue
            }
        }
    }

    @Test func filesThatTheGatewayMayNotReadAtAllAreNoAnswer() throws {
        let directory = try TemporaryDirectory()
        guard case .unavailable = Self.finding(directory.path("none/sess_x"), owner: 0, directory) else {
            Issue.record("a directory that cannot be entered")
            return
        }
        // Only root can give a file away.
        guard geteuid() == 0 else { return }
        try directory.write("sess_x", "")
        let path = directory.path("sess_x")
        #expect(chown(path, 4_711, 4_711) == 0)
        guard case .unavailable = Self.finding(path, owner: 4_711, directory) else {
            Issue.record("the application's file")
            return
        }
    }
}
