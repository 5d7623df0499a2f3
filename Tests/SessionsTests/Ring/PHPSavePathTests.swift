import Testing

@testable import Sessions

@Suite struct PHPSavePathTests {
    @Test(arguments: [
        ("tcp://10.0.0.1:11211", [RingServer(host: "10.0.0.1", port: 11_211)]),
        (
            "tcp://a:1?persistent=1&weight=2&timeout=1&retry_interval=15, tcp://b:2/?weight=3",
            [RingServer(host: "a", port: 1, weight: 2), RingServer(host: "b", port: 2, weight: 3)]
        ),
        ("udp://a:1", [RingServer(host: "a", port: 1)]),
        ("a:1 b:2\tc:3", [.init(host: "a", port: 1), .init(host: "b", port: 2), .init(host: "c", port: 3)]),
        ("a:1:5,b:2:1", [RingServer(host: "a", port: 1, weight: 5), RingServer(host: "b", port: 2)]),
        ("localhost", [RingServer(host: "localhost", port: 11_211)]),
        ("tcp://[::1]:11211?weight=4", [RingServer(host: "[::1]", port: 11_211, weight: 4)]),
        ("[fe80::1]:1:2", [RingServer(host: "[fe80::1]", port: 1, weight: 2)]),
        ("unix:///run/m.sock?weight=2", [RingServer(host: "unix:///run/m.sock", port: 0, weight: 2)]),
        ("unix:///run/m.sock:0", [RingServer(host: "unix:///run/m.sock", port: 0)]),
        ("unix:/run/m.sock", [RingServer(host: "unix:///run/m.sock", port: 0)]),
        ("file:///run/m.sock", [RingServer(host: "unix:///run/m.sock", port: 0)]),
        ("/run/m.sock:3", [RingServer(host: "/run/m.sock", port: 0, weight: 3)]),
        ("PERSISTENT=pool a:1", [RingServer(host: "a", port: 1)]),
        (" , a:1 ,, ", [RingServer(host: "a", port: 1)]),
    ]) func whatPHPTakesIsTaken(text: String, servers: [RingServer]) throws {
        #expect(try PHPSavePath.parse(text) == servers)
    }

    @Test(arguments: [
        ("", "no server"), (" , ", "no server"), ("tcp://a", "no port"), ("tcp://a:0", "port"), ("a:65536", "port"),
        ("a:x", "port"), ("a:+1", "port"), ("tcp://:1", "no host"), ("a:1?weight=0", "weight"),
        ("a:1?weight=-1", "weight"),
        ("a:1:x", "weight"), ("a:1:2:3", "host:port:weight"), ("::1:11211", "no host"), ("[::1", "]"),
        ("[]:1", "no host"),
        ("http://a:1", "http://"), ("unix://run", "begins with /"), ("unix:///a:1", "no port"),
        ("tcp://u@h:1", "more than"),
        ("tcp://a:1/b", "more than"), ("a:99999999999999999999", "port"), ("tcp://a:1:2", "more than"),
    ]) func whatPHPCouldNotUseIsRefusedWithTheReason(text: String, reason: String) throws {
        let failure = #expect(throws: PHPSavePath.Failure.self) { try PHPSavePath.parse(text) }
        #expect(failure?.reason.contains(reason) == true, "\(failure?.reason ?? "no failure")")
    }

    @Test func theFailureNamesTheEntry() throws {
        let failure = #expect(throws: PHPSavePath.Failure.self) { try PHPSavePath.parse("a:1, b:2, c:three") }
        #expect(failure?.entry == 3)
        #expect(failure?.text == "c:three")
    }

    @Test func everyServerSaysWhereToConnectTo() throws {
        let servers = try PHPSavePath.parse("tcp://[::1]:1, unix:///run/m, /run/n, h:2")
        #expect(servers.map(\.address) == ["[::1]:1", "unix:/run/m", "unix:/run/n", "h:2"])
    }
}
