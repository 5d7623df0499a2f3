import Backends
import CGI
import Glibc
import NIOCore
import NIOPosix
import Testing

struct CGIBackendTests {
    let directory = TemporaryDirectory()

    func backend(_ change: (inout CGIBackendConfiguration) -> Void = { _ in }) throws -> CGIBackend {
        var configuration = CGIBackendConfiguration(root: self.directory.path)
        // Machines that run tests may be slow.
        configuration.queueTimeout = .seconds(60)
        change(&configuration)
        return try CGIBackend(configuration: configuration, logger: quietLogger)
    }

    func script(_ name: String, _ text: String, mode: mode_t = 0o755) {
        self.directory.write(name, text, mode: mode)
    }

    func get(_ name: String, _ more: KeyValuePairs<String, String> = [:]) -> BackendRequest {
        var request = request(["SCRIPT_NAME": name, "REQUEST_METHOD": "GET"])
        for (name, value) in more { request.parameters.append(name, value) }
        return request
    }

    /// Whether a process exists and is not a zombie.
    func isRunning(_ id: pid_t) -> Bool {
        guard let file = fopen("/proc/\(id)/stat", "re") else { return false }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 512)
        guard fgets(&line, CInt(line.count), file) != nil else { return false }
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return text.split(separator: ")").last?.split(separator: " ").first != "Z"
    }

    func waitUntil(_ condition: () -> Bool) async -> Bool {
        for _ in 0..<1_000 {
            if condition() { return true }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return false
    }

    @Test func aShellScriptAnswers() async throws {
        self.script(
            "hello.sh",
            "#!/bin/sh\nprintf 'Content-Type: text/plain\\nX: y\\n\\nhello '; echo \"$QUERY_STRING\"\n"
        )
        let answer = await (try self.backend()).answer(self.get("/hello.sh", ["QUERY_STRING": "world"]))
        #expect(answer.error == nil)
        #expect(answer.head?.status == 200)
        #expect(answer.head?.first("x").map { String(buffer: $0) } == "y")
        #expect(answer.text == "hello world\n")
        #expect(answer.events == ["head", "body", "end"])
    }

    @Test func aScriptSeesTheAllowedVariablesAndNoOthers() async throws {
        self.script(
            "env",
            "#!/usr/bin/python3\nimport os,sys\nsys.stdout.write('A: b\\n\\n')\nsys.stdout.flush()\nos.write(1, open('/proc/self/environ','rb').read())\n"
        )
        let backend = try self.backend {
            $0.environment = ["SITE": "one"]
            $0.passedNames = ["GEOIP_COUNTRY", "LD_LIBRARY_PATH"]
        }
        var request = self.get("/env")
        let good = [
            "QUERY_STRING": "a=b", "CONTENT_TYPE": "", "REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "1", "HTTPS": "on",
            "SERVER_NAME": "x", "SERVER_ADDR": "y", "HTTP_ACCEPT": "*/*", "HTTP_COOKIE": "a=1", "DOCUMENT_ROOT": "/",
            "SESSION_ID": "id", "SESSION_DATA_PARTS": "1", "SESSION_DATA_1": "ZA==", "SESSION_TOKEN": "t",
            "SESSION_STATE": "live", "SESSION_DATA": "ZA==", "SESSION_NEXT_ID": "next", "SESSION_LATE": "/late.sock",
            "SESSION_VERSION": "1", "SESSION_TURN": "1", "GEOIP_COUNTRY": "CH",
        ]
        let hostile = [
            "HTTP_PROXY": "evil", "LD_PRELOAD": "/evil.so", "LD_LIBRARY_PATH": "/evil", "PATH": "/evil",
            "BASH_ENV": "/evil", "ENV": "/evil", "IFS": "x", "PYTHONPATH": "/evil", "PYTHONSTARTUP": "/evil",
            "PERL5LIB": "/evil", "PERL5OPT": "-Mevil", "NODE_OPTIONS": "--evil", "PHP_VALUE": "evil", "FOO": "bar",
            "SESSION_DATA_x": "1", "SESSION_SITE": "one", "BASH_FUNC_x%%": "() { evil; }", "HTTP_X=Y": "z",
            "HTTP_\nX": "z", "HTTP_X-Y": "z", "": "empty", "http_accept": "z", "PATHX": "z", "GLIBC_TUNABLES": "z",
        ]
        for (name, value) in good { request.parameters.append(name, value) }
        for (name, value) in hostile { request.parameters.append(name, value) }
        request.parameters.append("HTTP_ACCEPT", "a second one")
        let answer = await backend.answer(request)
        var expected = good
        expected["SITE"] = "one"
        expected["PATH"] = "/usr/local/bin:/usr/bin:/bin"
        expected["GATEWAY_INTERFACE"] = "CGI/1.1"
        expected["SCRIPT_NAME"] = "/env"
        expected["REQUEST_METHOD"] = "GET"
        let lines = answer.text.split(separator: "\0").map(String.init)
        #expect(lines.sorted() == expected.map { "\($0)=\($1)" }.sorted())
    }

    @Test func aScriptHasThreeDescriptorsAnEmptyMaskAndItsOwnGroup() async throws {
        self.script(
            "state",
            """
            #!/usr/bin/python3
            import os
            print("A: b\\n")
            print(sorted(int(f) for f in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/'+f)))
            for line in open('/proc/self/status'):
                if line.startswith(('SigBlk', 'SigIgn')): print(line.split()[1])
            print(os.getpgid(0) == os.getpid(), os.getcwd())
            """
        )
        let answer = await (try self.backend()).answer(self.get("/state"))
        let lines = answer.text.split(separator: "\n")
        #expect(lines.first == "[0, 1, 2]")
        #expect(lines.dropFirst().first == "0000000000000000")
        // Python itself ignores SIGPIPE and SIGXFSZ; glibc keeps its own two signals, 32 and 33, ignored over exec.
        let ignored = lines.dropFirst(2).first.flatMap { UInt64($0, radix: 16) } ?? .max
        #expect(ignored & ~0x1_8000_0000 == 0x100_1000)
        #expect(lines.last == "True \(self.directory.path)")
    }

    @Test func aScriptMayWriteEverythingBeforeItReadsAnything() async throws {
        self.script(
            "greedy",
            """
            #!/usr/bin/perl
            $| = 1;
            print "A: b\\n\\n", "x" x 300000;
            binmode STDIN; local $/; my $body = <STDIN>;
            print length $body;
            """
        )
        let backend = try self.backend()
        let body = ByteBuffer(repeating: 7, count: 300_000)
        var complete = self.get("/greedy")
        complete.body = .complete(body)
        let answer = await backend.answer(complete)
        #expect(answer.error == nil)
        #expect(answer.text.utf8.count == 300_006)
        #expect(answer.text.hasSuffix("300000"))

        var streamed = self.get("/greedy")
        streamed.body = .streamed
        let exchange = try await backend.begin(streamed)
        async let written: Void = {
            var rest = body
            while let piece = rest.readSlice(length: min(20_000, rest.readableBytes)), piece.readableBytes > 0 {
                try await exchange.writeBody(piece)
            }
            try await exchange.finishBody()
        }()
        let second = await Answer(exchange)
        try await written
        #expect(second.text.hasSuffix("x300000"))
    }

    @Test func aScriptThatDoesNotReadItsBodyAnswersAllTheSame() async throws {
        self.script("deaf", "#!/bin/sh\nexec <&-\nprintf 'A: b\\n\\n'; head -c 100000 /dev/zero\n")
        var request = self.get("/deaf")
        request.body = .complete(ByteBuffer(repeating: 7, count: 1_000_000))
        let answer = await (try self.backend()).answer(request)
        #expect(answer.error == nil)
        #expect(answer.body.readableBytes == 100_000)
    }

    @Test func errorTextComesInOrderOfArrival() async throws {
        let root = self.directory.path
        self.script(
            "noisy",
            """
            #!/bin/sh
            until_seen() { while [ ! -e \(root)/$1 ]; do sleep 0.01; done; }
            echo first >&2; until_seen one
            printf 'A: b\\n\\nbody'; until_seen two
            echo second >&2; until_seen three
            printf more
            """
        )
        let exchange = try await (try self.backend()).begin(self.get("/noisy"))
        #expect(try await exchange.next() == .errorText(ByteBuffer(string: "first\n")))
        self.directory.write("one", "")
        guard case .head = try await exchange.next() else {
            Issue.record("the head comes next")
            return
        }
        #expect(try await exchange.next() == .body(ByteBuffer(string: "body")))
        self.directory.write("two", "")
        #expect(try await exchange.next() == .errorText(ByteBuffer(string: "second\n")))
        self.directory.write("three", "")
        #expect(try await exchange.next() == .body(ByteBuffer(string: "more")))
        #expect(try await exchange.next() == .end)
    }

    @Test func pathInfoIsSplitWhereTheWebServerHasNot() async throws {
        self.script(
            "bin/info",
            "#!/bin/sh\nprintf 'A: b\\n\\n'; echo \"$SCRIPT_NAME|$PATH_INFO|$SCRIPT_FILENAME|$0\"\n"
        )
        let backend = try self.backend()
        #expect(await backend.answer(self.get("/bin/info/a//b/")).text == "/bin/info|/a//b/||./info\n")
        #expect(await backend.answer(self.get("/bin/info")).text == "/bin/info|||./info\n")
        #expect(await backend.answer(self.get("/bin/info/")).text == "/bin/info|/||./info\n")
        let root = self.directory.path
        #expect(
            await backend.answer(self.get("/x/bin/info/y", ["SCRIPT_FILENAME": "\(root)/bin/info/y"])).text
                == "/x/bin/info|/y|\(root)/bin/info|./info\n"
        )
        #expect(
            await backend.answer(self.get("/bin/info", ["PATH_INFO": "/z", "SCRIPT_FILENAME": "/elsewhere/x"])).text
                == "/bin/info|/z|/elsewhere/x|./info\n"
        )
    }

    @Test func whatIsNoScriptBelowTheRootIsNotRun() async throws {
        let outside = TemporaryDirectory()
        let escaped = "\(outside.path)/ran"
        outside.write("evil", "#!/bin/sh\ntouch \(escaped)\nprintf 'A: b\\n\\nevil'\n", mode: 0o755)
        self.script("good", "#!/bin/sh\nprintf 'A: b\\n\\ngood'\n")
        self.script("plain", "#!/bin/sh\n", mode: 0o644)
        self.script("sub/inner", "#!/bin/sh\nprintf 'A: b\\n\\ninner'\n")
        let root = self.directory.path
        for (target, name) in [
            ("\(outside.path)/evil", "absolute"), ("../\(outside.path.split(separator: "/").last ?? "")/evil", "up"),
            (outside.path, "folder"), ("/proc/self/root/bin/sh", "magic"), ("loop", "loop"), ("missing", "dangling"),
            ("sub/inner", "fine"), ("\(root)/good", "absoluteInside"),
        ] {
            #expect(symlink(target, "\(root)/\(name)") == 0)
        }
        mkfifo("\(root)/fifo", 0o755)
        // Whoever has an account could have it run what he likes.
        self.script("everybodys", "#!/bin/sh\nprintf 'A: b\\n\\neverybodys'\n")
        chmod("\(root)/everybodys", 0o777)
        let backend = try self.backend()
        let expected: KeyValuePairs<String, BackendError.Code> = [
            "/absolute": .forbidden, "/up": .forbidden, "/folder/evil": .forbidden, "/magic": .forbidden,
            "/loop": .forbidden, "/dangling": .notFound, "/absoluteInside": .forbidden, "/missing": .notFound,
            "/plain": .forbidden, "/plain/x": .forbidden, "/sub": .forbidden, "/sub/missing/x": .notFound,
            "/fifo": .forbidden, "/everybodys": .forbidden, "/everybodys/x": .forbidden, "/": .notFound, "": .notFound,
            "good": .forbidden,
            "/../\(outside.path.dropFirst(5))/evil": .forbidden, "/sub/../good": .forbidden, "/..": .forbidden,
            "/good\n": .forbidden, "/good\0": .forbidden, "/good\r": .forbidden,
            "/\(String(repeating: "x", count: 300))": .notFound, "/\(String(repeating: "x/", count: 5_000))": .notFound,
        ]
        for (path, code) in expected {
            #expect(await backend.answer(self.get(path)).error?.code == code, "\(path.prefix(100).debugDescription)")
        }
        let byFile: KeyValuePairs<String, BackendError.Code> = [
            "\(root)/../\(outside.path.dropFirst(5))/evil": .forbidden, "\(root)/absolute": .forbidden,
            "\(outside.path)/evil": .notFound, "\(root)": .notFound, "\(root)/sub": .forbidden,
            "\(root)x/evil": .notFound,
        ]
        for (path, code) in byFile {
            let request = request(["SCRIPT_FILENAME": path])
            #expect(await backend.answer(request).error?.code == code, "\(path)")
        }
        #expect(await backend.answer(self.get("/good", ["PATH_INFO": "/a\nb"])).error?.code == .forbidden)
        #expect(await backend.answer(self.get("/good")).text == "good")
        #expect(await backend.answer(self.get("/fine")).text == "inner")
        #expect(await backend.answer(self.get("//./sub//inner")).text == "inner")
        #expect(access(escaped, F_OK) != 0)
    }

    @Test func aRootThatIsNotThereIsUnavailable() async throws {
        let backend = try self.backend { $0.root += "/missing" }
        #expect(await backend.answer(self.get("/x")).error?.code == .unavailable)
    }

    @Test func brokenAnswersAreErrors() async throws {
        self.script("silent", "#!/bin/sh\nexit 0\n")
        self.script("dies", "#!/bin/sh\nkill -9 $$\n")
        self.script("half", "#!/bin/sh\nprintf 'A: b\\n'\n")
        self.script("late", "#!/bin/sh\nprintf 'A: b\\n\\nsome'; kill -SEGV $$\n")
        self.script("short", "#!/bin/sh\nprintf 'Content-Length: 10\\n\\nsome'\n")
        self.script("long", "#!/bin/sh\nprintf 'Content-Length: 4\\n\\nsomewhat'\n")
        self.script("wrong", "#!/bin/sh\nprintf 'Status: 101\\n\\n'; sleep 60\n")
        self.script("failed", "#!/bin/sh\nprintf 'A: b\\n\\nwhole'; exit 3\n")
        self.script("interpreter", "#!/missing/interpreter\n")
        let backend = try self.backend()
        #expect(await backend.answer(self.get("/silent")).error?.code == .malformedResponse)
        #expect(await backend.answer(self.get("/dies")).error?.code == .connectionClosed)
        #expect(await backend.answer(self.get("/half")).error?.code == .malformedResponse)
        let late = await backend.answer(self.get("/late"))
        #expect(late.error?.code == .connectionClosed)
        #expect(late.text == "some")
        let short = await backend.answer(self.get("/short"))
        #expect(short.error?.code == .malformedResponse)
        #expect(short.events == ["head", "body"])
        let long = await backend.answer(self.get("/long"))
        #expect(long.error == nil)
        #expect(long.text == "some")
        #expect(await backend.answer(self.get("/wrong")).error?.code == .malformedResponse)
        let failed = await backend.answer(self.get("/failed"))
        #expect(failed.error == nil)
        #expect(failed.text == "whole")
        #expect(await backend.answer(self.get("/interpreter")).error?.code == .unavailable)
        await backend.shutDown()
    }

    @Test func anAbortKillsTheGroupBeforeTheInputEnds() async throws {
        let root = self.directory.path
        // The inner process ignores SIGTERM and would tell if it saw its input end.
        self.script(
            "slow",
            """
            #!/bin/bash
            (trap '' TERM; echo $BASHPID > \(root)/inner; cat > /dev/null; touch \(root)/sawEnd) <&0 &
            echo $$ > \(root)/outer
            printf 'A: b\\n\\nbegun'
            wait
            """
        )
        let backend = try self.backend { $0.terminateGrace = .milliseconds(200) }
        var request = self.get("/slow")
        request.body = .streamed
        let exchange = try await backend.begin(request)
        try await exchange.writeBody(ByteBuffer(string: "half of a body"))
        #expect(await self.waitUntil { self.directory.read("inner")?.hasSuffix("\n") ?? false })
        #expect(await self.waitUntil { self.directory.read("outer")?.hasSuffix("\n") ?? false })
        let ids = ["inner", "outer"].compactMap { self.directory.read($0)?.dropLast() }.compactMap { pid_t($0) }
        #expect(ids.count == 2)
        exchange.abort()
        await backend.shutDown()
        #expect(await self.waitUntil { !ids.contains { self.isRunning($0) } })
        #expect(access("\(root)/sawEnd", F_OK) != 0)
        await #expect(throws: BackendError.self) { try await exchange.next() }
    }

    @Test func aScriptThatRunsTooLongIsTerminatedThenKilled() async throws {
        let root = self.directory.path
        self.script(
            "polite",
            "#!/bin/bash\ntrap 'touch \(root)/termed; exit' TERM\nprintf 'A: b\\n\\nx'\nwhile :; do sleep 0.01; done\n"
        )
        self.script("stubborn", "#!/bin/bash\ntrap '' TERM\necho $$ > \(root)/id\nwhile :; do sleep 0.01; done\n")
        let patient = try self.backend {
            $0.timeout = .milliseconds(300)
            $0.terminateGrace = .seconds(20)
        }
        let polite = await patient.answer(self.get("/polite"))
        #expect(polite.error?.code == .timedOut)
        #expect(polite.text == "x")
        await patient.shutDown()
        #expect(access("\(root)/termed", F_OK) == 0)

        let backend = try self.backend {
            $0.timeout = .milliseconds(300)
            $0.terminateGrace = .milliseconds(300)
        }
        #expect(await backend.answer(self.get("/stubborn")).error?.code == .timedOut)
        await backend.shutDown()
        let id = self.directory.read("id").flatMap { pid_t($0.dropLast()) } ?? 0
        #expect(id > 0 && !self.isRunning(id))
    }

    @Test func aGrandchildThatHoldsTheOutputDoesNotHoldTheAnswer() async throws {
        self.script(
            "leaving",
            "#!/bin/bash\nprintf 'A: b\\n\\nbody'\nsleep 1000 &\necho $! > \(self.directory.path)/id\nexit 0\n"
        )
        let backend = try self.backend { $0.lingerGrace = .milliseconds(200) }
        let answer = await backend.answer(self.get("/leaving"))
        #expect(answer.error == nil)
        #expect(answer.text == "body")
        let id = self.directory.read("id").flatMap { pid_t($0.dropLast()) } ?? 0
        #expect(await self.waitUntil { id > 0 && !self.isRunning(id) })
    }

    @Test func onlySoManyScriptsRunAtOnceAndTheRestWaitsInLine() async throws {
        let root = self.directory.path
        self.script(
            "count",
            "#!/bin/bash\ntouch \(root)/running.$$\nls \(root) | grep -c running > \(root)/seen.$$\nsleep 0.02\nrm \(root)/running.$$\nprintf 'A: b\\n\\n'; cat \(root)/seen.$$\n"
        )
        let backend = try self.backend { $0.processes = 3 }
        await withTaskGroup(of: String.self) { group in
            for _ in 0..<30 { group.addTask { await backend.answer(self.get("/count")).text } }
            for await text in group { #expect(["1\n", "2\n", "3\n"].contains(text)) }
        }
        await backend.shutDown()
    }

    @Test func aFullLineRefusesAndAnOldPlaceInItExpires() async throws {
        self.script("sleep", "#!/bin/sh\nexec sleep 1000\n")
        let backend = try self.backend {
            $0.processes = 1
            $0.queueLength = 1
            $0.queueTimeout = .milliseconds(200)
        }
        let first = try await backend.begin(self.get("/sleep"))
        async let second = backend.answer(self.get("/sleep"))
        async let third = backend.answer(self.get("/sleep"))
        let codes = await [second.error?.code, third.error?.code]
        #expect(Set(codes) == [.queueFull, .queueTimedOut])
        first.abort()
        await backend.shutDown()
    }

    @Test func aCancelledWaiterLeavesTheLine() async throws {
        self.script("sleep", "#!/bin/sh\nexec sleep 1000\n")
        let backend = try self.backend { $0.processes = 1 }
        let first = try await backend.begin(self.get("/sleep"))
        let waiting = Task { await backend.answer(self.get("/sleep")) }
        waiting.cancel()
        #expect(await waiting.value.error?.code == .cancelled)
        first.abort()
        await backend.shutDown()
    }

    @Test func aStringThatLinuxWouldRefuseIsRefusedAndTheLongestOneIsNot() async throws {
        self.script("length", "#!/bin/sh\nprintf 'A: b\\n\\n'; printf %s \"$HTTP_X\" | wc -c\n")
        let backend = try self.backend()
        let longest = 131_072 - "HTTP_X=".utf8.count - 1
        let fits = await backend.answer(self.get("/length", ["HTTP_X": String(repeating: "x", count: longest)]))
        #expect(fits.text == "\(longest)\n")
        let isTooLong = await backend.answer(
            self.get("/length", ["HTTP_X": String(repeating: "x", count: longest + 1)])
        )
        #expect(isTooLong.error?.code == .malformedRequest)
        var request = self.get("/length")
        for index in 0..<200 { request.parameters.append("HTTP_\(index)", String(repeating: "x", count: 100_000)) }
        #expect(await backend.answer(request).error?.code == .malformedRequest)
    }

    @Test func anAnswerToHEADHasNoBodyAndNeedsNone() async throws {
        self.script("page", "#!/bin/sh\nprintf 'Content-Length: 1000\\n\\nsome'\n")
        let answer = await (try self.backend()).answer(request(["SCRIPT_NAME": "/page", "REQUEST_METHOD": "HEAD"]))
        #expect(answer.error == nil)
        #expect(answer.head?.contentLength == 1_000)
        #expect(answer.events == ["head", "end"])
    }

    @Test func aSlowConsumerHoldsTheScriptBackAndGetsEverything() async throws {
        self.script(
            "big",
            "#!/bin/sh\nprintf 'A: b\\n\\n'; head -c 5000000 /dev/zero; touch \(self.directory.path)/done\n"
        )
        let backend = try self.backend { $0.timeout = .seconds(2) }
        let exchange = try await backend.begin(self.get("/big"))
        #expect(try await exchange.next() != .end)
        // Longer than the script's time: waiting for the client does not count.
        try await Task.sleep(for: .seconds(3))
        #expect(access("\(self.directory.path)/done", F_OK) != 0)
        let answer = await Answer(exchange)
        #expect(answer.error == nil)
        #expect(answer.body.readableBytes == 5_000_000)
    }

    @Test func noZombieAndNoDescriptorStaysBehind() async throws {
        self.script("quick", "#!/bin/sh\nprintf 'A: b\\n\\n%s' $$\n")
        let backend = try self.backend()
        var ids: [pid_t] = []
        for _ in 0..<20 { ids += pid_t(await backend.answer(self.get("/quick")).text).map { [$0] } ?? [] }
        await backend.shutDown()
        #expect(ids.count == 20)
        #expect(ids.allSatisfy { kill($0, 0) != 0 })
        #expect(await backend.answer(self.get("/quick")).error?.code == .unavailable)
    }
}
