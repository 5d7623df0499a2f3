import Backends
import CGI
import FastCGI
import Glibc
import NIOCore
import NIOPosix
import Testing

@Suite(.enabled(if: PHPServer.isInstalled, "php-fpm is not installed"))
struct PHPTests {
    /// The md5 of 40,000 times each letter from b to u.
    static let digestOfParts = "5673b1209d8d05d3bedf227597ea915c"

    func backend(_ server: PHPServer, _ change: (inout FastCGIBackendConfiguration) -> Void = { _ in })
        -> FastCGIBackend
    {
        var configuration = FastCGIBackendConfiguration(upstreams: [.unix(path: server.socket)])
        // Machines that run tests may be slow.
        configuration.connectTimeout = .seconds(60)
        configuration.queueTimeout = .seconds(60)
        configuration.repeatWindow = .seconds(10)
        change(&configuration)
        return FastCGIBackend(configuration: configuration, logger: quietLogger)
    }

    func php(
        _ server: PHPServer,
        _ script: String,
        query: String = "",
        method: String = "GET",
        body: BackendRequest.Body = .complete(ByteBuffer()),
        contentLength: Int? = nil
    ) -> BackendRequest {
        var request = request(
            [
                "SCRIPT_FILENAME": "\(server.root)/\(script)", "SCRIPT_NAME": "/\(script)", "REQUEST_METHOD": method,
                "QUERY_STRING": query, "REQUEST_URI": "/\(script)?\(query)", "SERVER_PROTOCOL": "HTTP/1.1",
                "GATEWAY_INTERFACE": "CGI/1.1",
            ],
            body: body
        )
        if let contentLength {
            request.parameters.append("CONTENT_LENGTH", String(contentLength))
            request.parameters.append("CONTENT_TYPE", "application/octet-stream")
        }
        return request
    }

    @Test func aThousandRequestsShareFourConnections() async {
        let server = await PHPServer()
        server.script("hello.php", "<?php header('X-N: '.$_GET['n']); echo 'hello ', $_GET['n'];")
        let backend = self.backend(server)
        await withTaskGroup(of: Bool.self) { group in
            for worker in 0..<20 {
                group.addTask {
                    var isRight = true
                    for round in 0..<50 {
                        let number = worker * 50 + round
                        let answer = await backend.answer(self.php(server, "hello.php", query: "n=\(number)"))
                        isRight =
                            isRight && answer.error == nil && answer.text == "hello \(number)"
                            && answer.head?.status == 200
                            && answer.head?.first("x-n").map { String(buffer: $0) } == "\(number)"
                    }
                    return isRight
                }
            }
            for await isRight in group { #expect(isRight) }
        }
        await backend.shutDown()
    }

    @Test func twentyParametersOfFortyThousandBytesArrive() async {
        let server = await PHPServer()
        server.script(
            "parts.php",
            "<?php $s = ''; for ($i = 1; $i <= 20; $i++) $s .= $_SERVER[\"SESSION_DATA_$i\"]; echo strlen($s), ' ', md5($s);"
        )
        let backend = self.backend(server)
        var request = self.php(server, "parts.php")
        for index in 1...20 {
            let letter = Character(UnicodeScalar(UInt8(ascii: "a") + UInt8(index)))
            request.parameters.append("SESSION_DATA_\(index)", String(repeating: letter, count: 40_000))
        }
        let answer = await backend.answer(request)
        #expect(answer.text == "800000 \(Self.digestOfParts)")
        await backend.shutDown()
    }

    @Test func anAnswerWithAHeaderOfSevenHundredThousandBytesIsTaken() async {
        let server = await PHPServer()
        server.script("large.php", "<?php header('Session-Data: '.str_repeat('x', 700000)); echo 'ok';")
        let backend = self.backend(server) {
            $0.headLimits = CGIResponseLimits(separateFields: ["session-data"], maximumSeparateLength: 764_586)
        }
        let answer = await backend.answer(self.php(server, "large.php"))
        #expect(answer.head?.first("Session-Data")?.readableBytes == 700_000)
        #expect(answer.text == "ok")
        #expect(await self.backend(server).answer(self.php(server, "large.php")).error?.code == .malformedResponse)
    }

    @Test func theErrorLogComesAsErrorText() async {
        let server = await PHPServer()
        server.script("log.php", "<?php error_log('one', 4); echo 'body'; error_log('two', 4);")
        let answer = await self.backend(server).answer(self.php(server, "log.php"))
        #expect(answer.text == "body")
        #expect(answer.errorText.contains("PHP message: one"))
        #expect(answer.errorText.contains("two"))
    }

    @Test func twoHundredMegabytesGoUpAndDownWithFlatMemory() async throws {
        let server = await PHPServer(
            settings: "php_admin_value[post_max_size] = 640M\nphp_admin_value[memory_limit] = 256M"
        )
        server.script(
            "up.php",
            "<?php $h = hash_init('md5'); $n = 0; $f = fopen('php://input', 'r'); while (($s = fread($f, 65536)) != '') { $n += strlen($s); } echo $n;"
        )
        server.script(
            "down.php",
            "<?php $s = str_repeat('x', 100000); for ($i = 0; $i < 2000; $i++) { echo $s; flush(); }"
        )
        let backend = self.backend(server)
        let size = 200_000_000
        let before = residentKilobytes()

        let exchange = try await backend.begin(
            self.php(server, "up.php", method: "POST", body: .streamed, contentLength: size)
        )
        let piece = ByteBuffer(repeating: 7, count: 50_000)
        for _ in 0..<(size / 50_000) { try await exchange.writeBody(piece) }
        try await exchange.finishBody()
        #expect(await Answer(exchange).text == "\(size)")

        let download = try await backend.begin(self.php(server, "down.php"))
        var received = 0
        loop: while true {
            switch try await download.next() {
            case .body(let bytes): received += bytes.readableBytes
            case .end: break loop
            case .head, .errorText: break
            }
        }
        #expect(received == size)
        // Other tests run in this process meanwhile: the bound leaves room for theirs, and none for what would be held.
        #expect(residentKilobytes() - before < 150_000)
        await backend.shutDown()
    }

    @Test func aChildKilledInTheMiddleIsABrokenAnswerAndTheNextRequestIsFine() async throws {
        let server = await PHPServer()
        server.script(
            "id.php",
            "<?php echo str_repeat(' ', 100000), getmypid(), '.'; flush(); if (isset($_GET['wait'])) sleep(30);"
        )
        let backend = self.backend(server) {
            $0.connections = 1
            $0.repeatWindow = .milliseconds(1)
        }
        for _ in 0..<3 {
            let exchange = try await backend.begin(self.php(server, "id.php", query: "wait=1"))
            var text = ""
            while !text.hasSuffix(".") {
                if case .body(let bytes) = try await exchange.next() { text += String(buffer: bytes) }
            }
            let id = try #require(pid_t(text.drop { $0 == " " }.dropLast()))
            #expect(kill(id, SIGKILL) == 0)
            #expect(await Answer(exchange).error?.code == .connectionClosed)
            #expect(await backend.answer(self.php(server, "id.php")).error == nil)
        }
    }

    @Test func aRestartOfPHPLosesNoRequestThatComesAfterIt() async {
        let server = await PHPServer()
        server.script("hello.php", "<?php echo 'hello';")
        let backend = self.backend(server)
        for _ in 0..<4 { #expect(await backend.answer(self.php(server, "hello.php")).text == "hello") }
        server.stop()
        #expect(await backend.answer(self.php(server, "hello.php")).error?.code == .unavailable)
        let again = await server.startAgain()
        for _ in 0..<20 { #expect(await backend.answer(self.php(server, "hello.php")).text == "hello") }
        again.stop(signal: SIGTERM)
    }

    @Test func childrenThatLeaveAfterSomeRequestsLoseNone() async {
        let server = await PHPServer(settings: "pm.max_requests = 10")
        server.script("hello.php", "<?php echo 'hello';")
        let backend = self.backend(server)
        await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var count = 0
                    for round in 0..<50 {
                        let method = round % 2 == 0 ? "GET" : "POST"
                        let answer = await backend.answer(self.php(server, "hello.php", method: method))
                        if answer.text == "hello" { count += 1 }
                    }
                    return count
                }
            }
            for await count in group { #expect(count == 50) }
        }
        await backend.shutDown()
    }

    @Test func aBodyThatIsAlreadyThereArrivesWhole() async {
        let server = await PHPServer()
        server.script("sum.php", "<?php $s = file_get_contents('php://input'); echo strlen($s), ' ', md5($s);")
        let backend = self.backend(server)
        for size in [1, 16_384, 16_385, 65_535, 65_536, 1_000_000] {
            let answer = await backend.answer(
                self.php(
                    server,
                    "sum.php",
                    method: "POST",
                    body: .complete(ByteBuffer(repeating: UInt8(ascii: "a"), count: size)),
                    contentLength: size
                )
            )
            #expect(answer.text.hasPrefix("\(size) "))
        }
    }

    @Test func aClientThatLeavesFreesItsChild() async throws {
        let server = await PHPServer(children: 2)
        server.script(
            "wait.php",
            "<?php echo 'x'; flush(); while (!connection_aborted()) { usleep(10000); echo ' '; flush(); }"
        )
        server.script("hello.php", "<?php echo 'hello';")
        let backend = self.backend(server) { $0.connections = 1 }
        for _ in 0..<4 {
            let exchange = try await backend.begin(self.php(server, "wait.php"))
            _ = try await exchange.next()
            exchange.abort()
        }
        #expect(await backend.answer(self.php(server, "hello.php")).text == "hello")
        await backend.shutDown()
    }
}

/// The memory that this process occupies.
private func residentKilobytes() -> Int {
    guard let file = fopen("/proc/self/statm", "re") else { return 0 }
    defer { fclose(file) }
    var total = 0
    var resident = 0
    return withUnsafeMutablePointer(to: &total) { total in
        withUnsafeMutablePointer(to: &resident) { resident in
            withVaList([total, resident]) { vfscanf(file, "%ld %ld", $0) == 2 ? resident.pointee * 4 : 0 }
        }
    }
}
