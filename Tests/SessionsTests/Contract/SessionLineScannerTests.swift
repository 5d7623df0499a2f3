import NIOCore
import Testing

@testable import Sessions

struct SessionLineScannerTests {
    private let token: RequestToken
    private let other: RequestToken

    init() {
        var random = SystemRandom()
        self.token = RequestToken(loop: 2, using: &random)
        self.other = RequestToken(loop: 2, using: &random)
    }

    /// What a stream amounts to: its text, its fields, what was left out.
    private struct Outcome: Equatable {
        var text = ""
        var fields: [String] = []
        var foreign = 0
        var tooLong = 0
    }

    private func outcome(_ pieces: [String]) -> Outcome {
        var scanner = SessionLineScanner(token: self.token)
        var outcome = Outcome()
        func take(_ event: SessionLineScanner.Event) {
            switch event {
            case .text(let text): outcome.text += String(buffer: text)
            case .field(.data, let value): outcome.fields.append("d " + String(buffer: value))
            case .field(.control, let value): outcome.fields.append("c " + String(buffer: value))
            case .foreign: outcome.foreign += 1
            case .tooLong: outcome.tooLong += 1
            }
        }
        for piece in pieces { scanner.receive(ByteBuffer(string: piece), take) }
        scanner.finish(take)
        return outcome
    }

    /// In the streams below `T` is the token, `O` another one.
    private func filled(_ stream: String) -> String {
        stream.replacing("<T>", with: self.token.text).replacing("<O>", with: self.other.text)
    }

    /// The stream in one piece, byte by byte, and cut in two anywhere.
    private func expect(_ stream: String, _ expected: Outcome, sourceLocation: SourceLocation = #_sourceLocation) {
        let stream = self.filled(stream)
        var expected = expected
        expected.text = self.filled(expected.text)
        expected.fields = expected.fields.map(self.filled)
        #expect(self.outcome([stream]) == expected, sourceLocation: sourceLocation)
        #expect(self.outcome(stream.map { String($0) }) == expected, sourceLocation: sourceLocation)
        for cut in stream.indices {
            let pieces = [String(stream[..<cut]), String(stream[cut...])]
            #expect(self.outcome(pieces) == expected, "cut: \(pieces)", sourceLocation: sourceLocation)
        }
    }

    @Test(arguments: [
        "", "hello", "hello\n", "a\nb\n\nc", "\n", ";", "; ", "PHP message: ", "PHP message: a; PHP message: b",
        "; PHP message: Session", "Session-Data", "Session-Datum: x", "session-controls: x\n",
        "x Session-Data: <T> aGFs\n", "PHP messages: Session-Data: <T> aGFs", "a; Session-Data: <T> aGFs",
    ])
    func ordinaryTextPassesUnchanged(text: String) {
        self.expect(text, Outcome(text: text))
    }

    @Test func linesOfACGIAreTakenOut() {
        self.expect("Session-Data: <T> aGFs\n", Outcome(fields: ["d <T> aGFs"]))
        self.expect("Session-Data: <T> aGFs", Outcome(fields: ["d <T> aGFs"]))
        self.expect("session-data:<T>\r\n", Outcome(fields: ["d <T>"]))
        self.expect(
            "before\nSession-Data: <T> 1/2 aGFs\nSession-Control:  <T> destroy\nafter\nSession-Data: <T> 2/2 bG8=",
            Outcome(
                text: "before\nafter\n",
                fields: ["d <T> 1/2 aGFs", "c <T> destroy", "d <T> 2/2 bG8="]
            )
        )
    }

    @Test func aSemicolonDoesNotEndALineOfACGI() {
        self.expect("Session-Data: <T> aGFs; PHP message: x\n", Outcome(fields: ["d <T> aGFs; PHP message: x"]))
    }

    @Test func messagesOfPHPAreTakenOut() {
        self.expect("PHP message: Session-Data: <T> aGFs", Outcome(fields: ["d <T> aGFs"]))
        self.expect(
            "PHP message: Session-Data: <T> 1/2 aGFs; PHP message: Session-Data: <T> 2/2 bG8=; PHP message: plain text",
            Outcome(text: "PHP message: plain text", fields: ["d <T> 1/2 aGFs", "d <T> 2/2 bG8="])
        )
        self.expect(
            "PHP message: plain; PHP message: Session-Data: <T> aGFs; PHP message: with\nnew line; PHP message: "
                + "Session-Control: <T> destroy",
            Outcome(
                text: "PHP message: plain; PHP message: with\nnew line",
                fields: ["d <T> aGFs", "c <T> destroy"]
            )
        )
        self.expect(
            "PHP message: ends with a line feed\n; PHP message: Session-Data: <T> aGFs; PHP message: PHP Warning: x",
            Outcome(text: "PHP message: ends with a line feed\nPHP message: PHP Warning: x", fields: ["d <T> aGFs"])
        )
    }

    @Test func aMessageThatQuotesTheSeparatorIsCutThere() {
        // PHP writes the same bytes for one message that holds the separator and for two messages; the token tells.
        self.expect(
            "PHP message: user said ; PHP message: Session-Data: <O> ZXZpbA==; PHP message: b",
            Outcome(text: "PHP message: user said ; PHP message: b", foreign: 1)
        )
    }

    @Test func linesOfAnotherRequestAreLeftOut() {
        self.expect(
            "a\nSession-Data: <O> ZXZpbA==\nSession-Control: <O> destroy\nb",
            Outcome(text: "a\nb", foreign: 2)
        )
    }

    /// What follows may be a session's data all the same.
    @Test(arguments: [
        "Session-Data:", "Session-Data: ", "Session-Data: short aGFs", "Session-Data:\taGFs", "Session-Control: <T>x",
        "Session-Data: AAAAAAAAAAAAAAAAAAAAAAB aGFs", "Session-Data: <T>aGFs", "session-data:          <T> aGFs",
        "Session-Data: ; aGFs", "Session-Data: =<T> aGFs", "Session-Data: aGFsaGFsaGFsaGFsaGFsaGFsaGFsaGFs\r",
    ])
    func linesWithoutATokenAreLeftOut(line: String) {
        self.expect("a\n\(line)\nb", Outcome(text: "a\nb", foreign: 1))
        self.expect("a\n\(line)", Outcome(text: "a\n", foreign: 1))
        if !line.contains(";") {
            self.expect(
                "PHP message: a; PHP message: \(line); PHP message: b",
                Outcome(text: "PHP message: a; PHP message: b", foreign: 1)
            )
        }
    }

    @Test func withoutASessionNoLineIsAnAnswer() {
        var scanner = SessionLineScanner(token: nil)
        var events: [SessionLineScanner.Event] = []
        scanner.receive(ByteBuffer(string: self.filled("a\nSession-Data: <T> aGFs\nb")), { events.append($0) })
        scanner.finish { events.append($0) }
        #expect(
            events == [.text(ByteBuffer(string: "a\n")), .foreign(.data), .text(ByteBuffer(string: "b"))]
        )
    }

    @Test func theSeparatorOfALineFeedWithinALineOfTextStays() {
        self.expect(
            "PHP message: a; PHP message: Session-Data: <T> aGFs\nb",
            Outcome(text: "PHP message: a\nb", fields: ["d <T> aGFs"])
        )
    }

    @Test func aLineLongerThanTheLimitIsLeftOutAndReported() {
        let long = "Session-Data: \(self.token.text) " + String(repeating: "A", count: 70_000)
        let expected = Outcome(text: "before\nafter", fields: [], tooLong: 1)
        #expect(self.outcome(["before\n\(long)\nafter"]) == expected)
        #expect(
            self.outcome(
                ["before\n"] + stride(from: 0, to: 70_000, by: 500).map { String(long.dropFirst($0).prefix(500)) } + [
                    String(long.dropFirst(70_000)), "\nafter",
                ]
            ) == expected
        )
        let longest = "\(self.token.text) " + String(repeating: "A", count: 65_536 - 24)
        #expect(self.outcome(["Session-Data: \(longest)\n"]) == Outcome(fields: ["d \(longest)"]))
    }

    @Test func ordinaryTextIsPassedOnAtOnce() {
        var scanner = SessionLineScanner(token: self.token)
        var text = ""
        func take(_ event: SessionLineScanner.Event) {
            if case .text(let piece) = event { text += String(buffer: piece) }
        }
        scanner.receive(ByteBuffer(string: "PHP message: oh no"), take)
        #expect(text == "PHP message: oh no")
        scanner.receive(ByteBuffer(string: "; PHP message: Ses"), take)
        #expect(text == "PHP message: oh no")
        scanner.receive(ByteBuffer(string: "ame"), take)
        #expect(text == "PHP message: oh no; PHP message: Sesame")
        scanner.receive(ByteBuffer(string: "\nSession-Dat"), take)
        #expect(text == "PHP message: oh no; PHP message: Sesame\n")
        scanner.receive(ByteBuffer(string: "um: no\n"), take)
        #expect(text == "PHP message: oh no; PHP message: Sesame\nSession-Datum: no\n")
    }

    @Test func anyPiecesAtAllLoseNothingAndKeepTheOrder() {
        var random = SystemRandom()
        let words = [
            "Session-Data: ", "Session-Control:", self.token.text, self.other.text, "PHP message: ", "; ", ";", "\n",
            " aGFs", "x", "\r\n", " ", "; PHP message: ",
        ]
        for _ in 0..<3_000 {
            let stream = (0..<Int.random(in: 0...14, using: &random)).map { _ in words.randomElement(using: &random)! }
                .joined()
            let whole = self.outcome([stream])
            #expect(self.outcome(stream.map { String($0) }) == whole)
            if !stream.contains("ession") { #expect(whole == Outcome(text: stream)) }
            for field in whole.fields { #expect(field.dropFirst(2).hasPrefix(self.token.text)) }
        }
    }
}
