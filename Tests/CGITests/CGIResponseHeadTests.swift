import CGI
import NIOCore
import Testing

struct CGIResponseHeadTests {
    private func text(_ head: CGIResponseHead) -> String {
        var buffer = ByteBuffer()
        head.encode(into: &buffer)
        return String(buffer: buffer)
    }

    @Test func aHeadIsWrittenAnewWithCRLFAndAReason() {
        var head = CGIResponseHead(status: 404)
        head.append("Content-Type", "text/plain")
        head.append("X", ByteBuffer(string: "y"))
        #expect(self.text(head) == "Status: 404 Not Found\r\nContent-Type: text/plain\r\nX: y\r\n\r\n")
    }

    @Test func theScriptsOwnReasonIsKeptAndAnUnknownStatusHasNone() {
        #expect(self.text(CGIResponseHead(status: 200, reason: "Fine")) == "Status: 200 Fine\r\n\r\n")
        #expect(self.text(CGIResponseHead(status: 299)) == "Status: 299\r\n\r\n")
    }

    @Test func fieldsAreFoundAndRemovedWhateverTheirCase() {
        var head = CGIResponseHead(status: 200)
        head.append("Set-Cookie", "a=1")
        head.append("set-cookie", "b=2")
        head.append("Content-Length", "12")
        #expect(head.first("SET-COOKIE").map { String(buffer: $0) } == "a=1")
        #expect(head.contentLength == 12)
        head.remove("SET-cookie")
        #expect(!head.contains("Set-Cookie"))
        #expect(head.fields.count == 1)
        #expect(CGIResponseHead(status: 200).contentLength == nil)
    }

    @Test func whatIsWrittenIsReadBackAsTheSameHead() throws {
        var head = CGIResponseHead(status: 302, reason: "Found")
        head.append("Location", "/x")
        head.append("Empty", "")
        var buffer = ByteBuffer()
        head.encode(into: &buffer)
        var parser = CGIResponseParser()
        #expect(try parser.receive(buffer)?.head == head)
    }
}
