import Testing

@testable import Configuration

@Suite struct CommandLineConfigurationTests {
    @Test func aListenerAndABackendAreEnough() throws {
        let result = GatewayConfiguration.commandLine(
            listen: ["unix:/run/g.sock", "127.0.0.1:9010"],
            backend: "fastcgi:unix:/run/php.sock"
        )
        let configuration = try result.get()
        #expect(result.diagnostics.isEmpty)
        #expect(
            configuration.listeners.map(\.address) == [
                .unix(path: "/run/g.sock"), .tcp(host: "127.0.0.1", port: 9_010),
            ]
        )
        #expect(configuration.sites.map(\.name) == ["default"])
        #expect(!configuration.sites[0].hasServers)
        #expect(configuration.lateSocketPath == "/run/late.sock")
    }

    @Test func serversAndRedundancyAreTaken() throws {
        let configuration = try GatewayConfiguration.commandLine(
            listen: ["/run/g.sock"],
            backend: "cgi:/usr/lib/cgi-bin",
            servers: "10.0.0.1:11211,10.0.0.2:11211,10.0.0.3:11211",
            redundancy: 1,
            environment: ["STATE_DIRECTORY": "/var/lib/g"]
        ).get()
        #expect(configuration.sites[0].servers.count == 3)
        #expect(configuration.sites[0].redundancy == 1)
        #expect(configuration.stateDirectory == "/var/lib/g")
        guard case .cgi(let backend) = configuration.sites[0].backend else {
            Issue.record("not a CGI backend")
            return
        }
        #expect(backend.root == "/usr/lib/cgi-bin")
    }

    @Test func theSameRulesHoldAndNameTheOption() {
        func messages(_ listen: String, _ backend: String, _ servers: String? = nil, _ redundancy: Int? = nil)
            -> [String]
        {
            GatewayConfiguration.commandLine(
                listen: [listen],
                backend: backend,
                servers: servers,
                redundancy: redundancy
            ).diagnostics.map(\.description)
        }
        #expect(messages("9010", "cgi:/a")[0].hasPrefix("error: --listen: address: \"9010\": the port is missing"))
        #expect(
            messages("0.0.0.0:1", "cgi:/a")[0].hasPrefix("error: --listen: 0.0.0.0:1 can be reached from elsewhere")
        )
        #expect(
            messages("/g", "php:/a") == [
                "error: --backend: \"php:/a\" is neither fastcgi:unix:/path, fastcgi:host:port nor cgi:DIRECTORY"
            ]
        )
        #expect(messages("/g", "cgi:a") == ["error: --backend: cgi: \"a\" is not an absolute path"])
        #expect(messages("/g", "cgi:/a", "x")[0].hasPrefix("error: --servers: address: \"x\": the port is missing"))
        #expect(messages("/g", "cgi:/a", "") == ["error: --servers: servers: the list is empty"])
        #expect(
            messages("/g", "cgi:/a", "a:1,b:1,c:1", 9) == [
                "error: --redundancy: redundancy: 9 is out of range (1 to 8)"
            ]
        )
        #expect(messages("9010", "php:/a", "x", 9).count == 4)
    }
}
