import Foundation
package import GatewayTesting

/// Network namespaces, one for each memcached and each gateway, around a hub that forwards between them. Whatever passes
/// between a gateway and a memcached passes the hub, where nft loses it or answers it with a reset.
///
/// The hub is the namespace that this process runs in: one of its own, which `Tests/chaos` makes and which goes with it,
/// and takes all of this along.
package final class ChaosNetwork: Sendable {
    private let directory: TemporaryDirectory

    private init(_ directory: TemporaryDirectory) { self.directory = directory }

    /// Nil where the process runs in the machine's own network: nothing is touched there.
    package static func make(memcacheds: Int, gateways: Int) async throws -> ChaosNetwork? {
        guard ProcessInfo.processInfo.environment["SESSION_GATEWAY_CHAOS_NAMESPACE"] == "1" else { return nil }
        let network = ChaosNetwork(try TemporaryDirectory())
        try await network.run("ip", "link", "set", "lo", "up")
        try "1".write(toFile: "/proc/sys/net/ipv4/ip_forward", atomically: false, encoding: .utf8)
        for index in 0..<memcacheds { try await network.add("mem\(index)", Self.subnet(memcached: index)) }
        for index in 0..<gateways { try await network.add("gate\(index)", Self.subnet(gateway: index)) }
        try await network.run("nft", "add table inet chaos")
        try await network.run(
            "nft",
            "add chain inet chaos forward { type filter hook forward priority 0; policy accept; }"
        )
        return network
    }

    package func memcached(_ index: Int) -> ProcessPlace { self.place("mem\(index)", Self.subnet(memcached: index)) }

    package func gateway(_ index: Int) -> ProcessPlace { self.place("gate\(index)", Self.subnet(gateway: index)) }

    /// One fault of the network at a time.
    package func begin(_ fault: PlannedFault<ServerFault>, gateways: Int) async throws {
        let server = Self.address(Self.subnet(memcached: fault.target))
        let affected = fault.kind == .halfCut ? [fault.gateway] : Array(0..<gateways)
        for gateway in affected.map({ Self.address(Self.subnet(gateway: $0)) }) {
            let there = "ip saddr \(gateway) ip daddr \(server)"
            let back = "ip saddr \(server) ip daddr \(gateway)"
            switch fault.kind {
            case .cut, .halfCut:
                try await self.add("\(there) drop")
                try await self.add("\(back) drop")
            case .mute:
                try await self.add("\(back) drop")
            case .rejected:
                try await self.add("\(there) meta l4proto tcp reject with tcp reset")
                try await self.add("\(back) meta l4proto tcp reject with tcp reset")
            case .lossy:
                try await self.add("\(there) numgen random mod 100 < 20 drop")
                try await self.add("\(back) numgen random mod 100 < 20 drop")
            case .killed, .restarted, .frozen:
                break
            }
        }
    }

    package func end() async throws { try await self.run("nft", "flush chain inet chaos forward") }

    private func add(_ rule: String) async throws { try await self.run("nft", "add rule inet chaos forward \(rule)") }

    private func add(_ name: String, _ subnet: Int) async throws {
        let file = try self.directory.write(name, "")
        let (hub, member) = ("hub-\(name)", "in-\(name)")
        try await self.run("unshare", "--net=\(file)", "true")
        try await self.run("ip", "link", "add", hub, "type", "veth", "peer", "name", member)
        try await self.run("ip", "link", "set", member, "netns", file)
        try await self.run("ip", "address", "add", "10.66.\(subnet).1/24", "dev", hub)
        try await self.run("ip", "link", "set", hub, "up")
        let inside = ["nsenter", "--net=\(file)", "ip"]
        try await self.run(inside + ["link", "set", "lo", "up"])
        try await self.run(inside + ["address", "add", "\(Self.address(subnet))/24", "dev", member])
        try await self.run(inside + ["link", "set", member, "up"])
        try await self.run(inside + ["route", "add", "default", "via", "10.66.\(subnet).1"])
    }

    private func place(_ name: String, _ subnet: Int) -> ProcessPlace {
        let command = (try? Executable.find("nsenter", package: "util-linux")) ?? "nsenter"
        return ProcessPlace(
            host: Self.address(subnet),
            command: [command, "--net=\(self.directory.path(name))", "--"]
        )
    }

    private static func subnet(memcached index: Int) -> Int { index }
    private static func subnet(gateway index: Int) -> Int { 100 + index }
    private static func address(_ subnet: Int) -> String { "10.66.\(subnet).2" }

    private func run(_ words: String...) async throws { try await self.run(words) }

    private func run(_ words: [String]) async throws {
        let process = try ServerProcess(
            Executable.find(words[0], package: "iproute2, nftables"),
            Array(words.dropFirst()),
            output: self.directory.path("output")
        )
        guard try await process.waitForEnd() == .status(0) else {
            throw TestingError("\(words.joined(separator: " ")): \(process.output.suffix(500))")
        }
    }
}
