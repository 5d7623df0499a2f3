import Glibc
import Logging
import NIOCore
import Testing

@testable import Responder

@Suite(.timeLimit(.minutes(2))) struct ListenerTests {
    private typealias Listener = ResponderConfiguration.Listener

    private struct NoHandler: RequestHandler {
        func received(_ request: IncomingRequest) {}
    }

    private func responder(_ listeners: [Listener]) throws(ResponderError) -> Responder {
        try Responder(
            configuration: ResponderConfiguration(listeners: listeners),
            handler: NoHandler(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
    }

    /// The error of opening a listener.
    private func failure(_ listener: Listener) -> ResponderError? {
        do throws(ResponderError) {
            _ = try self.responder([listener])
            return nil
        } catch {
            return error
        }
    }

    private func status(_ path: String) -> stat? {
        var status = stat()
        return lstat(path, &status) == 0 ? status : nil
    }

    // MARK: Socket files

    @Test func aSocketFileHasModeAndGroupAndGoesWithTheResponder() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/socket"
        do {
            let responder = try self.responder([Listener(.unix(path: path), mode: 0o622, group: "\(getgid())")])
            let status = try #require(self.status(path))
            #expect(status.st_mode & S_IFMT == S_IFSOCK)
            #expect(status.st_mode & 0o777 == 0o622)
            #expect(status.st_gid == getgid())
            responder.shutDown(timeout: .zero)
        }
        #expect(self.status(path) == nil)
    }

    @Test func theDefaultModeKeepsOthersOut() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/socket"
        let responder = try self.responder([Listener(.unix(path: path))])
        #expect(try #require(self.status(path)).st_mode & 0o777 == 0o660)
        responder.shutDown(timeout: .zero)
    }

    @Test func aStaleSocketFileIsReplacedAndALiveOneIsNot() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/socket"
        let dead = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(dead, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        #expect(bound == 0)
        close(dead)

        let first = try self.responder([Listener(.unix(path: path))])
        let error = try #require(self.failure(Listener(.unix(path: path))))
        #expect(error.code == .addressInUse)
        #expect(error.message.contains(path))
        // The refused one has not touched the file.
        _ = try RawClient(unix: path)
        first.shutDown(timeout: .zero)
    }

    @Test func aFileThatIsNoSocketIsLeftAlone() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/file"
        close(open(path, O_CREAT | O_WRONLY, 0o600))
        #expect(self.failure(Listener(.unix(path: path)))?.code == .invalidListener)
        #expect(self.status(path) != nil)
    }

    @Test func aSocketFileThatSomebodyElseHasMadeSinceIsLeftAlone() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/socket"
        let first = try self.responder([Listener(.unix(path: path))])
        #expect(unlink(path) == 0)
        let second = try self.responder([Listener(.unix(path: path))])
        first.shutDown(timeout: .zero)
        #expect(self.status(path) != nil)
        second.shutDown(timeout: .zero)
        #expect(self.status(path) == nil)
    }

    @Test func impossibleListenersAreNamedInTheError() throws {
        let folder = try TemporaryFolder()
        let long = folder.path + "/" + String(repeating: "x", count: 108)
        let cases: [(Listener, ResponderError.Code, String)] = [
            (Listener(.unix(path: long)), .invalidListener, "shorter"),
            (Listener(.unix(path: "")), .invalidListener, "1 to 107 bytes"),
            (Listener(.unix(path: folder.path + "/no/socket")), .system, "folder"),
            (Listener(.unix(path: folder.path + "/s"), group: "no-such-group"), .invalidListener, "no-such-group"),
            (Listener(.tcp(host: "127.0.0.1", port: 65_536)), .invalidListener, "65536"),
            (Listener(.tcp(host: "0.0.0.0", port: 0)), .invalidListener, "allowed_clients"),
            (Listener(.tcp(host: "", port: 0)), .invalidListener, "allowed_clients"),
            (Listener(.tcp(host: "::", port: 0)), .invalidListener, "[::]:0"),
            (Listener(.tcp(host: "no.such.host.invalid", port: 0)), .invalidListener, "no.such.host.invalid"),
            (
                Listener(.tcp(host: "127.0.0.1", port: 0), allowedClients: ["10.0.0.0/33"]), .invalidListener,
                "10.0.0.0/33"
            ),
        ]
        for (listener, code, text) in cases {
            let error = self.failure(listener)
            #expect(error?.code == code, "\(listener.address)")
            #expect(error?.message.contains(text) == true, "\(error?.message ?? "")")
        }
        // What was made before the error is gone.
        #expect(self.status(folder.path + "/s") == nil)
    }

    @Test func aPortInUseIsRefused() throws {
        let first = try self.responder([Listener(.tcp(host: "127.0.0.1", port: 0))])
        let address = try #require(first.listeners.first?.address)
        #expect(self.failure(Listener(address))?.code == .addressInUse)
        first.shutDown(timeout: .zero)
    }

    // MARK: Clients

    @Test func onlyAllowedClientsAreServed() async throws {
        for (allowed, isServed) in [(["127.0.0.0/8"], true), (["10.0.0.1", "::1"], false)] {
            try await Harness.run { configuration in
                configuration.listeners = [
                    Listener(.tcp(host: "0.0.0.0", port: 0), allowedClients: allowed)
                ]
            } handler: { request in
                try await request.answer("x")
            } _: { harness in
                let client = try harness.connectTCP()
                await client.sendIgnoringErrors(Wire.request())
                #expect(try await client.answer().hasEnded == isServed)
                // Counted after the close that the client has seen.
                try await harness.waitFor { $0.refusals == (isServed ? [:] : [.clientNotAllowed: 1]) }
            }
        }
    }

    @Test(arguments: [
        ("10.1.2.3", "10.1.2.3", true), ("10.1.2.3", "10.1.2.4", false), ("10.1.0.0/16", "10.1.255.1", true),
        ("10.1.0.0/16", "10.2.0.1", false), ("10.1.2.128/25", "10.1.2.127", false), ("0.0.0.0/0", "1.2.3.4", true),
        ("0.0.0.0/0", "2001:db8::1", false), ("2001:db8::/33", "2001:db8:7fff::1", true),
        ("2001:db8::/33", "2001:db8:8000::1", false), ("::/0", "1.2.3.4", true),
        ("127.0.0.1", "::ffff:127.0.0.1", true),
    ])
    func aBlockHoldsItsAddresses(block: String, address: String, isAllowed: Bool) throws {
        let own = try ClientFilter([address])
        let filter = try ClientFilter([block])
        var storage = sockaddr_storage()
        storage.ss_family = sa_family_t(address.contains(":") ? AF_INET6 : AF_INET)
        let family = Int32(storage.ss_family)
        let result = withUnsafeMutableBytes(of: &storage) { raw in
            inet_pton(family, address, raw.baseAddress! + (family == AF_INET6 ? 8 : 4))
        }
        #expect(result == 1)
        #expect(own.allows(ClientFilter.bytes(storage)))
        #expect(filter.allows(ClientFilter.bytes(storage)) == isAllowed)
    }

    @Test(arguments: ["", "localhost", "1.2.3", "1.2.3.4/", "1.2.3.4/-1", "1.2.3.4/ 8", "::1/129", "any"])
    func whatIsNoBlockIsRefused(text: String) {
        #expect(throws: ResponderError.self) { try ClientFilter([text]) }
    }

    @Test func connectionsBeyondTheLimitAreClosed() async throws {
        try await Harness.run({ $0.maximumConnections = 3 }) { request in
            try await request.answer("x")
        } _: { harness in
            let clients = try (0..<3).map { _ in try harness.connect() }
            for client in clients { #expect(try await client.exchange(Wire.request()).hasEnded) }
            #expect(try await harness.connect().isClosed())
            try await harness.expectRefusals([.manyConnections: 1])
            clients[0].hangUp()
            try await harness.waitFor { $0.connections == 2 }
            #expect(try await harness.connect().exchange(Wire.request()).hasEnded)
        }
    }
}
