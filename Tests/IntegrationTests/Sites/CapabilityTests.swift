import GatewayTesting
import Glibc
import Testing

/// What systemd's `AmbientCapabilities` gives the gateway is not its scripts'.
struct CapabilityTests {
    private static let setpriv = "/usr/bin/setpriv"
    private static let canGiveCapabilities = geteuid() == 0 && access(Self.setpriv, X_OK) == 0

    @Test(.enabled(if: Self.canGiveCapabilities))
    func aScriptInheritsNoCapabilities() async throws {
        let pages = try TemporaryDirectory()
        try pages.write(
            "capabilities.sh",
            """
            #!/bin/sh
            printf 'Content-Type: text/plain\\n\\n'
            grep -h CapAmb "/proc/$PPID/status" /proc/self/status
            """,
            mode: 0o755
        )
        let capability = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
        let place = ProcessPlace(host: "127.0.0.1", command: [Self.setpriv] + capability)
        let gateway = try await GatewayProcess(at: place) { _ in
            """
            sites:
              default:
                backend:
                  cgi: \(pages.path)
            """
        }
        let nginx = try await NginxProcess { port in
            """
            server {
                listen 127.0.0.1:\(port);
                location / {
                    include /etc/nginx/fastcgi_params;
                    fastcgi_pass \(gateway.upstream);
                }
            }
            """
        }
        let response = try await nginx.client.get("/capabilities.sh")
        // The gateway's own first: CAP_DAC_READ_SEARCH is 2.
        #expect(response.text == "CapAmb:\t0000000000000004\nCapAmb:\t0000000000000000\n", "\(gateway.log)")
    }
}
