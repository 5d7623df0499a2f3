import CGI
import NIOCore
import Testing

@testable import Gateway

struct RequestedPathTests {
    @Test(arguments: [
        ("/api/poll", "/api/poll"), ("/api/poll?x=/other", "/api/poll"), ("/a#b", "/a"), ("/", "/"), ("/a/", "/a/"),
        ("/a%20b/%C3%BC", "/a b/ü"), ("//a///b//", "/a/b/"), ("/a/./b/../c", "/a/c"), ("/a/b/..", "/a/"),
        ("/api/poll/%2e%2e/logout", "/api/logout"), ("/api/poll/..%2Flogout", "/api/logout"), ("/../../x", "/x"),
        ("/%2561", "/%61"), ("/a%3Fb", "/a?b"), ("/%zz%", "/%zz%"), ("/a/.", "/a/"), ("/...", "/..."),
    ])
    func itIsWhatNginxMakesOfIt(target: String, path: String) {
        #expect(RequestedPath.path(of: ByteBuffer(string: target).readableBytesView) == path)
    }

    @Test func whatIsNoPathHasNone() {
        #expect(RequestedPath.path(of: ByteBuffer(string: "*").readableBytesView) == nil)
        #expect(RequestedPath.path(of: ByteBuffer().readableBytesView) == nil)
    }

    @Test func behindAFrontControllerThePathIsTheBrowsers() throws {
        var parameters = Parameters()
        parameters.append("REQUEST_URI", "/api/poll?x=1")
        parameters.append("DOCUMENT_URI", "/index.php")
        parameters.append("SCRIPT_NAME", "/index.php")
        for (pattern, isMeant) in [("^/api/poll$", true), ("^/index", true), ("x=1", false), ("^/poll", false)] {
            #expect(parameters.hasPath(matching: try #require(PathPattern(pattern))) == isMeant)
        }
        #expect(parameters.path == "/index.php")
    }
}
