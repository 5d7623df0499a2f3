import GatewayTesting
import Testing

/// Blobs of all lengths. One at a time on a stack of their own: without optimisation the gateway takes its time for
/// large ones.
@Suite(
    .serialized,
    .gatewayStack(
        GatewayStack.Plan { parts in
            """
            sites:
              default:
                \(parts.store)
                \(parts.fastCGI)
              cgi:
                sessions_of: default
                \(parts.cgi)
            """
        }
    )
)
struct SessionBlobTests {
    private static func pattern(_ length: Int) -> [UInt8] { (0..<length).map { UInt8(truncatingIfNeeded: $0) } }

    @Test(arguments: ["/page.php", "/cgi-bin/page.py"], [0, 1_000, 40_000, 400_000])
    func aBlobOfAnyBytesComesBackWhole(page: String, length: Int) async throws {
        let isScript = page.hasSuffix(".py")
        var visitor = try Visitor(site: isScript ? "cgi" : nil)
        _ = try await visitor.view("\(page)?set=x")
        let saved = try await visitor.view("\(page)?pattern=\(length)")
        #expect(saved.outcome == "saved")
        // Both kinds of backends see it, in one piece or in parts.
        for (site, page) in [(nil, "/page.php"), ("cgi", "/cgi-bin/page.py")] {
            visitor.site = site
            let view = try await visitor.view(page)
            #expect(view.state == "live")
            #expect(view.data == Self.pattern(length))
            #expect(view.names.contains("SESSION_DATA") == (length == 1_000))
            #expect(view.names.contains("SESSION_DATA_PARTS") == (length > 1_000))
        }
    }
}
