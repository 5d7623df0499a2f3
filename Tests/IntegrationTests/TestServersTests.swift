import GatewayTesting
import Glibc
import Testing

/// The servers that the other tests lean on do what those tests take for granted.
struct TestServersTests {
    @Test func aMemcachedComesBackEmptyOnItsPort() async throws {
        let memcached = try await MemcachedProcess()
        #expect(try memcached.command("ms key 3\r\nabc") == "HD\r\n")
        #expect(try memcached.command("mg key v", until: "abc\r\n") == "VA 3\r\nabc\r\n")
        try await memcached.restart()
        #expect(try memcached.command("mg key v") == "EN\r\n")
        #expect(try memcached.statistics()["curr_items"] == "0")
        #expect(try memcached.process.residentMemory > 100_000)
    }

    @Test func aFrozenServerAcceptsAndDoesNotAnswer() async throws {
        let memcached = try await MemcachedProcess()
        try memcached.freeze()
        let socket = try ClientSocket(memcached.address, timeout: .seconds(1))
        try socket.send("mn\r\n")
        #expect(throws: TestingError.self) { try socket.receive() }
        try memcached.thaw()
        #expect(try socket.receive() == Array("MN\r\n".utf8))
    }

    @Test func whatIsKilledIsGoneWithItsChildren() async throws {
        let directory = try TemporaryDirectory()
        let process = try ServerProcess(
            "/bin/sh",
            ["-c", "sleep 1000 & echo $!; trap '' TERM; wait"],
            output: directory.path("output")
        )
        try await Eventually.holds("the child's pid") { process.output.hasSuffix("\n") }
        let child = try #require(Int32(process.output.dropLast()))
        #expect(kill(child, 0) == 0)
        process.killNow()
        #expect(process.ended == .signal(SIGKILL))
        // The orphan is somebody else's to reap: it is dead or a zombie.
        try await Eventually.holds("the child's end") {
            let state = (try? String(contentsOf: "/proc/\(child)/stat"))?.split(separator: ")").last?.first {
                $0 != " "
            }
            return state == nil || state == "Z"
        }
    }

    @Test func nginxAndPHPAnswerTheClient() async throws {
        let pages = try TemporaryDirectory()
        try pages.write(
            "index.php",
            """
            <?php
            $body = file_get_contents('php://input');
            setcookie('seen', (string) (($_COOKIE['seen'] ?? 0) + 1));
            if (isset($_GET['chunked'])) { echo 'a'; flush(); echo 'b'; exit; }
            if (isset($_GET['die'])) { header('X-Accel-Buffering: no'); echo 'a'; while (ob_get_level()) ob_end_flush(); flush(); posix_kill(getmypid(), 9); }
            header('Content-Length: ' . strlen(md5($body)));
            echo md5($body);
            """
        )
        let php = try await PHPFPMProcess(children: 2)
        let nginx = try await NginxProcess { port in
            """
            server {
                listen 127.0.0.1:\(port);
                client_max_body_size 100m;
                location / {
                    include /etc/nginx/fastcgi_params;
                    fastcgi_param SCRIPT_FILENAME \(pages.path)/index.php;
                    fastcgi_pass unix:\(php.socketPath);
                }
            }
            """
        }
        var jar = CookieJar()
        for visit in 1...3 {
            let response = try await nginx.client.get("/", cookies: &jar)
            #expect(response.status == 200)
            #expect(response.text == "d41d8cd98f00b204e9800998ecf8427e")
            #expect(response.endedCleanly)
            #expect(jar["seen"] == "\(visit)")
        }
        let chunked = try await nginx.client.get("/?chunked")
        #expect(chunked.text == "ab" && chunked.endedCleanly)
        let broken = try await nginx.client.get("/?die")
        #expect(broken.text == "a")
        #expect(!broken.endedCleanly)
        let upload = try await nginx.client.send(HTTPRequest("POST", "/", body: .pattern(length: 3_000_000)))
        #expect(try upload.text == PatternDigest.md5(length: 3_000_000))
    }
}

extension String {
    fileprivate init(contentsOf path: String) throws {
        guard let file = fopen(path, "r") else { throw TestingError("no \(path)") }
        defer { fclose(file) }
        var buffer = [CChar](repeating: 0, count: 4_096)
        let count = fread(&buffer, 1, 4_095, file)
        self = String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

/// The digest that a server computes of a long body, computed by another program from the same bytes.
private enum PatternDigest {
    static func md5(length: Int) throws -> String {
        let directory = try TemporaryDirectory()
        let file = try #require(fopen(directory.path("body"), "w"))
        let bytes = (0..<length).map(HTTPRequest.patternByte)
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
        let pipe = try #require(popen("md5sum '\(directory.path("body"))'", "r"))
        defer { pclose(pipe) }
        var line = [CChar](repeating: 0, count: 33)
        fgets(&line, 33, pipe)
        return String(decoding: line.prefix(32).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
