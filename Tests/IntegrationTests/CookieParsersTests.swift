import Foundation
import GatewayTesting
import NIOCore
import Sessions
import Testing

/// Gives the Cookie headers of Tests/Shared/cookies.json, rewritten as the gateway rewrites them, to the parsers that
/// backends have: each sees the one accepted session or none (`guarantees.md` §1.2).
///
/// Here the parsers are asked without a web server, every header through one process; that the whole path agrees is
/// another test's matter.
struct CookieParsersTests {
    private struct List: Decodable {
        struct Case: Decodable { var cookie: String }
        var name: String
        var cases: [Case]
    }

    private static func accepted(_ reading: CookieReading) -> String {
        if case .accepted(let id) = reading.session { id.text } else { "" }
    }

    private static func header(_ reading: CookieReading, _ original: String) -> String? {
        switch reading.backendHeader {
        case .unchanged: original
        case .removed: nil
        case .replaced(let header): String(buffer: header)
        }
    }

    /// What one parser saw for each header; empty where it saw no session.
    private func ask(_ command: [String], _ headers: [String], _ name: String) async throws -> [String] {
        let directory = try TemporaryDirectory()
        // One header a line, each byte in hexadecimal: some headers have control characters.
        let lines = headers.map { header in
            header.utf8.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        }
        let input = try directory.write("headers", lines.joined(separator: "\n") + "\n")
        let process = try ServerProcess(
            command[0],
            command.dropFirst() + [input, name],
            output: directory.path("output")
        )
        #expect(try await process.waitForEnd(within: .seconds(60)) == .status(0), "\(process.output.suffix(500))")
        return process.output.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    private func expectAgreement(_ parser: String, mayRefuse: Bool = false, _ command: [String]) async throws {
        let file = URL(filePath: #filePath).appending(path: "../../Shared/cookies.json").standardized
        for list in try JSONDecoder().decode([List].self, from: Data(contentsOf: file)) {
            var settings = CookieSettings()
            settings.name = .fixed(try #require(CookieName(list.name)))
            let cookie = try SiteCookies(settings).cookie(underHTTPS: true)
            var expected: [String] = []
            var headers: [String] = []
            for item in list.cases {
                let reading = cookie.read(ByteBuffer(string: item.cookie).readableBytesView)
                expected.append(Self.accepted(reading))
                headers.append(Self.header(reading, item.cookie) ?? "")
            }
            let seen = try await self.ask(command, headers, list.name)
            try #require(seen.count == expected.count, "\(parser): \(seen.prefix(3))")
            var refused = 0
            for index in seen.indices where seen[index] != expected[index] {
                if mayRefuse, seen[index].isEmpty {
                    refused += 1
                } else {
                    Issue.record(
                        "\(parser) sees '\(seen[index])', the gateway '\(expected[index])': \(list.cases[index].cookie)"
                    )
                }
            }
            // http.cookies gives up on a whole header for one pair it does not like; not on ordinary ones.
            #expect(refused < 30, "\(parser) refused \(refused)")
        }
    }

    @Test func shellSeesTheSameSession() async throws {
        let script = """
            while read -r hex; do
                HTTP_COOKIE=$(printf "$(printf %s "$hex" | sed 's/../\\\\x&/g')")
                found=
                old=$IFS; IFS=';'; set -f
                for pair in $HTTP_COOKIE; do
                    pair=${pair#"${pair%%[! ]*}"}
                    case $pair in
                        "$1="*) found=${pair#*=}; break ;;
                    esac
                done
                IFS=$old
                printf '%s\\n' "$found"
            done < "$0"
            """
        try await self.expectAgreement("sh", ["/bin/bash", "-c", script])
    }

    @Test func aShellThatGrepsForWordsSeesTheSameSession() async throws {
        let script = """
            while read -r hex; do
                found=$(printf "$(printf %s "$hex" | sed 's/../\\\\x&/g')" \\
                    | LC_ALL=C grep -a -o -E "(^|[^A-Za-z0-9_.%+-])$1=[^;]*" | head -n 1)
                printf '%s\\n' "${found#*"$1="}"
            done < "$0"
            """
        try await self.expectAgreement("grep", ["/bin/bash", "-c", script])
    }

    @Test func pythonSeesTheSameSession() async throws {
        let script = """
            import http.cookies, sys
            for line in open(sys.argv[1]):
                jar = http.cookies.SimpleCookie()
                try:
                    jar.load(bytes.fromhex(line.strip()).decode('latin-1'))
                except http.cookies.CookieError:
                    jar.clear()
                found = jar.get(sys.argv[2])
                print(found.value if found else '')
            """
        let python = try Executable.find("python3", package: "python3")
        try await self.expectAgreement("Python", mayRefuse: true, [python, "-c", script])
    }

    @Test func perlSeesTheSameSession() async throws {
        let script = """
            use CGI::Cookie;
            open(my $in, '<', $ARGV[0]) or die;
            while (my $line = <$in>) {
                chomp $line;
                my %jar = CGI::Cookie->parse(pack('H*', $line));
                my $found = $jar{$ARGV[1]};
                print defined $found ? join('&', $found->value) : '', "\\n";
            }
            """
        let perl = try Executable.find("perl", package: "perl libcgi-pm-perl")
        try await self.expectAgreement("Perl", [perl, "-e", script])
    }

    @Test func phpSeesTheSameSession() async throws {
        // parse_str is another parser: $_COOKIE is filled by the SAPI alone, so that a server has to ask it.
        let pages = try TemporaryDirectory()
        try pages.write("cookie.php", "<?php $v = $_COOKIE[$_GET['name']] ?? ''; echo is_array($v) ? 'array' : $v;")
        let php = try await PHPFPMProcess(children: 2)
        let nginx = try await NginxProcess { port in
            """
            large_client_header_buffers 8 16k;
            server {
                listen 127.0.0.1:\(port);
                location / {
                    include /etc/nginx/fastcgi_params;
                    fastcgi_param SCRIPT_FILENAME \(pages.path)/cookie.php;
                    fastcgi_pass unix:\(php.socketPath);
                }
            }
            """
        }
        let file = URL(filePath: #filePath).appending(path: "../../Shared/cookies.json").standardized
        for list in try JSONDecoder().decode([List].self, from: Data(contentsOf: file)) {
            var settings = CookieSettings()
            settings.name = .fixed(try #require(CookieName(list.name)))
            let cookie = try SiteCookies(settings).cookie(underHTTPS: true)
            for item in list.cases {
                let reading = cookie.read(ByteBuffer(string: item.cookie).readableBytesView)
                let header = Self.header(reading, item.cookie)
                let response = try await nginx.client.send(
                    HTTPRequest("GET", "/?name=\(list.name)", headers: header.map { [("Cookie", $0)] } ?? [])
                )
                #expect(response.text == Self.accepted(reading), "PHP: \(item.cookie)")
            }
        }
    }
}
